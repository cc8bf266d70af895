"""Accuracy of Likely's models beside other libraries', on the same held-out responses in one run."""
