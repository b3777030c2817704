"""Where states go: trajectories, cycles, coming to rest, burn-in."""
