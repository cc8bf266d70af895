"""The computations of the class notebook."""
