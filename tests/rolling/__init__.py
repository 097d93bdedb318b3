"""Rolling restarts of two instances behind nginx: what clients lose (nothing)."""
