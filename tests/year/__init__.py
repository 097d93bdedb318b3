"""A year of operation in minutes: what log rotations, key changes, model updates and rolling updates cost (nothing)."""
