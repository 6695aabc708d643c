"""What predictions carried: counts of every feature per pane, on a grid that no data chooses."""
