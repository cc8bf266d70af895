"""What a user would build instead of taking Likely, each served in a process of its own."""
