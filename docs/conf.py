"""Sphinx: `make docs` builds the site into docs/_build/html, warnings as errors, every example run."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

sys.path.insert(0, str(Path(__file__).parent))
from gallery_figures import scrape

project = "lyapmap"
author = "The lyapmap authors"
release = version = installed("lyapmap")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = [
    "_build",
    "gallery/**/*.ipynb",
    "gallery/**/*.md5",
    "gallery/sg_execution_times.rst",
    "sg_execution_times.rst",
]
templates_path = ["_templates"]
nitpicky = False

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type", "config.cache", "myst.xref_missing"]

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": ["../examples/methods", "../examples/models"],
    "gallery_dirs": ["gallery/methods", "gallery/models"],
    "filename_pattern": r".*\.py",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "abort_on_example_error": True,
    "image_scrapers": (scrape,),
    "capture_repr": (),
}

html_theme = "pydata_sphinx_theme"
html_title = "lyapmap"
html_static_path: list[str] = []
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 2,
    "navigation_with_keys": False,
}


def to_gallery(app: Any, page: str, source: list[str]) -> None:
    """Links to an example's file, which are right in the repository, lead to its page with picture on the site."""
    up = "../" * page.count("/")
    source[0] = re.sub(r"\((?:\.\./)+examples/methods/(\w+)\.py\)", rf"({up}gallery/methods/\1.rst)", source[0])


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", to_gallery)
