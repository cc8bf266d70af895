"""How fast Likely is, as ratios: each beside what it is measured against, in one run."""
