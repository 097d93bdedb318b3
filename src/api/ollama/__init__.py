"""Ollama's API, as a thin translation onto chat, embeddings and the models' life cycle. Web process."""
