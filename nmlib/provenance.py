"""Where a measured number comes from, and files that are never half written."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["NO_SPACE", "explained", "provenance", "rename_into", "write_json", "write_text"]

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a full disk and of an exhausted quota."""


def _commit() -> str:
    """Return the commit of the checkout that nmlib is imported from, with + if it was changed."""
    here = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return run.stdout.strip() or "unknown"


def provenance(**more: Any) -> dict[str, Any]:
    """Return commit, versions and device as a JSON-ready record, with `more` added.

    >>> sorted(provenance(seeds=3)["provenance"])
    ['commit', 'cpus', 'machine', 'nmlib', 'numpy', 'python', 'seeds', 'threads', 'torch']
    """
    try:
        version = metadata.version("nmlib")
    except metadata.PackageNotFoundError:
        version = "source tree"
    record = {
        "commit": _commit(),
        "nmlib": version,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    return {"provenance": record | more}


@contextmanager
def rename_into(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` if the block succeeds.

    Whatever interrupts the block, no half-written file stands under the final name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Say of a full disk what to do about it."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise OSError(
            error.errno,
            "no space is left to write it. Free some and run the same again; what was written "
            "before stays",
            str(path),
        ) from error


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file under a temporary name, then rename it; return its path.

    Raises:
        OSError: If it cannot be written; one that was there before stays.
    """
    with explained(path), rename_into(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def write_json(path: str | Path, record: Any) -> Path:
    """Write a record as indented JSON under a temporary name, then rename it."""
    return write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
