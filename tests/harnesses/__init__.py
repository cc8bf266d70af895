"""The measuring and fault-injection programs' own arithmetic, and small parts of them."""
