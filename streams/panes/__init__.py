"""Cumulative accumulators in event time, exactly reversible, in two parts: predictions and labels."""
