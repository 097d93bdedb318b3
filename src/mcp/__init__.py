"""`run.py mcp`: the running service as tools of the Model Context Protocol, a client of its HTTP routes."""
