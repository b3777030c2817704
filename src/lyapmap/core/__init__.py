"""The ground floor: maps, propagation, results. Imports NumPy and nothing of the project above it."""
