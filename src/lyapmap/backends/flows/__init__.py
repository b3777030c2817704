"""Flows seen otherwise than after equal times."""
