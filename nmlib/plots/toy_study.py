"""What many seeds say about Fig. 4: differences to the baseline, with their uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmlib import _checks
from nmlib.measured import read_measured
from nmlib.plots.shown import Shown
from nmlib.plots.style import LANE_LABELS, OKABE_ITO, PAPER_STYLE

__all__ = ["PAPER_FIG4", "ToyStudyDisplay"]

PAPER_FIG4: dict[str, float] = {
    "baseline": 86.8,
    "noise_injection": 86.8,
    "manifold_mixup": 87.4,
    "nfm": 87.6,
    "manifold_mixup_jsd": 88.0,
    "noisymix": 88.8,
}
"""Test accuracies in percent printed in the paper's Fig. 4 (one seed, 250 points)."""

# Measure, column heading, factor, difference to the baseline or the value itself.
_COLUMNS = (
    ("test_accuracy", "test accuracy\nminus baseline (points)", 100.0, True),
    ("noisy_accuracy", "accuracy under noise 0.2\nminus baseline (points)", 100.0, True),
    ("cross_entropy", "test cross-entropy\nminus baseline (nats)", 1.0, True),
    ("boundary_length", "boundary length", 1.0, False),
    ("steepness", "gradient norm\nalong the boundary", 1.0, False),
)


@dataclass(frozen=True)
class ToyStudyDisplay(Shown):
    """Forest plot of the six schemes, one row of panels a setting.

    Attributes:
        records: Lines of figures/data/toy_final.jsonl or toy_screen.jsonl.

    Source: paper Fig. 4.
    """

    records: tuple[dict[str, Any], ...]

    @classmethod
    def from_measured(
        cls, labels: Sequence[str] | None = None, *, name: str = "toy_final.jsonl"
    ) -> ToyStudyDisplay:
        """Read the committed measurements.

        Args:
            labels: Which settings, in this order; default all.
            name: File of figures/data.
        """
        records = {record["label"]: record for record in read_measured(name)}
        for label in labels or ():
            _checks.choice("setting", label, records)
        return cls(tuple(records[label] for label in (labels or records)))

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for record in self.records:
            accuracy = record["summary"]["test_accuracy"]["noisymix"]["minus_baseline"]
            parts.append(
                f"{record['label']}: NoisyMix minus baseline {100 * accuracy[0]:+.1f} points "
                f"(standard error {100 * accuracy[1]:.1f})"
            )
        seeds = self.records[0]["seeds"]
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

    def plot(self) -> Any:
        """Draw with matplotlib; bars are 95 % intervals of the mean, diamonds the paper."""
        from matplotlib.figure import Figure

        rows, columns = len(self.records), len(_COLUMNS)
        figure = Figure(figsize=(2.7 * columns + 1.4, 2.0 * rows + 1.1), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True, sharex="col")
        lanes = list(LANE_LABELS)
        y = np.arange(len(lanes))[::-1]
        for row, record in zip(axes, self.records, strict=True):
            for ax, (key, heading, factor, relative) in zip(row, _COLUMNS, strict=True):
                which = "minus_baseline" if relative else "mean"
                values = [record["summary"][key][lane][which] for lane in lanes]
                mean = np.array([np.nan if v[0] is None else v[0] * factor for v in values])
                error = np.array([0 if v[1] is None else 1.96 * v[1] * factor for v in values])
                collapsed = [record["summary"]["collapsed"][lane]["mean"][0] for lane in lanes]
                ax.axvline(0 if relative else mean[0], color="0.6", lw=0.9, ls=":")
                for i, lane in enumerate(lanes):
                    colour = OKABE_ITO["vermilion"] if lane == "noisymix" else OKABE_ITO["blue"]
                    face = "white" if collapsed[i] > 0.5 else colour
                    ax.errorbar(
                        mean[i], y[i], xerr=error[i], fmt="s" if lane == "noisymix" else "o",
                        color=colour, ms=5, capsize=2.5, mfc=face,
                    )  # fmt: skip
                if key == "test_accuracy":
                    paper = [PAPER_FIG4[lane] - PAPER_FIG4["baseline"] for lane in lanes]
                    ax.plot(paper, y + 0.28, ms=4.5, label="paper, one seed", **PAPER_STYLE)
                ax.grid(axis="x", color="0.9")
                ax.set_axisbelow(True)
                if row is axes[0]:
                    ax.set_title(heading, fontsize=9.5)
            row[0].set_yticks(y, [LANE_LABELS[lane] for lane in lanes], fontsize=9)
            row[0].set_ylim(-0.6, len(lanes) - 0.3)
            row[-1].annotate(
                record["label"].replace(", ", ",\n"), (1.04, 0.5), xycoords="axes fraction",
                va="center", fontsize=9,
            )  # fmt: skip
        axes[0][0].legend(fontsize=7.5, loc="lower left", frameon=True)
        first = self.records[0]
        figure.supxlabel(
            f"{first['data']}, {first['seeds']} seeds a scheme (own data each), 100 epochs; bars: "
            "95 % interval of the mean; hollow: more than half of the networks collapsed to one "
            f"class; commit {first['provenance']['commit']}",
            fontsize=7.5, color="0.35", x=0.99, ha="right",
        )  # fmt: skip
        return figure
