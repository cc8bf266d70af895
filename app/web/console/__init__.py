"""The console page and its files."""
