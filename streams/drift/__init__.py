"""The maturity frontier and the detectors that consume panes behind it."""
