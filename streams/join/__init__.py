"""Predictions wait for their labels, and labels for their predictions."""
