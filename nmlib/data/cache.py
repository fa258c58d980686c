"""The folder for downloaded data."""

from __future__ import annotations

import os
from pathlib import Path

from nmlib._files import user_path

__all__ = ["data_folder"]


def data_folder() -> Path:
    """Return NMLIB_DATA if it is set, else the folder nmlib in the user's cache.

    Raises:
        ValueError: If NMLIB_DATA is not a path, or is unset and the user has no home folder.

    >>> data_folder().is_absolute()
    True
    """
    chosen = os.environ.get("NMLIB_DATA")
    if chosen:
        try:
            return user_path(chosen).absolute()
        except ValueError as error:
            raise ValueError(f"NMLIB_DATA: {error}") from None
    try:
        return (user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "nmlib").absolute()
    except ValueError:  # a container with neither HOME nor a name for the user
        raise ValueError(
            "this user has no home folder to keep data in; set NMLIB_DATA to a folder"
        ) from None
