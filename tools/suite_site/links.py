"""Check a finished site, offline: links, anchors, pictures and their words, one heading a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes by which a page loads something as it opens.
_LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
# Pages that Sphinx makes for itself, without content of ours.
_BARE = {"search.html", "genindex.html", "py-modindex.html", "explorer.html"}


@dataclass
class Page(HTMLParser):
    """What of a page can be wrong.

    Attributes:
        ids: Anchors.
        links: (tag, address) of everything the page points at.
        pictures: (address, words or None) of its images.
        headings: How many `<h1>`.
    """

    ids: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str | None]] = field(default_factory=list)
    headings: int = 0

    def __post_init__(self) -> None:
        HTMLParser.__init__(self, convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        found = dict(attrs)
        if identifier := found.get("id"):
            self.ids.append(identifier)
        self.headings += tag == "h1"
        if tag == "img":
            self.pictures.append((found.get("src") or "", found.get("alt")))
        for name in ("href", "src"):
            loads = (tag, name) in _LOADS
            if tag == "link" and found.get("rel") not in ("stylesheet", "preload", "icon"):
                loads = False
            if (address := found.get(name)) is not None and (loads or tag == "a"):
                self.links.append((tag, address))


def read(path: Path) -> Page:
    """Return a parsed page."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def check(site: Path) -> list[str]:
    """Return what is wrong with a site, one line each.

    A link within the site must lead to a file and an anchor that exist; nothing may be loaded from
    elsewhere; a picture has words and a page one first heading.
    """
    pages = {path.resolve(): read(path) for path in sorted(site.rglob("*.html"))}
    problems: list[str] = []
    for path, page in pages.items():
        where = path.relative_to(site.resolve()).as_posix()
        for tag, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag != "a" and parts.scheme != "data":
                    problems.append(f"{where}: loads {address} from elsewhere")
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                problems.append(f"{where}: no such file: {address}")
            elif parts.fragment and target in pages:
                anchor = unquote(parts.fragment)
                if anchor not in pages[target].ids and anchor != "":
                    problems.append(f"{where}: no such anchor: {address}")
        for address, words in page.pictures:
            if not (words or "").strip() or re.fullmatch(r"[\w./-]+\.(png|jpe?g|svg)", words or ""):
                problems.append(f"{where}: a picture without words: {address}")
        bare = where in _BARE or where.startswith(("_modules/", "figures/html/"))
        if not bare and page.headings != 1:
            problems.append(f"{where}: {page.headings} first headings instead of 1")
        for twice in sorted({i for i in page.ids if page.ids.count(i) > 1}):
            problems.append(f"{where}: two things are called #{twice}")
    return problems
