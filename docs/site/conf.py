"""How Sphinx builds the site: `make site`. Its source tree is assembled by ``assemble.py``."""

project = "autosre_lab"
author = "the autosre_lab developers"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "autosre_lab"
source_suffix = {".md": "markdown"}
master_doc = "index"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = [
    "myst.xref_missing",
    "myst.header",
    "misc.highlighting_failure",
    "toc.not_included",
]
autodoc_default_options = {"members": True, "imported-members": True, "undoc-members": False}
autodoc_typehints = "signature"
napoleon_use_ivar = True
autodoc_member_order = "alphabetical"
# Nothing of the site is fetched when it is read.
html_copy_source = False
html_show_sourcelink = False
