"""What happens to events: decode, join, panes, metrics, drift, alerts, and the Faust shell that moves them."""
