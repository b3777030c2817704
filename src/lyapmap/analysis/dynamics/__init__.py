"""How a learned system moves beside the true one, and on which attractors a system ends."""
