"""Check the installation: versions, device, data cache, and a remedy for each fault."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

__all__ = ["TESTED", "TESTED_PYTHON", "Diagnosis", "Finding", "Range", "doctor"]


@dataclass(frozen=True)
class Range:
    """The tested versions of one package.

    Attributes:
        oldest: Lower bound in pyproject.toml.
        newest: Version in constraints.txt.
        extra: The extra of nmlib that needs the package; "" for the core.
    """

    oldest: str
    newest: str
    extra: str = ""


# The table of versions; tests compare pyproject.toml, constraints.txt and environment.yml with it.
TESTED: dict[str, Range] = {
    "torch": Range("2.6", "2.13.0"),
    "numpy": Range("1.26", "2.4.6"),
    "matplotlib": Range("3.8", "3.11.2", "plots"),
    "plotly": Range("5.24", "7.1.0", "plots"),
    "requests": Range("2.31", "2.34.2", "data"),
    "tqdm": Range("4.66", "4.70.1", "data"),
    "pillow": Range("10.3", "13.0.0", "data"),
    "scipy": Range("1.11", "1.17.1", "data"),
    "pandas": Range("2.2", "3.1.1", "tables"),
    "scikit-learn": Range("1.5", "1.9.1", "notebooks"),
    "ipywidgets": Range("7.7.1", "8.1.9", "notebooks"),
    "anywidget": Range("0.9", "0.11.0", "notebooks"),
    "ipykernel": Range("6.17", "7.4.0", "notebooks"),
    "jupyterlab": Range("4.2", "4.6.6", "lab"),
}
TESTED_PYTHON = Range("3.11", "3.13")

# GiB for the CIFAR archives, and for one corrupted version unpacked beside its archive. Only
# `nmlib.data.fetch.fetch_cifar_c` needs the second.
_ROOM, _ROOM_CORRUPTED = 1, 6

Verdict = Literal["ok", "newer", "too old", "missing", "off"]


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    Attributes:
        what: The package or part checked.
        found: Its version or state.
        verdict: "ok"; "newer" than tested; "too old"; "missing"; or "off".
        remedy: What to do; empty for "ok".
    """

    what: str
    found: str
    verdict: Verdict = "ok"
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The findings of `doctor`, printed as a table (formatted in notebooks)."""

    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that break something; versions newer than tested do not count."""
        return tuple(f for f in self.findings if f.verdict not in ("ok", "newer"))

    @property
    def ok(self) -> bool:
        """Whether there are no faults."""
        return not self.faults

    def summary(self) -> str:
        """Return the faults only, without versions: the same text on every healthy machine.

        >>> Diagnosis((Finding("torch", "2.13.0"),)).summary()
        'All is well: everything that the notebooks use is here.'
        """
        if self.ok:
            return "All is well: everything that the notebooks use is here."
        return "\n".join(f"{f.what} is {f.verdict}: {f.remedy}" for f in self.faults)

    def __str__(self) -> str:
        wide = max(len(f.what) for f in self.findings)
        lines = []
        for f in self.findings:
            mark = "" if f.verdict == "ok" else f"  [{f.verdict}]"
            lines.append(f"{f.what:<{wide}}  {f.found}{mark}")
            if f.remedy:
                lines.append(f"{'':<{wide}}  -> {f.remedy}")
        return "\n".join([*lines, "", self.summary()])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        def cell(text: str) -> str:
            return text.replace("|", "\\|")

        rows = [
            f"| {cell(f.what)} | {cell(f.found)} | {f.verdict} | {cell(f.remedy)} |"
            for f in self.findings
        ]
        head = ["| | here | verdict | what to do |", "|---|---|---|---|"]
        return "\n".join([*head, *rows, "", self.summary().replace("\n", "  \n")])


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release numbers of a version: "2.13.0+cpu" gives (2, 13, 0)."""
    release = re.match(r"[\d.]+", version)
    return tuple(int(n) for n in release[0].strip(".").split(".")) if release else ()


def _judge(name: str, version: str | None, tested: Range, upgrade: str = "") -> Finding:
    """Compare a version with the tested range; `upgrade` is the remedy for an old one."""
    bound = f"{name}>={tested.oldest}"
    if version is None:
        found = f"not installed (tested: {tested.newest})"
        return Finding(name, found, "missing", f'pip install "{bound}"')
    if _numbers(version) < _numbers(tested.oldest):
        found = f"{version} (tested: {tested.oldest} to {tested.newest})"
        return Finding(name, found, "too old", upgrade or f'pip install --upgrade "{bound}"')
    newest = _numbers(tested.newest)
    if _numbers(version)[: len(newest)] > newest:
        # Never recommend a pin: it would break the rest of the user's environment.
        remedy = "probably fine; if something looks off, report it with this table"
        return Finding(name, f"{version} (tested: up to {tested.newest})", "newer", remedy)
    return Finding(name, version)


def _package(name: str, tested: Range) -> Finding | None:
    try:
        version: str | None = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = None
    else:
        if not isinstance(version, str) or not _numbers(version):
            again = f"pip install --force-reinstall --no-deps {name}"
            return Finding(name, f"its metadata are damaged: version {version!r}", "off", again)
    if version is None and tested.extra == "lab":
        return None  # Colab and VS Code bring their own front end.
    return _judge(name, version, tested)


def _device() -> Finding:
    try:
        import torch
    except ModuleNotFoundError:
        return Finding("device", "none without torch")

    from nmlib.rng import default_device

    device = default_device()
    name = str(device)
    if device.type == "cuda":
        name += f", {torch.cuda.get_device_name(device)}"
    return Finding("device", f"{name}; {torch.get_num_threads()} CPU threads for torch")


def _panels() -> Finding:
    from nmlib._host import choose_form

    try:
        chosen = choose_form()
    except ValueError as error:
        return Finding("panels", str(error), "off", "unset NMLIB_PANELS")
    return Finding("panels", f"{chosen.name}: {chosen.reason}", remedy=chosen.remedy)


def _data() -> Finding:
    from nmlib.data.cache import data_folder

    remedy = "set NMLIB_DATA to a folder with room that you can write to"
    try:
        folder = data_folder()
        existing = folder
        while not existing.exists():
            existing = existing.parent
        free = shutil.disk_usage(existing).free / 2**30
    except (OSError, ValueError) as error:
        return Finding("data cache", str(error), "off", remedy)
    found = f"{folder}, {free:.1f} GiB free"
    if not os.access(existing, os.W_OK) or not existing.is_dir():
        return Finding("data cache", f"{found}, not writable", "off", remedy)
    if free < _ROOM:
        return Finding("data cache", found, "off", remedy)
    if free < _ROOM_CORRUPTED:
        found += f": enough for all but the CIFAR-C archives ({_ROOM_CORRUPTED} GiB)"
    return Finding("data cache", found)


def _mode() -> Finding:
    full = os.environ.get("NMLIB_FULL", "") not in ("", "0")
    return Finding("mode", "full" if full else "fast (NMLIB_FULL=1 in the environment: full)")


def doctor() -> Diagnosis:
    """Compare this installation with the tested one.

    Looks at Python, the packages, the device, the form of the panels that works here and why, and
    the data cache. Reads only: it imports no optional package and touches no network.

    Returns:
        A Diagnosis; `print` it, or end a notebook cell with it. Its `summary()` contains no
        versions.

    >>> [f.what for f in doctor().findings][:3]
    ['Python', 'torch', 'numpy']
    """
    packages = (_package(name, tested) for name, tested in TESTED.items())
    upgrade = f"install Python {TESTED_PYTHON.oldest} or newer"
    return Diagnosis(
        (
            _judge("Python", platform.python_version(), TESTED_PYTHON, upgrade),
            *(finding for finding in packages if finding is not None),
            _device(),
            _panels(),
            _data(),
            _mode(),
        )
    )
