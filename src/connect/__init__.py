"""Configurations of other people's clients for this service; `run.py connect` prints or writes them."""
