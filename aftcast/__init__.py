"""The front door: command line, configuration, replay, simulation, demo."""
