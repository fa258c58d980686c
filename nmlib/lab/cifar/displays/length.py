"""Whether longer training changes the order of the schemes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.ordering import Interval, compare_schemes, published, tables_for
from nmlib.lab.display.base import Shown
from nmlib.lab.display.looks import looks_of, new_figure, scheme_label
from nmlib.lab.display.words import signed, small_print
from nmlib.training import BUDGETS

__all__ = ["LengthDisplay"]

Record = Mapping[str, Any]

_METRICS = {"clean_accuracy": "clean accuracy (%)", "robust_accuracy": "robust accuracy (%)"}
_PAPER_EPOCHS = BUDGETS["paper"].epochs


def _by_length(
    grids: Sequence[Sequence[Record]],
) -> tuple[tuple[int, ...], list[dict[tuple[str, int], Record]]]:
    """Return the lengths, ascending, and the records of each by scheme and seed."""
    by_length = {len(grid[0]["epochs"]): list(grid) for grid in grids if grid}
    if len(by_length) < 2 or len(by_length) < len(grids):
        found = [len(grid[0]["epochs"]) for grid in grids if grid]
        raise ValueError(
            f"give grids of at least two lengths, each once; got lengths {found} in "
            f"{len(grids)} grids"
        )
    for key in ("test_fingerprint", "train_fingerprint", "model"):
        kinds = {record[key] for grid in grids for record in grid}
        if len(kinds) > 1:
            raise ValueError(f"grids differ in {key}: {', '.join(sorted(map(str, kinds)))}")
    lengths = tuple(sorted(by_length))
    return lengths, [{(r["scheme"], r["seed"]): r for r in by_length[n]} for n in lengths]


@dataclass(frozen=True, eq=False)
class LengthDisplay(Shown):
    """Training curves and accuracies of the same schemes trained for different numbers of epochs.

    Attributes:
        lengths: Numbers of epochs, ascending.
        values: Metric -> scheme -> (lengths, seeds) percent.
        gains: Scheme -> for each length, robust accuracy minus the baseline's in points, over the
            seeds that both have; empty without a baseline.
        paper: Scheme -> the same gain in the paper.
        curves: Scheme -> for each length, the (epochs,) training cross-entropy in nats, mean over
            seeds.
        conditions: Small print, a line for each length.
    """

    lengths: tuple[int, ...]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]
    curves: Mapping[str, tuple[NDArray[np.float64], ...]]
    gains: Mapping[str, tuple[Interval, ...]]
    paper: Mapping[str, float]
    conditions: str = ""

    flat = True

    @classmethod
    def from_records(
        cls, *grids: Sequence[Record], schemes: Sequence[str] | None = None
    ) -> LengthDisplay:
        """Compare grids that differ in the number of epochs, as from `nmlib.lab.cifar.records`.

        What not every grid has, schemes and seeds, is left out: differences are paired.

        Args:
            grids: Records of one length each.
            schemes: What to show, in this order; default all that the grids share. The scatter
                between seeds is taken from all of them either way.

        Raises:
            ValueError: For fewer than two grids, two of one length, grids on different images,
                nothing in common, or a scheme that not every grid has.
        """
        lengths, cells = _by_length(grids)
        shared = set(cells[0]).intersection(*cells[1:])
        if not shared:
            raise ValueError("the grids have no scheme with the same seed in common")
        seeds: dict[str, list[int]] = {}
        for scheme, seed in sorted(shared):
            seeds.setdefault(scheme, []).append(seed)
        order = [s for s in dict.fromkeys(scheme for scheme, _ in cells[0]) if s in seeds]
        if schemes is not None:
            if absent := [s for s in schemes if s not in seeds]:
                raise ValueError(
                    f"not every grid has {', '.join(absent)}; shared are {', '.join(order)}"
                )
            order = list(schemes)
        values = {
            metric: {
                s: 100 * np.array([[c[s, k][metric] for k in seeds[s]] for c in cells])
                for s in order
            }
            for metric in _METRICS
        }
        curves = {
            s: tuple(
                np.mean([[e["ce"] for e in c[s, k]["epochs"]] for k in seeds[s]], 0) for c in cells
            )
            for s in order
        }
        kept = [[r for key, r in c.items() if key in shared] for c in cells]
        gains, paper = {}, {}
        if "baseline" in order:
            printed = published(*tables_for(kept[0], "robust_accuracy"))
            for s in order:
                if s != "baseline" and set(seeds[s]) & set(seeds["baseline"]):
                    gains[s] = tuple(compare_schemes(records, s) for records in kept)
                    if s in printed:
                        paper[s] = printed[s].value - printed["baseline"].value
        text = "\n".join(conditions([r for r in k if r["scheme"] in order]) for k in kept)
        return cls(lengths, values, curves, gains, paper, text)

    @property
    def summary(self) -> str:
        """The figure in words."""
        first, last = self.lengths[0], self.lengths[-1]
        parts = [f"From {first} to {last} epochs"]
        for metric, label in _METRICS.items():
            means = {s: v.mean(1) for s, v in self.values[metric].items()}
            words = ", ".join(
                f"{scheme_label(s)} {m[0]:.1f} to {m[-1]:.1f}" for s, m in means.items()
            )
            parts.append(f"{label.removesuffix(' (%)').capitalize()} in percent: {words}")
        words = ", ".join(
            f"{scheme_label(s)} {signed(g[0].difference)} to {signed(g[-1].difference)}"
            + (f" (paper {signed(self.paper[s])})" if s in self.paper else "")
            for s, g in self.gains.items()
        )
        if words:
            parts.append(f"Robust accuracy over the baseline: {words}")
        return ". ".join(parts) + "."

    def table(self) -> str:
        """Return the gains over the baseline as text, a line each scheme and a column each length.

        In points of robust accuracy, with their intervals, and the paper's.
        """
        heads = [f"{n} epochs" for n in self.lengths]
        if self.paper:
            heads.append(f"paper, {_PAPER_EPOCHS}")
        lines = [["", *heads]]
        for scheme, gains in self.gains.items():
            cells = [str(gain) for gain in gains]
            if self.paper:
                cells.append(f"{self.paper[scheme]:+.1f}" if scheme in self.paper else "")
            lines.append([scheme_label(scheme), *cells])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join([f"{line[0]:{widths[0]}}"]
                      + [f"{c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True)]).rstrip()
            for line in lines
        )  # fmt: skip

    def plot(self) -> Any:
        """Draw the training curves, then robust accuracy and its gain against the epochs."""
        widths = (1.25, 1, 1) if self.gains else (1.25, 1)
        figure = new_figure(3.6 * sum(widths), 3.9)
        figure.get_layout_engine().set(wspace=0.05)
        axes = figure.subplots(1, len(widths), width_ratios=widths)
        looks = looks_of(list(self.curves))
        for scheme, runs in self.curves.items():
            look = looks[scheme]
            for run in runs:
                longest = run is runs[-1]
                axes[0].plot(
                    np.arange(1, len(run) + 1), run, color=look.colour, ls=look.dash,
                    lw=1.8 if longest else 1.1, alpha=1.0 if longest else 0.55,
                )  # fmt: skip
        axes[0].set_xlabel("epoch")
        axes[0].set_ylabel("training cross-entropy (nats)")
        axes[0].set_ylim(bottom=0)
        for scheme, values in self.values["robust_accuracy"].items():
            look, means = looks[scheme], values.mean(1)
            spread = np.array([means - values.min(1), values.max(1) - means])
            axes[1].errorbar(
                self.lengths, means, yerr=spread if values.shape[1] > 1 else None, capsize=3,
                color=look.colour, ls=look.dash, marker=look.marker, ms=6,
                label=scheme_label(scheme),
            )  # fmt: skip
        axes[1].set_ylabel(_METRICS["robust_accuracy"])
        if self.gains:
            self._draw_gains(axes[2], looks)
        for place, ax in enumerate(axes[1:]):
            ticks = {n: str(n) for n in self.lengths}
            if place == 1 and self.paper:
                ticks[_PAPER_EPOCHS] = f"{_PAPER_EPOCHS}\npaper"
            ax.set_xscale("log")
            ax.set_xticks(list(ticks), list(ticks.values()))
            ax.minorticks_off()
            ax.margins(x=0.2, y=0.12)
            ax.set_xlabel("epochs of the whole training")
        for ax in axes:
            ax.grid(color="0.93")
            ax.set_axisbelow(True)
            ax.spines[["top", "right"]].set_visible(False)
        handles, names = axes[1].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside upper left", ncols=len(names), frameon=False,
            fontsize=9, handlelength=3,
        )  # fmt: skip
        several = any(v.shape[1] > 1 for v in self.values["clean_accuracy"].values())
        shorter = "trainings" if len(self.lengths) > 2 else "training"
        marks = [f"thin: the shorter {shorter}"]
        if several:
            marks.append("whiskers in the middle: lowest and highest seed")
        if self.gains:
            over = (
                "seeds (their scatter pooled over the schemes) and test images"
                if several
                else "the test images, of one seed"
            )
            marks.append(f"whiskers on the right: 95 % intervals over {over}")
        small_print(figure, "; ".join(marks) + f"\n{self.conditions}")
        return figure

    def _draw_gains(self, ax: Any, looks: Mapping[str, Any]) -> None:
        """Draw the gains at our lengths, and the paper's beside them."""
        shift = np.linspace(-0.03, 0.03, max(2, len(self.gains)))
        for (scheme, gains), move in zip(self.gains.items(), shift, strict=False):
            look = looks[scheme]
            middle = np.array([g.difference for g in gains])
            ends = np.array([[g.difference - g.low, g.high - g.difference] for g in gains]).T
            ax.errorbar(
                np.array(self.lengths) * 10**move, middle, yerr=np.nan_to_num(ends), capsize=3,
                color=look.colour, ls=look.dash, marker=look.marker, ms=6,
            )  # fmt: skip
            if scheme in self.paper:
                ax.plot(
                    _PAPER_EPOCHS, self.paper[scheme], marker=look.marker, ms=6, mfc="none",
                    mec="0.4", ls="none",
                )  # fmt: skip
        ax.axhline(0, color="0.3", lw=0.8)
        ax.set_ylabel("robust gain over the baseline (points)")
