"""Figures as Vega-Lite charts."""
