"""The explorer without a front end: settings, numbers, a picture and a text."""

from __future__ import annotations

from typing import Any

from nmlib.lab.display.looks import LANE_LABELS
from nmlib.lab.panel import Bundle, WithStill, picture_of
from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
from nmlib.lab.toy.explorer.controls import TOY_CONTROLS
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["Explorer", "StillExplorer", "StillSliders", "still_sliders"]


def _described(lab: ToyLab) -> str:
    """Describe the settings in one line; the same text on every machine."""
    return ", ".join(f"{c.name}={c.show(getattr(lab.settings, c.name))}" for c in TOY_CONTROLS)


def still_sliders(lab: ToyLab) -> Bundle:
    """Return the row of ordinary sliders for pages without a kernel: as text."""
    sliders = (c for c in TOY_CONTROLS if c.kind == "slider")
    found = ", ".join(f"{c.symbol} {c.show(getattr(lab.settings, c.name))}" for c in sliders)
    return {"text/plain": f"Sliders of the explorer: {found}"}, {}


class Explorer(WithStill):
    """What both forms of the explorer offer; a subclass provides `lab`."""

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Explorer({_described(self.lab)})"

    @property
    def settings(self) -> Settings:
        """The settings now."""
        return self.lab.settings

    def preset(self) -> dict[str, Any]:
        """Return the settings, seed included: `explore(**preset)` builds the same explorer."""
        return self.lab.preset()

    def as_code(self) -> str:
        """Return Python that trains the same six networks."""
        return self.lab.as_code()

    def trained(self) -> ToyLab:
        """Return another lab with these settings, trained to the end."""
        lab = ToyLab(self.lab.settings)
        lab.step(lab.total_steps)
        return lab

    def summary(self) -> str:
        """Train to the end and say in words what the picture shows."""
        lab = self.trained()
        lines = [f"Six schemes after {lab.steps_done} steps; {_described(lab)}"]
        for lane in lab.lanes:
            m = lab.metrics(lane)
            line = (
                f"{LANE_LABELS[lane]}: test accuracy {100 * m['test_accuracy']:.1f} %, under test "
                f"noise {100 * m['noisy_accuracy']:.1f} %, boundary {m['boundary_length']:.2f} long"
            )
            fallen = ", collapsed to one class" if m["collapsed"] else ""
            lines.append(line + (fallen or (", one class so far" if m["one_class"] else "")))
        return "\n".join(lines)

    def still(self) -> Bundle:
        """Return picture and text for pages without a kernel, as MIME data and metadata.

        The text is the same on every machine, so that a notebook test can compare it.
        """
        text = (
            f"{self!r}\nDecision boundaries of six training schemes on the polygon band; live in "
            "JupyterLab, a picture here. explorer.summary() gives the numbers."
        )
        kind, picture = picture_of(DecisionBoundaryDisplay.from_lab(self.trained()))
        return {"text/plain": text, kind: picture}, {kind: {"alt": text}}


class StillSliders(WithStill):
    """The values of the sliders of an explorer without a front end."""

    def __init__(self, lab: ToyLab) -> None:
        self.lab = lab

    def still(self) -> Bundle:
        """Return the text as MIME data, and no metadata."""
        return still_sliders(self.lab)

    def __repr__(self) -> str:
        return str(self.still()[0]["text/plain"])


class StillExplorer(Explorer):
    """A picture of the six trained schemes and a text."""

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        self._lab = ToyLab(settings, **changes)

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture."""
        return self._lab

    @property
    def sliders(self) -> StillSliders:
        """The settings that have a slider, as text."""
        return StillSliders(self._lab)
