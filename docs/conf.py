"""Sphinx's settings for the site. `make site` stages the pages and calls Sphinx with this file."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "nmlib"
author = copyright = "the nmlib contributors"
version = release = _PROJECT["version"]
language = "en-GB"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "suite_site.maths",
]

# -- pages ------------------------------------------------------------------------------------
# The notebooks are committed executed: what the site shows is what the tests compare.
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [("html", "image/png", 0), ("html", "image/jpeg", 1)]
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True
suppress_warnings = ["mystnb.lexer"]
html_math_renderer = "mathml"
copybutton_prompt_text = r">>> |\.\.\. |\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True

# -- the library ------------------------------------------------------------------------------
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"

# -- looks ------------------------------------------------------------------------------------
html_theme = "furo"
html_title = "NoisyMix, live"
html_static_path = ["../build/site-source/_static"]
html_extra_path = ["../build/site-source/_extra"]
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


def setup(app):
    """Connect what turns our docstrings into Sphinx's language."""
    from sphinx.domains.python import PyObject
    from suite_site import api
    from suite_site.docstrings import Converter

    # Before napoleon, which reads the sections.
    known = api.names(api.items())
    converter = Converter(known)

    def correct(app, pagename, templatename, context, doctree):
        if pagename.startswith("_modules/") and "body" in context:
            module = pagename.removeprefix("_modules/").replace("/", ".")
            context["body"] = api.correct_backlinks(module, context["body"], known)

    app.connect("autodoc-process-docstring", converter, priority=400)
    app.connect("autodoc-process-signature", converter.signature)
    app.connect("html-page-context", correct)
    # The fields of named tuples: their text is "Alias for field number 0".
    app.connect(
        "autodoc-skip-member",
        lambda app, what, name, member, skip, options: (
            True if type(member).__name__ == "_tuplegetter" else None
        ),
    )
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
