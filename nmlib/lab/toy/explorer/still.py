"""The explorer without a front end: settings, numbers, a picture and a text."""

from __future__ import annotations

from typing import Any

from nmlib.lab.display.looks import LANE_LABELS
from nmlib.lab.panel import Bundle, WithStill, picture_of
from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
from nmlib.lab.toy.explorer.controls import TOY_CONTROLS, strings
from nmlib.lab.toy.lab import Settings, ToyLab

__all__ = ["Explorer", "StillExplorer", "StillSliders", "still_sliders"]


def _described(lab: ToyLab) -> str:
    """Describe the settings in one line; the same text on every machine."""
    return ", ".join(f"{c.name}={c.show(getattr(lab.settings, c.name))}" for c in TOY_CONTROLS)


def _number(text: str, texts: dict[str, str]) -> str:
    return text.replace(".", texts["python.comma"])


def still_sliders(lab: ToyLab, language: str) -> Bundle:
    """Return the row of ordinary sliders for pages without a kernel: as text."""
    texts = strings(language)
    values = texts["list"].join(
        f"{texts[f'{c.name}.symbol']} {_number(c.show(getattr(lab.settings, c.name)), texts)}"
        for c in TOY_CONTROLS
        if c.kind == "slider"
    )
    return {"text/plain": texts["python.sliders"].format(values=values)}, {}


class Explorer(WithStill):
    """What both forms of the explorer offer; a subclass provides `lab` and `language`."""

    language: str

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
        texts = strings(self.language)
        lines = [texts["python.summary"].format(n=lab.steps_done, settings=_described(lab))]
        for lane in lab.lanes:
            m = lab.metrics(lane)
            line = texts["python.scheme"].format(
                scheme=LANE_LABELS[lane],
                accuracy=_number(f"{100 * m['test_accuracy']:.1f}", texts),
                noisy=_number(f"{100 * m['noisy_accuracy']:.1f}", texts),
                length=_number(f"{m['boundary_length']:.2f}", texts),
            )
            state = "collapsed" if m["collapsed"] else "plain" if m["one_class"] else ""
            lines.append(line + (texts[f"python.{state}"] if state else ""))
        return "\n".join(lines)

    def still(self) -> Bundle:
        """Return picture and text for pages without a kernel, as MIME data and metadata.

        The text is the same on every machine, so that a notebook test can compare it.
        """
        text = f"{self!r}\n{strings(self.language)['python.still']}"
        kind, picture = picture_of(DecisionBoundaryDisplay.from_lab(self.trained()))
        return {"text/plain": text, kind: picture}, {kind: {"alt": text}}


class StillSliders(WithStill):
    """The values of the sliders of an explorer without a front end."""

    def __init__(self, lab: ToyLab, language: str) -> None:
        self.lab, self.language = lab, language

    def still(self) -> Bundle:
        """Return the text as MIME data, and no metadata."""
        return still_sliders(self.lab, self.language)

    def __repr__(self) -> str:
        return str(self.still()[0]["text/plain"])


class StillExplorer(Explorer):
    """A picture of the six trained schemes and a text."""

    def __init__(
        self, settings: Settings | None = None, *, language: str = "en", **changes: Any
    ) -> None:
        strings(language)  # raises
        self._lab, self.language = ToyLab(settings, **changes), language

    @property
    def lab(self) -> ToyLab:
        """The lab behind the picture."""
        return self._lab

    @property
    def sliders(self) -> StillSliders:
        """The settings that have a slider, as text."""
        return StillSliders(self._lab, self.language)
