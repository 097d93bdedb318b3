"""`run.py mcp`: the running service as tools of the Model Context Protocol. A client of its HTTP routes, no more."""
