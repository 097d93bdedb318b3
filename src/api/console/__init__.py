"""The page for browsers at `/`, its files, and who may have it. Web process; nothing is fetched from elsewhere."""
