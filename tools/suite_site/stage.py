"""Lay out the source of the site: the repository's own pages, with links that work on the web."""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Pages that the site shows as they are in the repository, at the same place.
PAGES = (
    "CHANGELOG.md", "CONTRIBUTING.md", "docs/equations.md", "docs/deviations.md",
    "docs/methods.md", "docs/randomness.md",
    "figures/README.md",
)  # fmt: skip
_COLAB = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_IMAGES = ("image/png", "image/jpeg", "image/svg+xml")
_WIDGET = "application/vnd.jupyter.widget-view+json"
_PLOTLY = "application/vnd.plotly.v1+json"


@dataclass(frozen=True)
class Links:
    """How links between files of the repository become links of the site.

    Attributes:
        repository: Address of the repository; files that are no page are shown there. Without one
            ("") their names stay as words.
        names: Public path of every name of the library.
    """

    repository: str
    names: Mapping[str, str]

    def rewrite(self, text: str, page: str) -> str:
        """Return Markdown with its relative links changed where their target is no page.

        Args:
            text: Markdown of a page.
            page: Its path in the repository.
        """

        def change(m: re.Match[str]) -> str:
            image, words, target = m.groups()
            if re.match(r"[a-z]+:|#", target):
                return m[0]
            path, _, anchor = target.partition("#")
            file = (ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT).as_posix()
            name = self.names.get(words.strip("`"))
            if file.startswith("nmlib/") and name:
                return f"{{py:obj}}`{name.removeprefix('nmlib.')} <{name}>`"
            if file == "README.md":
                return f"[{words}](/index.md)"
            if file == "figures/explorer.html":
                # Not a page of Sphinx: a file beside the pages.
                up = "../" * page.count("/")
                return f'<a href="{up}explorer.html">{words}</a>'
            if words == Path(file).name and file.endswith(".ipynb"):
                # A column of the index has room for the number only.
                return f"[{words[:2]}]({target})"
            if image or file in PAGES or re.fullmatch(r"notebooks/[^/]*\.ipynb", file):
                return m[0]
            if not self.repository:
                return words
            kind = "tree" if (ROOT / file).is_dir() else "blob"
            return f"[{words}]({self.repository}/{kind}/main/{file}{'#' if anchor else ''}{anchor})"

        return outside_code(lambda part: _LINK.sub(change, part), text)


def outside_code(change: Callable[[str], str], text: str) -> str:
    """Return text with `change` applied to all but fenced code."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(p if p.startswith("```") else change(p) for p in parts)


def stacked(text: str) -> str:
    """Return Markdown whose tables become lists of entries on a narrow screen.

    >>> print(stacked("# Heading\\n\\n| a |\\n|---|\\n| 1 |\\n"))
    # Heading
    <BLANKLINE>
    :::{container} stacked
    | a |
    |---|
    | 1 |
    :::
    <BLANKLINE>
    """
    return re.sub(r"((?:^\|.*\n?)+)", r":::{container} stacked\n\1:::\n", text, flags=re.MULTILINE)


def staged_notebook(notebook: Mapping[str, Any], page: str, links: Links) -> dict[str, Any]:
    """Return a notebook as the site shows it.

    The badge is a link without a picture from elsewhere; pictures carry the sentence that
    describes them; live widgets are shown as stills, and it is said so.
    """
    staged = copy.deepcopy(dict(notebook))
    cells = []
    for number, cell in enumerate(staged["cells"]):
        # Older notebooks have none, and the reader of notebooks complains.
        cell.setdefault("id", f"cell-{number}")
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            source = _COLAB.sub(
                lambda m: (
                    f'<a class="colab" href="{m[1]}">Open in Colab</a>\n'
                    f'<a class="colab" href="{links.repository}/blob/main/{page}">Source</a>'
                ),
                source,
            )
            cell["source"] = links.rewrite(source, page)
            cells.append(cell)
            continue
        live = False
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            picture = next((m for m in _IMAGES if m in data), None)
            if picture:
                given = output.get("metadata", {}).get(picture, {}).get("alt")
                words = given or "".join(data.get("text/plain", ""))
                options = cell["metadata"].setdefault("mystnb", {}).setdefault("image", {})
                # Sizes are those of the screen that the notebook was made on.
                output.get("metadata", {}).pop(picture, None)
                options["alt"] = " ".join(words.split())
            elif _PLOTLY in data:
                output["data"] = {"text/html": plotly_html(data[_PLOTLY], data, page)}
            live = live or _WIDGET in data
            output.get("data", {}).pop(_WIDGET, None)
        cells.append(cell)
        if live:
            words = "A still of a live widget: it moves in the notebook itself"
            if "explore(" in source:
                up = "../" * page.count("/")
                words += f', and on <a href="{up}explorer.html">a page without a kernel</a>'
            cells.append(
                {
                    "cell_type": "markdown",
                    "id": f"still-{number}",
                    "metadata": {},
                    "source": f'<p class="still">{words}.</p>',
                }
            )
    staged |= {"cells": cells, "nbformat": 4, "nbformat_minor": 5}
    return staged


def plotly_html(figure: Any, data: Mapping[str, Any], page: str) -> str:
    """Return a plotly figure as HTML that draws itself with the site's copy of plotly.js."""
    words = " ".join("".join(data.get("text/plain", "interactive chart")).split())
    spec = json.dumps(figure).replace("</", "<\\/")
    up = "../" * page.count("/")
    return (
        f'<div class="plotly-figure" role="img" aria-label="{words.replace(chr(34), "&quot;")}">'
        f'<script type="application/json">{spec}</script></div>'
        f'<script defer src="{up}_static/plotly.min.js"></script>'
        f'<script defer src="{up}_static/plotly_figures.js"></script>'
    )


