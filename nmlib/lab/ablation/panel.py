"""The ablation lab: four switches, three levels, a network trained on the spot and compared.

A thread of the kernel trains, so that cells are not blocked. The browser asks again and again how
far the training is; that thread never sends a message itself, for Colab would not deliver it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from nmlib import _checks
from nmlib.lab.ablation.displays.placed import AblationLabDisplay
from nmlib.lab.ablation.lab import LEVELS, SEEDS, AblationLab, LabSettings
from nmlib.lab.ablation.table import LabTable, lab_table
from nmlib.lab.ablation.view import LETTERS, loss_svg, row_key, status_words, table_html
from nmlib.lab.panel import Control, Message, Panel, Reply, open_panel
from nmlib.training import Budget

__all__ = ["AblationPanel", "ablation_lab"]

_START = LabSettings()
_PARTS = {
    "augmentations": ("Augmentations", "AugMix"),
    "feature_mixing": ("Feature mixing", "manifold mixup at a random layer"),
    "noise_injections": ("Noise", "at the same layer, released law"),
    "jsd_loss": ("JSD loss", "between three views, times 12"),
}
_LEVELS = {
    "alpha": ("α, how evenly pairs mix", "alpha"),
    "sigma_add": ("σ add, additive noise", "sigma add"),
    "sigma_mult": ("σ mult, multiplicative noise", "sigma mult"),
}
LAB_CONTROLS = (
    *(
        Control(name, label, getattr(_START, name), kind="switch", symbol=letter, help=words)
        for letter, (name, (label, words)) in zip(LETTERS, _PARTS.items(), strict=True)
    ),
    *(
        Control(name, label, getattr(_START, name), *LEVELS[name], 0.05, spoken=spoken)
        for name, (label, spoken) in _LEVELS.items()
    ),
    Control("seed", "seed", _START.seed, 0, SEEDS - 1, 1, 0, kind="field"),
)


class AblationPanel(Panel):
    """Switches and levels above the table of what was trained.

    Args:
        lab: Trains and keeps the results: `lab.results` holds reports and networks.
        **settings: Where the switches stand.
    """

    SCRIPT = Path(__file__).parent / "static" / "ablation_lab.js"
    CONTROLS = LAB_CONTROLS

    def __init__(self, lab: AblationLab, **settings: Any) -> None:
        self.lab = lab
        self._table: tuple[int, LabTable] | None = None
        super().__init__(**settings)

    @property
    def settings(self) -> LabSettings:
        """Where the switches stand."""
        return LabSettings(**self._current())

    def table(self) -> LabTable:
        """Return the table as it is now."""
        count = len(self.lab.results)
        if self._table is None or self._table[0] != count:
            self._table = (count, lab_table(self.lab))
        return self._table[1]

    def as_code(self) -> str:
        """Return Python that trains and measures the same without the lab."""
        return self.lab.as_code(self.settings)

    def answer(self, settings: dict[str, Any], message: Message) -> Reply:
        """Train or stop if the message says so, and return what the page shows.

        The table and the loss curve are left out if the message has `seen` them.
        """
        chosen, seen, problem = LabSettings(**settings), message.table("seen"), ""
        action = message.one_of("action", ("train", "stop"))
        if action == "train":
            try:
                self.lab.start(chosen)
            except ValueError as error:
                problem = str(error)
        elif action == "stop":
            self.lab.cancel()
        return self._view(chosen, seen, chosen.problem or problem), []

    def _view(self, chosen: LabSettings, seen: Mapping[str, Any], problem: str) -> dict[str, Any]:
        status, table = self.lab.snapshot(), self.table()
        trained, done = status.settings, status.state == "done"
        words = status_words(status, table)
        if done and trained and trained.canonical != chosen.canonical:
            words = f"Trained last: {words}"
        reply: dict[str, Any] = {
            "problem": problem,
            "note": chosen.note,
            "key": row_key(chosen),
            "fresh": row_key(trained) if done and trained else "",
            "known": chosen.canonical in self.lab.results,
            "code": "" if chosen.problem else self.lab.as_code(chosen),
            "status": {
                "state": status.state,
                "busy": status.busy,
                "job": status.job,
                "share": round(status.share, 4),
                "words": words,
            },
            "tableVersion": len(self.lab.results),
            "curveVersion": f"{status.job} {status.part} {len(status.losses)}",
        }
        if seen.get("table") != reply["tableVersion"]:
            reply["table"] = table_html(table)
        if seen.get("curve") != reply["curveVersion"]:
            reply["curve"] = loss_svg(status)
        return reply

    def summary(self) -> str:
        return f"{self!r}\n{self.displays()[0].summary}"

    @property
    def caption(self) -> str:
        """Text of the still."""
        live = "Live in a notebook: switches, sliders and Train; a picture here."
        return f"{self!r}.\n{self.displays()[0].summary} {live}"

    def displays(self) -> tuple[AblationLabDisplay]:
        """Return the table as it is now, as a display."""
        return (AblationLabDisplay(self.table()),)

    def __repr__(self) -> str:
        s = self.settings
        levels = f", {s.levels}" if s.levels else ""
        return (
            f"Ablation lab at {s.switches.ticks()}{levels}, seed {s.seed}; "
            f"{len(self.lab.results)} trained here on {self.lab.conditions}"
        )


def ablation_lab(
    lab: AblationLab | None = None,
    *,
    mode: str = "auto",
    budget: str | Budget = "smoke",
    settings: LabSettings | None = None,
    **changes: Any,
) -> Any:
    r"""Train a combination of NoisyMix's four parts while you watch, and compare it with Table 4.

    Args:
        lab: A lab with results of its own; default a new one.
        mode: "live" (an anywidget), "still" (a picture and a text), or "auto": live where it works.
        budget: How much a new lab trains.
        settings: Where to start; default the paper's NoisyMix.
        **changes: Settings by name: `augmentations`, `feature_mixing`, `noise_injections`,
            `jsd_loss` (bool), `alpha`, `sigma_add`, `sigma_mult`, `seed`.

    Returns:
        A lab with switches; put it last in a cell. Both forms have `lab`, `settings`, `table()`,
        `as_code()` and `summary()`.

    Raises:
        ValueError: For an unknown mode, a setting out of range, or both `lab` and `budget`.

    Source: paper Table 4.

    >>> ablation_lab(mode="still", feature_mixing=False, seed=1)
    Ablation lab at ✓✗✓✓, σ_add 0.50, σ_mult 0.50, seed 1; 0 trained here on fashion-mini, ...
    """
    if lab is not None and budget != "smoke":
        raise ValueError("a lab has its budget already; give lab or budget, not both")
    for name in changes:
        _checks.choice("setting", name, LabSettings.__dataclass_fields__)
    chosen = replace(settings or _START, **changes)
    return open_panel(AblationPanel, mode, lab or AblationLab(budget), **asdict(chosen))
