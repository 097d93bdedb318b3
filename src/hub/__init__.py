"""Getting models: `run.py pull` and `run.py models`, in the command line's process. The service fetches nothing."""
