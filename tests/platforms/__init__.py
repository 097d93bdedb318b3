"""What other platforms would install, asked of the package index; which of MLX's names macOS has. Nothing is run."""
