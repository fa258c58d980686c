"""The explorer as one HTML file: it trains in the browser, without a kernel and without a network.

python -m nmlib.lab.toy.explorer.page        # writes figures/explorer.html
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmlib._files import path_option, write_text
from nmlib.lab.toy.explorer.controls import LANGUAGES, STATIC, about, strings

__all__ = ["front_end", "page", "style"]

PARTS = (
    "engine.js", "worker.js", "strings.js", "state.js", "field.js", "charts.js", "explorer.js",
    "stories.js",
)  # fmt: skip


def _json(value: Any) -> str:
    # "</" inside a script would end it.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")


def front_end() -> str:
    """Return the JavaScript of the explorer: its texts and files one after the other, no bundler.

    Comments in lines of their own and indentation stay behind: they would be a seventh of the page.
    """
    tables = {
        name: {key: text for key, text in strings(name).items() if not key.startswith("python.")}
        for name in LANGUAGES
    }
    text = "\n".join((STATIC / part).read_text(encoding="utf-8") for part in PARTS)
    short = re.sub(r"(?m)^ *(?://.*\n|/\*\*(?:.|\n)*?\*/\n)?", "", text)
    return f"const TEXTS = {_json(tables)};\n{short}"


def style() -> str:
    """Return the style sheet of the explorer."""
    return (STATIC / "explorer.css").read_text(encoding="utf-8")


def page() -> str:
    """Return the page as text."""
    fields = {name: html.escape(text) for name, text in strings("en").items()}
    fields |= {"STYLE": style(), "SCRIPT": front_end(), "ABOUT": _json(about())}
    text = (STATIC / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: fields[found[1]], text)


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
