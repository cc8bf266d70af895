"""Peers: a file a library, a class a model, with the defaults that it is published with."""
