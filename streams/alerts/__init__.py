"""Rules over figures, the life cycle of alerts, and what they are called."""
