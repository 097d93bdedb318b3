"""Embedding models and rerankers in the `mlx` engine: architectures of mlx-vlm, read whole, never generating."""
