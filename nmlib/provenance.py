"""The provenance of measured numbers: commit, versions, machine."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["combined", "provenance"]


# git sets these in its hooks, where they may point to another repository.
_GITS_OWN = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
}  # fmt: skip


@functools.cache  # a later checkout does not change the imported code
def _commit() -> str:
    """Return the commit of the checkout that nmlib is imported from, with + for local changes.

    A repository that does not track this file does not count, e.g. the user's own project around a
    virtual environment.
    """
    env = {k: v for k, v in os.environ.items() if k not in _GITS_OWN}

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, env=env,
            capture_output=True, text=True, errors="replace", timeout=10, check=True,
        ).stdout.strip()  # fmt: skip

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        # Tags can move, so exclude them.
        return git("describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+") or "unknown"
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def provenance(**more: Any) -> dict[str, Any]:
    """Return commit, versions and machine as a JSON-ready record, with `more` added.

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


def combined(made: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the provenance of a result's parts; differing values are joined by commas.

    >>> combined([{"commit": "1a", "cpus": 2}, {"commit": "2b", "cpus": 2}])
    {'commit': '1a, 2b', 'cpus': 2}
    """
    values: dict[str, list[Any]] = {}
    for one in made:
        for name, value in one.items():
            seen = values.setdefault(name, [])
            if value not in seen:
                seen.append(value)
    return {
        name: found[0] if len(found) == 1 else ", ".join(map(str, found))
        for name, found in values.items()
    }
