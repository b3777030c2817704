"""Commands of adversarial networks."""
