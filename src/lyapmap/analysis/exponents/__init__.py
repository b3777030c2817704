"""How fast neighbours part: spectra, finite times, covariant vectors, entropy, series, sweeps."""
