"""Data sets by name or folder, and points on manifolds of known dimension."""

from lyapmap.data.idx import cache_folder
from lyapmap.data.image_set import ImageSet, load, names
from lyapmap.data.manifolds import Manifold, manifolds, sample_manifold

__all__ = ["ImageSet", "Manifold", "cache_folder", "load", "manifolds", "names", "sample_manifold"]
