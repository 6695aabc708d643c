"""Figures out of accumulators, one family per file."""
