"""Speaks HTTP: one file a resource, each handler a declaration and one call. Decides nothing."""
