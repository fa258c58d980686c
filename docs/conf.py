"""Sphinx's settings: `make site` runs `sphinx-build -c docs . build/site`.

The sources are the repository's own pages, so that a link works in the repository and on the site.
"""

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import plotly
import site_hooks

import conftest  # noqa: F401 - torchvision beside any build of torch

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

project = "nmlib"
author = copyright = "the nmlib contributors"
version = release = _PROJECT["version"]
language = "en-GB"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]

# -- pages ------------------------------------------------------------------------------------
root_doc = "docs/index"
include_patterns = [
    "docs/**", "notebooks/*.ipynb", "figures/README.md", "CHANGELOG.md", "CONTRIBUTING.md"
]  # fmt: skip
# Not to be searched.
exclude_patterns = [".*", "build", "dist", "nmlib", "out", "tests", "tools", "docs/_*"]
# Absolute: autosummary looks for them below the sources, the rest of Sphinx beside this file.
templates_path = [str(ROOT / "docs/_templates")]
# The notebooks are committed executed: what the site shows is what the tests compare.
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "image/png", 0), ("html", "image/jpeg", 1)]
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
# The second: two classes of one short name, as in annotations that Python keeps as text.
suppress_warnings = ["mystnb.lexer", "ref.python"]
copybutton_prompt_text = r">>> |\.\.\. |\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True
# Drawn by the reader's browser, by a file that comes with the site; as SVG it needs no fonts.
mathjax_path = "tex-svg.js"

# -- the library ------------------------------------------------------------------------------
autosummary_context = {"names": site_hooks.names()}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"
# A reference to a name of ours must lead somewhere; other libraries' pages are not at hand.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!nmlib\.).*|.*\._.*")]

# -- looks ------------------------------------------------------------------------------------
html_theme = "furo"
html_title = "NoisyMix, live"
html_static_path = ["_static", str(_MATHJAX / "tex-svg.js"), str(_PLOTLY)]
html_extra_path = ["_extra"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": False,
    "top_of_page_buttons": [],
    "light_css_variables": {"color-brand-primary": "#00639e", "color-brand-content": "#00639e"},
    "dark_css_variables": {"color-brand-primary": "#7cc7f5", "color-brand-content": "#7cc7f5"},
}
if "Repository" in _PROJECT["urls"]:
    html_theme_options |= {
        "source_repository": _PROJECT["urls"]["Repository"] + "/",
        "source_branch": "main",
    }
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

setup = site_hooks.setup
