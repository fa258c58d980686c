"""The script of a small live panel: what all panels share, then its own file."""

from __future__ import annotations

from pathlib import Path

__all__ = ["script"]

STATIC = Path(__file__).parent / "static"


def script(name: str) -> str:
    """Return a panel's JavaScript as one module, without a bundler.

    Args:
        name: Its file in static/; it may use what static/panel.js defines.

    >>> script("theory_meter.js").count("export default")
    1
    """
    return "\n".join((STATIC / part).read_text(encoding="utf-8") for part in ("panel.js", name))
