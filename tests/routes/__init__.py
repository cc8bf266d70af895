"""Tests of the HTTP surface, one file an endpoint family; the rest by what can go wrong."""
