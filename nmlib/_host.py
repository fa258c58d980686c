"""Which form of the panels works here, and why. Imports the standard library only."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["PanelForm", "choose_form", "notebook_host"]

Kind = Literal["live", "still"]


@dataclass(frozen=True)
class PanelForm:
    """The form of the panels that works here.

    Attributes:
        name: "live" (an anywidget) or "still" (a picture and a text).
        reason: Why, in one line.
        host: What runs the code, see `notebook_host`.
        remedy: How to get the live form; empty if nothing is missing.
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


def choose_form(
    environ: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    installed: Callable[[str], bool] = _installed,
) -> PanelForm:
    """Choose the best form of the panels that works here.

    `NMLIB_PANELS=live` or `still` in the environment decides if it is set.

    Args:
        environ: Environment variables; default those of the process.
        host: Result of `notebook_host`; default: look.
        installed: Tells whether a package can be imported, without importing it.

    Raises:
        ValueError: If NMLIB_PANELS has another value.

    >>> choose_form({}, host="nbval").name
    'still'
    >>> choose_form({}, host="jupyter", installed=lambda name: False).remedy
    'pip install anywidget'
    """
    environ = os.environ if environ is None else environ
    host = notebook_host(environ) if host is None else host
    wanted = environ.get("NMLIB_PANELS", "")
    if wanted in ("live", "still"):
        return PanelForm(wanted, f"NMLIB_PANELS={wanted} asks for it", host)  # type: ignore[arg-type]
    if wanted:
        raise ValueError(
            f"NMLIB_PANELS must be live or still, got {wanted!r}; unset it for the best form that "
            "works here"
        )
    if host == "python":
        remedy = "open a notebook: make lab"
        return PanelForm("still", "no front end: this is no notebook kernel", host, remedy)
    if host == "nbval":
        return PanelForm("still", "no front end: a test executes this notebook", host)
    if not installed("anywidget"):
        remedy = "pip install anywidget"
        return PanelForm("still", "anywidget is not installed", host, remedy)
    reason = {
        "colab": "Colab with its custom widget manager",
        "vscode": "VS Code, which loads the widget scripts from the network once",
        "kaggle": "Kaggle with anywidget",
    }.get(host, "Jupyter with anywidget")
    return PanelForm("live", reason, host)
