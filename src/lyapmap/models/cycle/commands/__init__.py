"""Commands of the cycle generator."""
