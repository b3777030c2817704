"""Measured series, without a map: gaps and delays, noise, the largest exponent, the 0-1 test."""
