"""Downloading models: `run.py pull` and `run.py models`, in the command's process. The service downloads nothing."""
