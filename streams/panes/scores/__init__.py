"""What one pair of scores and a label is worth."""
