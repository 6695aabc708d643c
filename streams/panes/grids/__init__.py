"""Where a pair lies on the grids of age and confidence, and what it weighs."""
