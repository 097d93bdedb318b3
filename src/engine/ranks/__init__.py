"""A model over several processes (ENGINE_HOSTS): rank 0 is the engine, the others compute their part of every step."""
