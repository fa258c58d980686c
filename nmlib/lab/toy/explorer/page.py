"""The explorer as one HTML file: it trains in the browser, without a kernel and without a network.

python -m nmlib.lab.toy.explorer.page        # writes figures/explorer.html
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from nmlib._files import path_option, write_text
from nmlib.lab.toy.explorer.controls import about

__all__ = ["front_end", "page", "style"]

STATIC = Path(__file__).parent / "static"
PARTS = (
    "engine.js", "worker.js", "state.js", "field.js", "charts.js", "explorer.js", "stories.js",
)  # fmt: skip
FOOTER = (
    "Part of nmlib, where notebooks hold the same explorer. The same settings and seed give the "
    "same picture in Python: nmlib.lab.toy.ToyLab. This page needs no network and sends nothing."
)


def front_end() -> str:
    """Return the JavaScript of the explorer: its files one after the other, no bundler."""
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in PARTS)


def style() -> str:
    """Return the style sheet of the explorer."""
    return (STATIC / "explorer.css").read_text(encoding="utf-8")


def page() -> str:
    """Return the page as text."""
    # "</" inside a script would end it.
    facts = json.dumps(about(), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    fields = {
        "STYLE": style(),
        "SCRIPT": front_end(),
        "ABOUT": facts,
        "FOOTER": html.escape(FOOTER),
    }
    text = (STATIC / "page.html").read_text(encoding="utf-8")
    for name, value in fields.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; see the module's first lines."""
    parser = argparse.ArgumentParser(
        prog="python -m nmlib.lab.toy.explorer.page", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=path_option, default=Path("figures/explorer.html"))
    out = parser.parse_args(arguments).out
    text = page()
    write_text(out, text)
    print(f"{out}: {len(text.encode())} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
