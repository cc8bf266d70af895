"""What the tests in a browser start from."""
