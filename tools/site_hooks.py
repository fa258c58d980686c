"""What the site asks of Sphinx beyond its settings: for docstrings, notebooks, interactive figures.

docs/conf.py connects these hooks; CONTRIBUTING.md says how the site is built.
"""

from __future__ import annotations

import functools
import html
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import lessons
import make_figures
from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.nodes import make_refnode

import nmlib

ROOT = Path(__file__).resolve().parents[1]
PLOTLY = "application/vnd.plotly.v1+json"
FINDINGS = "<!-- Filled in from README.md. -->"
WIDGET = "application/vnd.jupyter.widget-view+json"

# -- the library ----------------------------------------------------------------------------------


@functools.cache
def offers() -> dict[tuple[str, int], str]:
    """Return where a user imports each public name: {(name, id): shortest module below nmlib}."""
    found: dict[tuple[str, int], str] = {}
    walked = [m.name for m in pkgutil.walk_packages(nmlib.__path__, "nmlib.")]
    public = [name for name in walked if not re.search(r"\._", name)]
    for module in sorted(public, key=lambda name: name.count(".")):
        loaded = importlib.import_module(module)
        for name in getattr(loaded, "__all__", ()):
            found.setdefault((name, id(getattr(loaded, name))), module)
    return found


@functools.cache
def names() -> dict[str, tuple[list[tuple[str, str]], list[str]]]:
    """Return for each page of a module what it documents and what it links to.

    >>> ("function", "batch_loss") in names()["nmlib.objective"][0]
    True
    >>> "nmlib.objective.batch_loss" in names()["nmlib"][1]
    True
    """
    found = {}
    for module in sorted({"nmlib", *offers().values()}):
        loaded = importlib.import_module(module)
        own, elsewhere = [], []
        for name in loaded.__all__:
            value = getattr(loaded, name)
            if isinstance(value, ModuleType):
                continue
            if (home := offers()[name, id(value)]) != module:
                elsewhere.append(f"{home}.{name}")
            elif inspect.isclass(value):
                own.append(("exception" if issubclass(value, BaseException) else "class", name))
            else:
                own.append(("function" if inspect.isroutine(value) else "data", name))
        found[module] = own, elsewhere
        while (module := module.rpartition(".")[0]).count("."):
            found.setdefault(module, ([], []))
    return found


@functools.cache
def texts() -> dict[tuple[str, int], str]:
    """Return the docstrings of constants, the strings below them: {(name, id): text}."""
    found = {}
    for module in [m for name, m in sys.modules.items() if name.startswith("nmlib")]:
        for (_, name), lines in ModuleAnalyzer.for_module(module.__name__).find_attr_docs().items():
            if name in vars(module):
                found[name, id(vars(module)[name])] = "\n".join(lines)
    return found


