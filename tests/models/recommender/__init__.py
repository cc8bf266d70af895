"""Tests of models/recommender/."""
