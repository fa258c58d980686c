"""The page of all figures, and their interactive forms beside it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import make_figures

from suite_site.stage import ROOT

PAGE = "figures/README.md"
# From an interactive page to the site's copy of plotly.js.
_SCRIPT = "../../_static/plotly.min.js"


def interactive(folder: Path) -> list[str]:
    """Write the interactive form of every figure that has one; return their names."""
    names = []
    for name in make_figures.read_lock(ROOT / "figures")["figures"]:
        if not make_figures.FIGURES[name].page:
            continue
        display, figure = make_figures.draw(name)
        make_figures.write_page(name, display, figure, folder, script=_SCRIPT)
        names.append(name)
    return names


def page(text: str, names: list[str]) -> str:
    """Return the index of figures as the site shows it.

    Args:
        text: The index in the repository.
        names: Figures that have an interactive form.

    >>> print(page("[PNG](fig1.png); [SVG](fig1.svg); more.", ["fig1"]))
    <a href="html/fig1.html">interactive</a>; more.
    """
    text = re.sub(r"^`make figures` also writes .*$", "", text, flags=re.MULTILINE)

    def form(m: re.Match[str]) -> str:
        name = m[1]
        return f'<a href="html/{name}.html">interactive</a>; ' if name in names else ""

    text = re.sub(r"\[PNG\]\((\w+)\.png\); ", form, text)
    return re.sub(r"\[(SVG|JPG)\]\([^)]*\); ", "", text)


def pages() -> dict[str, str | bytes]:
    """Return the page, its pictures and the interactive forms, by their place in the source."""
    wanted: dict[str, str | bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        names = interactive(Path(folder))
        for name in names:
            wanted[f"_extra/figures/html/{name}.html"] = Path(folder, f"{name}.html").read_bytes()
    text = page((ROOT / PAGE).read_text(encoding="utf-8"), names)
    wanted[PAGE] = text
    for file in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        wanted[f"figures/{file}"] = (ROOT / "figures" / file).read_bytes()
    return wanted
