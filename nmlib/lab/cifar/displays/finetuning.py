"""What fine-tuning makes of a trained network: its gain under corruption, and the price."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.records import Records, by_family, frame
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import looks_of, new_figure, scheme_label
from nmlib.lab.display.words import signed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FineTuningDisplay"]


@dataclass(frozen=True, eq=False)
class FineTuningDisplay(Display):
    """One trained network, fine-tuned by several schemes.

    Attributes:
        before: (measure,) percent of the network as it came: clean, the families of corruptions,
            and robust, the mean of all 75 sets.
        after: (scheme and seed, measure) percent of the fine-tuned networks.
    """

    before: pd.Series
    after: pd.DataFrame

    image = "lines"

    @classmethod
    def from_records(cls, records: Records) -> FineTuningDisplay:
        """Draw records of `FineTuned.record`, all of one network.

        Raises:
            ValueError: If they differ in network, data or epochs, or were not fine-tuned.
        """
        runs = frame(records)
        if "before" not in runs or runs["before"].isna().any():
            raise ValueError("records without `before` are not of fine-tuning; draw them otherwise")
        made = conditions(runs)
        start = runs.assign(
            clean_accuracy=[r["clean_accuracy"] for r in runs["before"]],
            accuracy=[r["accuracy"] for r in runs["before"]],
        )
        return cls(by_family(start).mean(), by_family(runs), conditions=made)

    @property
    def means(self) -> pd.DataFrame:
        """(scheme, measure) percent, means over seeds."""
        return self.after.groupby("scheme", sort=False).mean()

    @property
    def gains(self) -> pd.DataFrame:
        """(scheme, measure) what fine-tuning changed, in points."""
        return self.means - self.before

    @property
    def summary(self) -> str:
        words = [
            f"{scheme_label(scheme)} {mean['clean']:.1f} clean ({signed(gain['clean'])}), "
            f"{mean['robust']:.1f} robust ({signed(gain['robust'])})"
            for (scheme, mean), (_, gain) in zip(
                self.means.iterrows(), self.gains.iterrows(), strict=True
            )
        ]
        return (
            f"As it came: {self.before['clean']:.1f} % clean, {self.before['robust']:.1f} % "
            f"robust. Fine-tuned: {'; '.join(words)}."
        )

    @property
    def small_print(self) -> str:
        several = self.after.groupby("scheme").size().max() > 1
        marks = "; small marks on the left: seeds" if several else ""
        return f"{self.conditions.full}\nrobust: mean of 15 corruptions at five severities{marks}"

    def _axes(self) -> Any:
        return new_figure(9.4, 4.0).subplots(1, 2, width_ratios=(1, 1.35))

    def _draw(self, ax: Any) -> None:
        scatter, families = ax
        looks, start = looks_of(list(self.means.index)), self.before
        scatter.plot(start["clean"], start["robust"], "o", ms=10, mfc="none", mec="0.35", mew=1.6)
        scatter.annotate(
            "as it came", (start["clean"], start["robust"]), (0, -14), textcoords="offset points",
            ha="center", fontsize=9, color="0.35",
        )  # fmt: skip
        for scheme, mean in self.means.iterrows():
            look, seeds = looks[scheme], self.after.loc[[scheme]]
            scatter.annotate(
                "", (mean["clean"], mean["robust"]), (start["clean"], start["robust"]),
                arrowprops={"arrowstyle": "-", "color": look.colour, "lw": 1, "alpha": 0.5},
            )  # fmt: skip
            scatter.plot(seeds["clean"], seeds["robust"], look.marker, ms=3.5, color=look.colour)
            scatter.plot(
                mean["clean"], mean["robust"], look.marker, ms=9, color=look.colour, alpha=0.85,
                label=scheme_label(scheme),
            )  # fmt: skip
        scatter.set_xlabel("clean accuracy (%)")
        scatter.set_ylabel("robust accuracy (%)")
        scatter.margins(0.14)
        names = list(self.gains)
        at, width = np.arange(len(names)), 0.8 / len(self.means)
        for number, (scheme, gain) in enumerate(self.gains.iterrows()):
            x = at + (number - (len(self.means) - 1) / 2) * width
            families.bar(
                x, gain, 0.92 * width, color=looks[scheme].bar, hatch=looks[scheme].hatch,
                edgecolor="white", linewidth=0,
            )  # fmt: skip
        families.axhline(0, color="0.3", lw=0.8)
        families.set_xticks(at, names)
        families.set_ylabel("change (points)")
        handles, labels = scatter.get_legend_handles_labels()
        scatter.figure.legend(
            handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, fontsize=9
        )
