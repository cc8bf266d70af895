"""Defects to plant, by area: each module has DEFECTS. Does not know how they are planted."""
