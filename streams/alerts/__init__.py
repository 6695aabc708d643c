"""Rules, their life cycle, and the events that say what changed."""
