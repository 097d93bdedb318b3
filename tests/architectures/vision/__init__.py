"""Tiny random checkpoints of mlx-vlm's architectures that see, and what the engine makes of them."""