@dataclass(frozen=True)
class Card:
    """A notebook on the front page.

    Attributes:
        name: File name without its ending.
        title: First heading.
        question: What it answers.
        minutes: Time on two cores, in words, or "".
        picture: First picture, (ending, bytes, words), or None.
    """

    name: str
    title: str
    question: str
    minutes: str
    picture: tuple[str, bytes, str] | None


def questions(start: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return question and seconds by file name, from the table in the start notebook."""
    text = "\n".join("".join(c["source"]) for c in start["cells"] if c["cell_type"] == "markdown")
    rows = re.findall(r"^\|\s*\[[^\]]*\]\(([^)]*\.ipynb)\)\s*\|([^|]*)\|([^|]*)\|", text, re.M)
    return {name: (question.strip(), seconds.strip()) for name, question, seconds in rows}


def card(path: Path, asked: Mapping[str, tuple[str, str]]) -> Card:
    """Return the card of a notebook; without a question of its own, its first sentence."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first = "".join(cells[0]["source"])
    title = re.search(r"^# (.+)$", first, re.MULTILINE)
    opening = [p for p in first.split("\n\n") if p and not p.startswith(("#", "[!["))]
    sentence = re.split(r"(?<=[.!?:])\s", " ".join(opening[0].split()))[0] if opening else ""
    question, seconds = asked.get(
        path.name, (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", sentence), "")
    )
    picture = None
    for output in (o for c in cells for o in c.get("outputs", [])):
        data = output.get("data", {})
        kind = next((m for m in ("image/png", "image/jpeg") if m in data), None)
        if kind:
            words = " ".join("".join(data.get("text/plain", "")).split())
            picture = (kind.rpartition("/")[2], base64.b64decode("".join(data[kind])), words)
            break
    return Card(path.stem, title[1] if title else path.stem, question, seconds, picture)


def cards_markdown(cards: list[Card]) -> str:
    """Return the grid of cards."""
    lines = [":::::{grid} 1 2 2 2", ":gutter: 3", ":class-container: cards", ""]
    for c in cards:
        lines += [f"::::{{grid-item-card}} {c.name[:2]} · {c.title}"]
        lines += [f":link: /notebooks/{c.name}", ":link-type: doc"]
        if c.picture:
            ending, _, words = c.picture
            # Long descriptions are for the page itself.
            alt = re.split(r"(?<=[.;:]) ", words)[0].rstrip(".;:")
            lines += [f":img-top: /_static/cards/{c.name}.{ending}", f":img-alt: {alt}"]
        lines += ["", c.question]
        if c.minutes:
            lines += ["", ":::{card-footer}", f"{c.minutes} seconds on two cores", ":::"]
        lines += ["::::", ""]
    return "\n".join([*lines, ":::::"])


def png_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a PNG."""
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)


# In a frame the explorer leaves out its heading, which the page around it has, and says how tall
# it is. A frame as tall as its content cannot keep the picture in sight as the page alone does; so
# on a phone the sliders come right below the picture. Light or dark is what the reader chose for
# the page; the explorer takes it from where JupyterLab says it.
_FRAME = """<style>
.framed h1, .framed h1 + p { display: none }
.framed body { padding: 0 }
.framed .page { max-width: none }
.framed :is(footer, footer a, .page a) { color: inherit !important }
@media (max-width: 480px) {
  .framed .nm-left { display: contents }
  .framed .nm-middle { order: 1 }
  .framed :is(.nm-legend, .nm-notes) { order: 2 }
  .framed .nm-layers { order: 3; margin-top: 0 !important }
  .framed .nm-measured { order: 4 }
}
</style>
<script>
if (parent !== window) {
  document.documentElement.classList.add("framed");
  const tell = () => parent.postMessage(
    {explorer: "height", height: Math.ceil(document.body.getBoundingClientRect().height)}, "*");
  new ResizeObserver(tell).observe(document.body);
  addEventListener("load", tell);
  addEventListener("message", (event) => {
    if (event.source !== parent || event.data?.explorer !== "theme") return;
    const {dark} = event.data;
    document.body.style.background = dark ? "#131416" : "#fff";
    document.body.style.color = dark ? "#cfd0d0" : "#16191d";
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    document.body.dataset.jpThemeLight = String(!dark);
  });
  for (const link of document.querySelectorAll("a[href]")) link.target = "_top";
}
</script>
</body>"""


def explorer_page(html: str) -> str:
    """Return the kernel-free explorer, able to stand in a frame.

    Raises:
        ValueError: If the file does not end as it should.
    """
    if html.count("</body>") != 1:
        raise ValueError(
            "figures/explorer.html has no single </body>; `python tools/measure.py explorer_page` "
            "makes it anew"
        )
    return html.replace("</body>", _FRAME)


def write_if_new(path: Path, data: str | bytes) -> None:
    """Write a file unless it holds that already, so that Sphinx reads only what changed."""
    raw = data.encode() if isinstance(data, str) else data
    if not path.exists() or path.read_bytes() != raw:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


def stage(target: Path, repository: str) -> None:
    """Write the source of the site to a folder.

    Args:
        target: The folder; files in it that are no longer wanted are removed.
        repository: Address of the repository, or "" while it has none.
    """
    from suite_site import api, gallery, results

    wanted: dict[str, str | bytes] = {}
    links = Links(repository, api.names(api.items()))
    wanted |= gallery.pages()
    for page in PAGES:
        given = wanted.get(page) or (ROOT / page).read_text(encoding="utf-8")
        text = links.rewrite(str(given), page)
        wanted[page] = stacked(text) if page.startswith("docs/") else text
    notebooks = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    start = json.loads((ROOT / "notebooks/00_start_here.ipynb").read_text(encoding="utf-8"))
    cards = [card(path, questions(start)) for path in notebooks]
    for path in notebooks:
        page = f"notebooks/{path.name}"
        content = json.loads(path.read_text(encoding="utf-8"))
        wanted[page] = json.dumps(staged_notebook(content, page, links), indent=1)
    for c in cards:
        if c.picture:
            wanted[f"_static/cards/{c.name}.{c.picture[0]}"] = c.picture[1]
    front = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    blocks = {
        "cards": cards_markdown(cards[1:]),
        "results": results.front(),
        "notebooks": "\n".join(f"{c.name[:2]} {c.title} </notebooks/{c.name}>" for c in cards),
    }
    for name, block in blocks.items():
        front = front.replace(f"<!-- {name} -->", block)
    wanted["index.md"] = front
    wanted["docs/audit.md"] = results.audit_page()
    wanted |= {f"api/{name}": text for name, text in api.pages().items()}
    for path in (ROOT / "docs/_static").iterdir():
        wanted[f"_static/{path.name}"] = path.read_bytes()
    for name in ("explorer_light.png", "explorer_dark.png"):
        wanted[f"_static/{name}"] = (ROOT / "figures" / name).read_bytes()
    explorer = (ROOT / "figures/explorer.html").read_text(encoding="utf-8")
    wanted["_extra/explorer.html"] = explorer_page(explorer)
    from plotly.offline import get_plotlyjs

    wanted["_static/plotly.min.js"] = get_plotlyjs()
    for name, data in wanted.items():
        write_if_new(target / name, data)
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target).as_posix() not in wanted:
            path.unlink()


def clear(folder: Path) -> None:
    """Remove a folder that this program made."""
    if folder.exists():
        shutil.rmtree(folder)
