"""The installed package: below `_app` lies the tree of the checkout (docs/adr/0024). A checkout does not use it."""
