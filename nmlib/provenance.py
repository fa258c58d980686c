"""Where a measured number comes from."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["provenance"]


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
