"""The site: Sphinx reads the Markdown of the whole repository as it lies there. ``tox -e docs`` builds it."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _PROJECT["name"]
version = release = _PROJECT["version"]
author = copyright = _PROJECT["authors"][0]["name"]
language = "en_GB"

extensions = ["myst_parser", "sphinx_external_toc"]
external_toc_path = "docs/_toc.yml"
source_suffix = {".md": "markdown"}
# run with the repository as source folder: links between README, docs/ and example_suites/ hold as they stand
include_patterns = ["*.md", "docs/**", "example_suites/**/*.md"]
exclude_patterns = [".*", "**/__pycache__", "build", "dist", "tests", "benchmarks", "pytest_quantcheck"]

# anchors as repository browsers make them; ### is as deep as any link goes
myst_heading_anchors = 3
# a fence names its language; what is only indented is a command or what a program printed
highlight_language = "none"
# two hyphens are two hyphens: --quant-model
smartquotes = False

html_theme = "furo"
pygments_style, pygments_dark_style = "friendly", "github-dark"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_additional_pages = {"index": "to_index.html"}
templates_path = ["_templates"]
