"""Where downloaded data are kept."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["data_folder"]


def data_folder() -> Path:
    """Return NMLIB_DATA if it is set, else the folder nmlib in the user's cache.

    >>> data_folder().is_absolute()
    True
    """
    chosen = os.environ.get("NMLIB_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return (Path(cache).expanduser() / "nmlib").absolute()
