"""Catalogs, their movies and their users."""
