"""Tests of catalogs, movies and users."""
