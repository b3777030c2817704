"""Commands of latent spectral decomposition."""
