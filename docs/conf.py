"""How Sphinx builds the documentation: `python -m sphinx -W --keep-going docs build/site`.

The site needs no network to be read: theme, scripts and search lie beside the pages.
"""

import logging
import os
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent
sys.path[:0] = [str(HOUSE), str(HOUSE / "docs"), str(HOUSE / "tests")]

import scaling  # noqa: E402  # found by the line above
from sweeps import compile_cache  # noqa: E402

project = "scaling"
author = "The scaling maintainers"
version = release = scaling.__version__
html_title = f"scaling {version}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "plain_docstrings",
    "gallery",
    "commands",
    "offline",
]
exclude_patterns = ["_build", "README.md"]

# Pages are Markdown, and headings are targets of links.
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Notebooks lie in the repository without outputs, and run whenever the site is built. What they
# compile is kept where sweeps keep it.
os.environ |= compile_cache.environment(os.environ)
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True
# What runs notebooks prints whatever any library logs, fonts of figures among them.
logging.getLogger("fontTools").setLevel(logging.WARNING)

# The public names of the rooms, with the signatures that type checkers see.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = "code"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "source_repository": "",
    "navigation_with_keys": True,
}
