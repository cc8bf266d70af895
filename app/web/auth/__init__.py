"""API keys: who may send a request."""