# What is no prose: it is left as it is, or changed as a whole.
_KEPT = re.compile(
    r"""
    \Z | ^[ ]*>>>.*?(?=\n[ ]*\n|\Z)           # the end; a doctest
    | (?<=\S:\n\n)[ ]{4}\S.*?(?=\n\S|\Z)       # indented code after a colon
    | ^[ ]*```.*?^[ ]*```$                    # fenced code
    | (?<!`)(`+)(?!`).+?(?<!`)\1(?!`)         # code
    | \$\$.+?\$\$                             # a formula of its own, or in a line
    | (?<![\\\w$])\$(?!\s)[^$]+?(?<!\s)\$(?!\d)
    | (?<![\w*])(\*{1,2})[^\s*][^*\n]*?\2(?![\w*])  # emphasis
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
# What means something to reStructuredText only.
_MARKUP = re.compile(r"[\\|*]|(?<=\w)_(?!\w)")


def restructured(text: str) -> str:
    r"""Return a docstring (Markdown, LaTeX between dollars) as reStructuredText, for napoleon.

    >>> print(restructured("`mix` of $h_k$s, a*b.\nSource: eq. 2"))
    :py:obj:`mix` of :math:`h_k`\ s, a\*b.
    <BLANKLINE>
    :Source: eq. 2
    """
    parts, end = [], 0
    for found in _KEPT.finditer(text):
        prose = _MARKUP.sub(r"\\\g<0>", text[end : found.start()])
        parts.append(re.sub(r"^(Source|Differs): ", r"\n:\1: ", prose, flags=re.MULTILINE))
        end = found.end()
        line = text[text.rfind("\n", 0, found.start()) + 1 :]
        kept = _kept(found[0], " " * (len(line) - len(line.lstrip(" "))))
        # Markup must be followed by a space or punctuation.
        parts.append(kept + "\\ " * bool(kept.endswith("`") and re.match(r"[\w\\]", text[end:])))
    return "".join(parts)


def _kept(found: str, margin: str) -> str:
    inside = " ".join(found.strip("$`").split())
    if found.startswith("$$"):
        return f"\n\n{margin}.. math:: {inside}\n\n{margin}"
    if found.startswith("$"):
        return f":math:`{inside}`"
    if found.startswith("    ") and not found.lstrip().startswith((">>>", "```")):
        return f".. code-block:: python\n\n{found}"
    if found.lstrip().startswith("```"):
        first, *code, _ = found.strip().split("\n")
        block = "\n".join(f"    {each}" for each in code)
        return f"{margin}.. code-block:: {first[3:] or 'text'}\n\n{block}\n"
    if found.startswith("`"):
        name = re.fullmatch(r"[A-Za-z_][\w.]*(\(\))?", inside)
        return f":py:obj:`{inside}`" if name else f"``{inside}``"
    return found


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Hook of autodoc: rewrite a docstring in place, before napoleon reads its sections."""
    if what == "data":  # whose docstring is that of its type, for Python
        text = texts().get((name.rpartition(".")[2], id(obj)), "")
        if not text and isinstance(obj, (dict, list, tuple)):
            text = ", ".join(f"`{entry}`" for entry in obj)
        lines[:] = (text if len(text) < 1000 else f"{len(obj)} entries.").split("\n")
    lines[:] = restructured("\n".join(lines)).split("\n")


def signature(app: Any, what: str, name: str, obj: Any, options: Any, text: str, back: str) -> Any:
    """Hook of autodoc: leave out computed defaults, which Sphinx cannot read."""
    return (re.sub(r"=tuple\(.* for [^()]*(\([^()]*\))?\)", "=...", text), back) if text else None


def skip(app: Any, what: str, name: str, obj: Any, omit: bool, options: Any) -> bool | None:
    """Hook of autodoc: leave out the fields of named tuples, whose text is Python's."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def reference(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Hook of Sphinx: find what a name in backticks means; what means nothing stays plain code.

    `mix`, `nm.mix` and `mixing.mix` are `nmlib.mixing.mix`; a bare word is no method.
    """
    if node.get("refdomain") != "py" or node["reftype"] != "obj":
        return None
    domain = env.domains["py"]
    target = re.sub(r"^(nm|nmlib)\.", "", node["reftarget"].removesuffix("()"))
    kinds = {"attribute", "method", "property"}
    found = {
        name: entry
        for name, entry in domain.objects.items()
        if name.endswith("." + target) and ("." in target or entry.objtype not in kinds)
    }
    # Where a name is defined counts if nothing else is called so.
    found = {name: entry for name, entry in found.items() if not entry.aliased} or found
    if len(found) != 1:
        return content
    ((name, entry),) = found.items()
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


# -- pages ----------------------------------------------------------------------------------------


def source(app: Any, docname: str, text: list[str]) -> None:
    """Hook of Sphinx: rewrite what a page has for the repository only."""
    if docname.startswith("notebooks/"):
        text[0] = json.dumps(notebook(json.loads(text[0])))
        return
    if docname == "figures/README":
        text[0] = gallery(text[0], app.interactive)
    if docname == "docs/index":
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        findings = readme.partition("## Three findings\n")[2].partition("\n## ")[0]
        text[0] = text[0].replace(FINDINGS, findings.replace("](", "](../"))
    if (ROOT / f"{docname}.md").exists():
        text[0] = markdown(text[0])


def markdown(text: str) -> str:
    """Return Markdown whose links lead to pages of the site, never to files of the repository.

    >>> markdown("[`losses.JSD`](../nmlib/losses.py), [x](../figures/explorer.html#v=2), [d](data)")
    '{py:obj}`losses.JSD`, <a href="../figures/explorer.html#v=2">x</a>, d'
    """
    text = re.sub(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)", r"[Open in Colab](\1)", text)
    text = re.sub(r"\[`([\w.]+)`\]\((?:\.\./)?nmlib/[^)]*\)", r"{py:obj}`\1`", text)
    page = r"(?<!!)\[([^]]*)\]\(([\w./]+\.html(?:#[^)\s]*)?)\)"
    text = re.sub(page, lambda m: f'<a href="{html.escape(m[2])}">{m[1]}</a>', text)
    return re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:)[\w./-]*(?<!\.md)(?<!\.ipynb)\)", r"\1", text)


