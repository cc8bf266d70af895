"""Responses, and the scores that follow from them."""
