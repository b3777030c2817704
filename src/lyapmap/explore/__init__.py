"""A local page to play with a map: start images, sequences, nudges, directions, a spectrum as it converges."""
