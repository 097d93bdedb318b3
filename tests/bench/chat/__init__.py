"""`make bench-chat`: this service against mlx_lm.server and mlx_vlm.server on the same weights, and the bare model."""
