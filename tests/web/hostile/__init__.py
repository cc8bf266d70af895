"""Mistakes of every kind at every place of a request: each is refused by name."""
