"""Analyses of maps, one method per file; each talks to maps only through `lyapmap.core`."""