def gallery(text: str, interactive: list[str]) -> str:
    """Return the page of figures with links to their interactive forms instead of files.

    >>> gallery("[PNG](a.png); [SVG](a.svg); data", ["a"])
    '<a href="html/a.html">interactive</a>; data'
    """
    text = re.sub(r"^`make figures` also writes .*$", "", text, flags=re.MULTILINE)
    for name in interactive:
        text = text.replace(f"[PNG]({name}.png); ", f'<a href="html/{name}.html">interactive</a>; ')
    return re.sub(r"\[(PNG|JPG|SVG)\]\([^)]*\); ", "", text)


def notebook(content: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook as the site shows it: pictures with their words, live widgets as stills."""
    cells = []
    for cell in content["cells"]:
        cells.append(cell)
        if cell["cell_type"] == "markdown":
            cell["source"] = markdown("".join(cell["source"]))
        live = False
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            live |= data.pop(WIDGET, None) is not None
            words = " ".join("".join(data.get("text/plain", "")).split())
            if PLOTLY in data:
                output["data"] = {"text/html": plotly_html(data[PLOTLY], words)}
            for kind in [kind for kind in data if kind.startswith("image/")]:
                # Its size is that of the screen that the notebook was made on.
                words = output.get("metadata", {}).pop(kind, {}).get("alt") or words
                cell["metadata"]["mystnb"] = {"image": {"alt": words}}
        if live:
            note = (
                "A still of a live widget: it moves in the notebook itself, and, without a kernel, "
                'on <a href="../figures/explorer.html">its page</a>.'
                if "explore(" in "".join(cell["source"])
                else "A still of a live widget: it moves in the notebook itself."
            )
            note = {"source": f'<p class="still">{note}</p>', "metadata": {}}
            cells.append(note | {"cell_type": "markdown", "id": f"still-{len(cells)}"})
    return content | {"cells": cells}


def plotly_html(figure: Any, words: str) -> str:
    """Return a stored plotly figure as HTML that docs/_static/site.js draws."""
    spec = json.dumps(figure).replace("</", "<\\/")
    return (
        f'<div class="plotly-figure" role="img" aria-label="{html.escape(words)}">'
        f'<script type="application/json">{spec}</script></div>'
    )


# A listing's link back to its documentation. Sphinx takes one module's name for all of a file.
_BACK = re.compile(
    r'(id="([\w.]+)">\s*<a class="viewcode-back" href="[^"#]*/(nmlib[\w.]*)\.html#)[^"]+'
)


def finish(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Hook of Sphinx: load plotly.js (5 MB) where something is drawn with it; mend links back."""
    if "plotly-figure" in context.get("body", ""):
        app.add_js_file("plotly.min.js", priority=400)
    if page.startswith("_modules/"):
        context["body"] = _BACK.sub(r"\1\3.\2", context["body"])


def figures(app: Any) -> None:
    """Hook of Sphinx: write the explorer, the interactive figures and the slides."""
    folder = Path(app.outdir) / "figures"
    (folder / "html").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "figures/explorer.html", folder / "explorer.html")
    script = "../../_static/plotly.min.js"
    app.interactive = make_figures.write_pages(folder / "html", script)
    lessons.write_slides(Path(app.outdir) / "docs/lessons/slides")


def wide(app: Any, doctree: Any) -> None:
    """Hook of Sphinx: on narrow screens, the tables of the indices become lists of entries."""
    if app.env.docname in ("docs/equations", "docs/deviations", "docs/audit"):
        for table in doctree.findall(nodes.table):
            table["classes"].append("stacked")


def setup(app: Any) -> dict[str, bool]:
    """Connect the hooks."""
    app.connect("autodoc-process-docstring", docstring, priority=400)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", skip)
    app.connect("missing-reference", reference)
    app.connect("source-read", source)
    app.connect("doctree-read", wide)
    app.connect("html-page-context", finish)
    app.connect("builder-inited", figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
