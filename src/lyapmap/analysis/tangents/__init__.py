"""Directions in tangent space: covariant vectors, alignment of subspaces, singular values."""
