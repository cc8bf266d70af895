"""What is served and kept. `main.py` is the table of contents."""
