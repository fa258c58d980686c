"""Which explorer works here, and why. Imports nothing but the standard library."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Transport", "choose_transport", "notebook_host"]

Kind = Literal["live", "basic", "still"]


@dataclass(frozen=True)
class Transport:
    """The kind of explorer that works here.

    Attributes:
        name: "live" (anywidget), "basic" (core ipywidgets) or "still" (a picture and text).
        reason: Why, in one line.
        host: What runs the code, see `notebook_host`.
        remedy: What would give a better one; empty if nothing is missing.
    """

    name: Kind
    reason: str
    host: str
    remedy: str = ""


def _in_kernel() -> bool:
    """Say whether this process is a Jupyter kernel."""
    # A process without IPython loaded is none; and IPython need not be installed.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def notebook_host(environ: Mapping[str, str] | None = None, *, kernel: bool | None = None) -> str:
    """Name what runs this code: nbval, colab, vscode, kaggle, jupyter or python.

    Args:
        environ: Environment variables; default those of the process.
        kernel: Whether this is a Jupyter kernel; default: look.

    >>> notebook_host({}, kernel=False), notebook_host({"VSCODE_PID": "1"}, kernel=True)
    ('python', 'vscode')
    """
    environ = os.environ if environ is None else environ
    if not (_in_kernel() if kernel is None else kernel):
        return "python"
    # A kernel that nbval starts inherits the name of the first cell, "path.ipynb::Cell 0 (setup)".
    if ".ipynb::" in environ.get("PYTEST_CURRENT_TEST", ""):
        return "nbval"
    if "COLAB_RELEASE_TAG" in environ or "google.colab" in sys.modules:
        return "colab"
    if "KAGGLE_KERNEL_RUN_TYPE" in environ:
        return "kaggle"
    if "VSCODE_PID" in environ or "VSCODE_CWD" in environ:
        return "vscode"
    return "jupyter"


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def choose_transport(
    environ: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    installed: Callable[[str], bool] = _installed,
) -> Transport:
    """Choose the best explorer that works here.

    `NMLIB_TRANSPORT=live|basic|still` in the environment decides if it is set.

    Args:
        environ: Environment variables; default those of the process.
        host: Result of `notebook_host`; default: look.
        installed: Tells whether a package can be imported, without importing it.

    Raises:
        ValueError: If NMLIB_TRANSPORT has another value.

    >>> choose_transport({}, host="nbval").name
    'still'
    >>> choose_transport({}, host="jupyter", installed=lambda name: name == "ipywidgets").remedy
    'pip install anywidget'
    """
    environ = os.environ if environ is None else environ
    host = notebook_host(environ) if host is None else host
    wanted = environ.get("NMLIB_TRANSPORT", "")
    if wanted:
        for kind in ("live", "basic", "still"):
            if wanted == kind:
                return Transport(kind, f"NMLIB_TRANSPORT={wanted} asks for it", host)
        raise ValueError(
            f"NMLIB_TRANSPORT must be live, basic or still, got {wanted!r}; unset it for the best "
            "that works here"
        )
    if host == "python":
        remedy = "open a notebook: make lab"
        return Transport("still", "no front end: this is no notebook kernel", host, remedy)
    if host == "nbval":
        return Transport("still", "no front end: a test executes this notebook", host)
    if not installed("ipywidgets"):
        remedy = "pip install ipywidgets anywidget"
        return Transport("still", "ipywidgets is not installed", host, remedy)
    if not installed("anywidget"):
        return Transport("basic", "anywidget is not installed", host, "pip install anywidget")
    reason = {
        "colab": "Colab with its custom widget manager",
        "vscode": "VS Code, which loads the widget scripts from the network once",
        "kaggle": "Kaggle with anywidget",
    }.get(host, "Jupyter with anywidget")
    return Transport("live", reason, host)
