"""Data sets by name or folder."""

from lyapmap.data.idx import cache_folder
from lyapmap.data.image_set import ImageSet, load, names

__all__ = ["ImageSet", "cache_folder", "load", "names"]
