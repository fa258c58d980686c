"""What every form of the explorer can do, with or without a front end."""

from __future__ import annotations

import base64
from typing import Any

from nmlib.lab.toy.explorer.controls import CONTROLS, LANE_LABELS
from nmlib.lab.toy.explorer.picture import lab_png
from nmlib.lab.toy.lab import ToyLab

__all__ = ["ExplorerBase", "describe", "sliders_still"]


def describe(lab: ToyLab) -> str:
    """Describe the settings in one line, the same on every machine."""
    parts = []
    for control in CONTROLS:
        value = getattr(lab.settings, control.name)
        text = value if isinstance(value, str) else f"{value:.{control.digits}f}"
        parts.append(f"{control.name}={text}")
    return ", ".join(parts)


def sliders_still(lab: ToyLab) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the row of ordinary sliders for pages without a kernel: as text."""
    found = (
        f"{c.symbol} {getattr(lab.settings, c.name):.{c.digits}f}" for c in CONTROLS if c.slider
    )
    return {"text/plain": f"Sliders of the explorer: {', '.join(found)}"}, {}


class ExplorerBase:
    """Settings, summary and the still picture of an explorer; `lab` comes from the subclass."""

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Explorer({describe(self.lab)})"

    @property
    def settings(self) -> Any:
        """The settings now."""
        return self.lab.settings

    def preset(self) -> dict[str, Any]:
        """Return the settings, seed included: `explore(**preset)` builds the same explorer."""
        return self.lab.preset()

    def as_code(self) -> str:
        """Return Python that trains the same six networks."""
        return self.lab.as_code()

    def trained(self) -> ToyLab:
        """Return a lab of its own at these settings, trained to the end."""
        lab = ToyLab(self.lab.settings)
        lab.step(lab.total_steps)
        return lab

    def summary(self) -> str:
        """Train to the end and say in words what the picture shows."""
        lab = self.trained()
        lines = [f"Six schemes after {lab.steps_done} steps; {describe(lab)}"]
        for lane in lab.lanes:
            m = lab.metrics(lane)
            line = (
                f"{LANE_LABELS[lane]}: test accuracy {100 * m['test_accuracy']:.1f} %, under test "
                f"noise {100 * m['noisy_accuracy']:.1f} %, boundary {m['boundary_length']:.2f} long"
            )
            fallen = ", collapsed to one class" if m["collapsed"] else ""
            lines.append(line + (fallen or (", one class so far" if m["one_class"] else "")))
        return "\n".join(lines)

    def still(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the picture and text for pages without a kernel, as MIME data and metadata.

        The text is the same on every machine, so that a notebook test can compare it.
        """
        text = (
            f"{self!r}\nDecision boundaries of six training schemes on the polygon band; live in "
            "JupyterLab, a picture here. explorer.summary() gives the numbers."
        )
        png = base64.b64encode(lab_png(self.trained())).decode("ascii")
        return {"text/plain": text, "image/png": png}, {"image/png": {"alt": text}}
