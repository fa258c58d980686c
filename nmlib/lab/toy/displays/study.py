"""What many seeds say about Fig. 4: differences to the baseline, with their uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib import _checks
from nmlib.lab.display.base import Display
from nmlib.lab.display.looks import LANE_LABELS, OKABE_ITO, PAPER, diamond, looks_of, new_figure
from nmlib.lab.measurements import read_measured

__all__ = ["PAPER_FIG4", "ToyScreenDisplay", "ToyStudyDisplay"]

PAPER_FIG4: dict[str, float] = {
    "baseline": 86.8,
    "noise_injection": 86.8,
    "manifold_mixup": 87.4,
    "nfm": 87.6,
    "manifold_mixup_jsd": 88.0,
    "noisymix": 88.8,
}
"""Test accuracies in percent printed in the paper's Fig. 4 (one seed, 250 points).

87.4 is no multiple of 1/250, so that number or the count of test points must be something else.
"""

_SMOOTHERS = ("noise_injection", "manifold_mixup", "noisymix")
# Measure, column heading, factor, difference to the baseline or the value itself.
_COLUMNS = (
    ("test_accuracy", "test accuracy\nminus baseline (points)", 100.0, True),
    ("noisy_accuracy", "accuracy under noise 0.2\nminus baseline (points)", 100.0, True),
    ("cross_entropy", "test cross-entropy\nminus baseline (nats)", 1.0, True),
    ("boundary_length", "boundary length", 1.0, False),
    ("steepness", "gradient norm\nalong the boundary", 1.0, False),
)


def _one_or_range(values: Iterable[Any]) -> str:
    """Return what all values are: one, lowest to highest, or a list.

    >>> _one_or_range([100, 30, 100]), _one_or_range(["band", "band"])
    ('30 to 100', 'band')
    """
    found: list[Any] = list(dict.fromkeys(values))
    if len(found) > 1 and all(isinstance(v, (int, float)) for v in found):
        return f"{min(found)} to {max(found)}"
    return ", ".join(map(str, found))


def _commits(records: Sequence[dict[str, Any]]) -> str:
    """Say at which commit the records were measured, or at how many."""
    found = {record["provenance"]["commit"] for record in records}
    return f"commit {found.pop()}" if len(found) == 1 else f"measured at {len(found)} commits"


@dataclass(frozen=True, eq=False)
class ToyStudyDisplay(Display):
    """Forest plot of the six schemes, one row of panels a setting.

    Attributes:
        records: Lines of figures/data/toy_final.jsonl.

    Source: paper Fig. 4.
    """

    records: tuple[dict[str, Any], ...]

    image = "lines"
    grid = "x"

    @classmethod
    def from_measured(cls, labels: Sequence[str] | None = None) -> ToyStudyDisplay:
        """Read the committed measurements.

        Args:
            labels: Which settings, in this order; default all.
        """
        records = {record["label"]: record for record in read_measured("toy_final.jsonl")}
        for label in labels or ():
            _checks.choice("setting", label, records)
        return cls(tuple(records[label] for label in (labels or records)))

    @property
    def summary(self) -> str:
        parts = []
        for record in self.records:
            accuracy = record["summary"]["test_accuracy"]["noisymix"]["minus_baseline"]
            parts.append(
                f"{record['label']}: NoisyMix minus baseline {100 * accuracy[0]:+.1f} points "
                f"(standard error {100 * accuracy[1]:.1f})"
            )
        seeds = _one_or_range(r["seeds"] for r in self.records)
        return f"Toy study, {seeds} seeds a scheme. " + "; ".join(parts) + "."

    def table(self, label: str) -> str:
        """Return one setting as text: means with standard errors.

        Accuracies in percent.
        """
        record = next(r for r in self.records if r["label"] == label)
        lines = [
            f"{label} ({record['seeds']} seeds)",
            f"{'scheme':22}{'paper':>6}{'test':>15}{'vs baseline':>15}{'under noise':>15}"
            f"{'CE':>7}{'length':>8}{'gradient':>10}{'collapsed':>11}",
        ]
        s = record["summary"]
        for lane, title in LANE_LABELS.items():
            row = f"{title:22}{PAPER_FIG4[lane]:6.1f}"
            for key, kind in (
                ("test_accuracy", "mean"), ("test_accuracy", "minus_baseline"),
                ("noisy_accuracy", "mean"),
            ):  # fmt: skip
                mean, error = s[key][lane][kind]
                sign = "+" if kind == "minus_baseline" else ""
                row += f"{100 * mean:{sign}8.2f} ± {100 * error:4.2f}"
            steepness = s["steepness"][lane]["mean"][0]
            row += f"{s['cross_entropy'][lane]['mean'][0]:7.3f}"
            row += f"{s['boundary_length'][lane]['mean'][0]:8.2f}"
            row += f"{'none':>10}" if steepness is None else f"{steepness:10.1f}"
            row += f"{100 * s['collapsed'][lane]['mean'][0]:9.1f} %"
            lines.append(row)
        return "\n".join(lines)

    @property
    def small_print(self) -> str:
        data = _one_or_range(r["data"] for r in self.records)
        seeds = _one_or_range(r["seeds"] for r in self.records)
        epochs = _one_or_range(r["setting"]["epochs"] for r in self.records)
        return (
            f"{data}, {seeds} seeds a scheme (own data each), {epochs} epochs; "
            "bars: 95 % interval of the mean; hollow: more than half of the networks collapsed to "
            f"one class; {_commits(self.records)}"
        )

    def _axes(self) -> Any:
        rows, columns = len(self.records), len(_COLUMNS)
        figure = new_figure(2.7 * columns + 1.4, 2.0 * rows + 1.1)
        return figure.subplots(rows, columns, squeeze=False, sharey=True, sharex="col")

    def _draw(self, ax: Any) -> None:
        axes = np.reshape(ax, (len(self.records), len(_COLUMNS)))
        lanes = list(LANE_LABELS)
        y = np.arange(len(lanes))[::-1]
        for number, (row, record) in enumerate(zip(axes, self.records, strict=True)):
            found = record["summary"]
            for one, (key, heading, factor, relative) in zip(row, _COLUMNS, strict=True):
                which = "minus_baseline" if relative else "mean"
                # Collapsed networks have no boundary: None becomes nan, which is not drawn.
                values = np.array([found[key][lane][which] for lane in lanes], float) * factor
                one.axvline(0 if relative else values[0, 0], color="0.6", lw=0.9, ls=":")
                for at, lane, (mean, error) in zip(y, lanes, values, strict=True):
                    ours = lane == "noisymix"
                    hollow = {"mfc": "white"} if found["collapsed"][lane]["mean"][0] > 0.5 else {}
                    one.errorbar(
                        mean, at, xerr=1.96 * np.nan_to_num(error), fmt="s" if ours else "o", ms=5,
                        color=OKABE_ITO["vermilion" if ours else "blue"], capsize=2.5, **hollow,
                    )  # fmt: skip
                if key == "test_accuracy":
                    paper = [PAPER_FIG4[lane] - PAPER_FIG4["baseline"] for lane in lanes]
                    one.plot(paper, y + 0.28, label="paper, one seed", **diamond(ms=4.5))
                if number == 0:
                    one.set_title(heading, fontsize=9.5)
            row[0].set_yticks(y, [LANE_LABELS[lane] for lane in lanes], fontsize=9)
            row[0].set_ylim(-0.6, len(lanes) - 0.3)
            row[-1].annotate(
                record["label"].replace(", ", ",\n"), (1.04, 0.5), xycoords="axes fraction",
                va="center", fontsize=9,
            )  # fmt: skip
        axes[0, 0].figure.legend(
            *axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside lower left"
        )


@dataclass(frozen=True, eq=False)
class ToyScreenDisplay(Display):
    """Every setting of the screen as a point: what smoothing costs, and whether it ever pays.

    Attributes:
        records: Lines of figures/data/toy_screen.jsonl.
    """

    records: tuple[dict[str, Any], ...]

    image = "lines"

    @classmethod
    def from_measured(cls) -> ToyScreenDisplay:
        """Read the committed measurements; settings whose baseline collapsed are left out."""
        records = read_measured("toy_screen.jsonl")
        kept = [r for r in records if r["summary"]["collapsed"]["baseline"]["mean"][0] <= 0.5]
        return cls(tuple(kept))

    @property
    def summary(self) -> str:
        gains = [r["summary"]["test_accuracy"]["noisymix"]["minus_baseline"] for r in self.records]
        above = sum(mean > 2 * error for mean, error in gains)
        return (
            f"{len(self.records)} settings. NoisyMix minus baseline in test accuracy ranges from "
            f"{100 * min(m for m, _ in gains):+.1f} to {100 * max(m for m, _ in gains):+.1f} "
            f"points; above zero by more than two standard errors in {above} of them. The shorter "
            "the boundary, the lower the accuracy."
        )

    @property
    def small_print(self) -> str:
        return (
            f"{_one_or_range(r['data'] for r in self.records)}, {len(self.records)} settings x "
            f"{_one_or_range(r['seeds'] for r in self.records)} seeds; bars: one standard error; "
            f"{_commits(self.records)}"
        )

    def _axes(self) -> Any:
        return new_figure(10, 4.3).subplots(1, 2, sharex=True)

    def _draw(self, ax: Any) -> None:
        headings = ("test accuracy", "accuracy on test points with noise 0.2")
        for one, key, heading in zip(
            ax, ("test_accuracy", "noisy_accuracy"), headings, strict=True
        ):
            for lane, look in looks_of(_SMOOTHERS).items():
                length = [r["summary"]["boundary_length"] for r in self.records]
                x = [v[lane]["mean"][0] / v["baseline"]["mean"][0] for v in length]
                gain = np.array([r["summary"][key][lane]["minus_baseline"] for r in self.records])
                one.errorbar(
                    x, 100 * gain[:, 0], yerr=100 * gain[:, 1], fmt=look.marker, ms=4.5, lw=0.7,
                    color=look.colour, alpha=0.8, label=LANE_LABELS[lane],
                )  # fmt: skip
            one.axhline(0, color="0.3", lw=0.9, ls=":")
            one.set_xlabel("length of the boundary, relative to the baseline's")
            one.set_ylabel(f"{heading}\nminus baseline (points)")
        # A line: the paper does not say how long its boundary is.
        ax[0].axhline(
            PAPER_FIG4["noisymix"] - PAPER_FIG4["baseline"], color=PAPER, ls="-.", lw=1.1,
            label="NoisyMix in the paper (one seed)",
        )  # fmt: skip
        ax[0].legend(fontsize=8, loc="lower right")
