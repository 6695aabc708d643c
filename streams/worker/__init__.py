"""The Faust shell: transport, agents, claims, clocks. It moves data and decides nothing about it."""
