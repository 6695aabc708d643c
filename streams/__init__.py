"""What happens to events: decode, join, panes, metrics, drift, alerts, and the shell that moves them."""
