"""What a pair adds to exact sums."""
