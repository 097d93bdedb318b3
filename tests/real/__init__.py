"""Tests with a real model, SmolLM2-135M-Instruct: `make test-real`. Skipped, loudly, where it was not fetched."""
