"""`run.py bench`: how fast a server answers chat, ours or any other that speaks OpenAI's API."""
