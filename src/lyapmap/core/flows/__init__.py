"""Flows: the map of a time tau along a field, and the schemes that carry states and tangents along it."""
