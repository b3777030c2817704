"""Commands of kaleidoscopic networks."""
