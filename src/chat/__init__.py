"""A chat in the terminal with the running service: `run.py chat` and `run.py run`, in the command's process."""
