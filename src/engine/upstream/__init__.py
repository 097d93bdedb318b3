"""Engines that are servers of their own (`vllm serve`, `llama-server`), started and watched here or remote by URL.

The engine process is then a translator: each request becomes one streaming HTTP request to an OpenAI server, and its
events ours. What other processes see is an engine like any other: the same socket, messages, errors and deadlines.
"""
