"""The measured numbers behind the figures, as files that come with the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nmlib import _checks

__all__ = ["measured_files", "read_measured"]


def _folder() -> Path:
    package = Path(__file__).parents[1]
    # In a checkout figures/ stands beside the package; a wheel carries a copy inside it.
    for folder in (package.parent / "figures" / "data", package / "figures_data"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        "the measured data (figures/data) are missing from this installation; install nmlib again"
    )


def measured_files() -> dict[str, Path]:
    """Return the measured files by name.

    >>> all(path.suffix in {".json", ".jsonl"} for path in measured_files().values())
    True
    """
    paths = sorted(_folder().iterdir())
    return {path.name: path for path in paths if path.suffix in {".json", ".jsonl"}}


def read_measured(name: str) -> Any:
    """Read a file of figures/data: a JSON value, or the list of records of a .jsonl file.

    Raises:
        ValueError: For an unknown name; the nearest is suggested.
    """
    files = measured_files()
    _checks.choice("measured file", name, files)
    text = files[name].read_text(encoding="utf-8")
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)
