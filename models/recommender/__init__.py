"""Learns from responses what each user likes."""
