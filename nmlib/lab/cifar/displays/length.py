"""Whether longer training changes the order of the schemes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.lab.cifar.conditions import conditions
from nmlib.lab.cifar.ordering import Interval, compare_schemes
from nmlib.lab.cifar.published import published, tables_for
from nmlib.lab.cifar.records import Records, frame
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import diamond, looks_of, new_figure, scheme_label
from nmlib.lab.display.words import signed
from nmlib.training import BUDGETS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LengthDisplay"]

_METRICS = {"clean_accuracy": "clean accuracy (%)", "robust_accuracy": "robust accuracy (%)"}
_PAPER_EPOCHS = BUDGETS["paper"].epochs


def _joined(grids: Sequence[Records]) -> pd.DataFrame:
    """Return the networks that every grid has, with a column `length`: the number of epochs."""
    import pandas as pd

    found = [g.assign(length=len(g["epochs"].iloc[0])) for g in map(frame, grids)]
    runs = pd.concat(found, ignore_index=True)
    lengths = runs["length"].unique()
    if len(lengths) < max(2, len(grids)):
        raise ValueError(
            f"give grids of at least two lengths, each once; got lengths {lengths.tolist()} in "
            f"{len(grids)} grids"
        )
    for key in ("test_fingerprint", "train_fingerprint", "model"):
        if runs[key].nunique() > 1:
            raise ValueError(f"grids differ in {key}: {', '.join(sorted(runs[key].unique()))}")
    everywhere = runs.groupby(["scheme", "seed"])["length"].transform("nunique") == len(lengths)
    if not everywhere.any():
        raise ValueError("the grids have no scheme with the same seed in common")
    return runs[everywhere].sort_values("length", kind="stable")


@dataclass(frozen=True, eq=False)
class LengthDisplay(Display):
    """Training curves and accuracies of the same schemes trained for different numbers of epochs.

    Attributes:
        values: (length, metric and scheme and seed) percent; lengths are numbers of epochs.
        curves: Scheme -> for each length, the (epochs,) training cross-entropy in nats, mean over
            seeds.
        gains: Scheme -> for each length, robust accuracy minus the baseline's in points, over the
            seeds that both have; empty without a baseline.
        paper: Scheme -> the same gain in the paper.
        measured_on: For each length, what was measured.
    """

    values: pd.DataFrame
    curves: Mapping[str, tuple[NDArray[np.float64], ...]]
    gains: Mapping[str, tuple[Interval, ...]]
    paper: Mapping[str, float]
    measured_on: tuple[Conditions, ...]

    image = "lines"

    @classmethod
    def from_records(cls, *grids: Records, schemes: Sequence[str] | None = None) -> LengthDisplay:
        """Compare grids that differ in the number of epochs, as from `nmlib.lab.cifar.measured`.

        Differences are paired, so schemes and seeds that not every grid has are left out.

        Args:
            grids: Records of one length each.
            schemes: What to show, in this order; default all that the grids share. The scatter
                between seeds is taken from all of them either way.

        Raises:
            ValueError: For fewer than two grids, two of one length, grids on different images,
                nothing in common, or a scheme that not every grid has.
        """
        runs = _joined(grids)
        shared = list(runs["scheme"].unique())
        for scheme in schemes or ():
            _checks.choice("scheme of every grid", scheme, shared)
        order = list(schemes or shared)
        shown = runs[runs["scheme"].isin(order)]
        values = 100 * shown.pivot(index="length", columns=["scheme", "seed"], values=[*_METRICS])
        losses = shown["epochs"].map(lambda rows: np.array([row["ce"] for row in rows]))
        curves = {
            scheme: tuple(
                np.mean(list(part), axis=0)
                for _, part in losses[shown["scheme"] == scheme].groupby(shown["length"])
            )
            for scheme in order
        }
        gains, paper, grouped = {}, {}, [part for _, part in runs.groupby("length")]
        if "baseline" in order:
            printed = published(*tables_for(runs, "robust_accuracy"))["value"]
            seeds = runs.groupby("scheme")["seed"].agg(set)
            for scheme in order:
                if scheme != "baseline" and seeds[scheme] & seeds["baseline"]:
                    gains[scheme] = tuple(compare_schemes(part, scheme) for part in grouped)
                    if scheme in printed:
                        paper[scheme] = printed[scheme] - printed["baseline"]
        made = tuple(conditions(part) for _, part in shown.groupby("length"))
        return cls(values, curves, gains, paper, made)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Numbers of epochs, ascending."""
        return tuple(self.values.index)

    def _means(self, metric: str, scheme: str) -> pd.Series:
        return self.values[metric][scheme].mean(axis="columns")

    @property
    def summary(self) -> str:
        parts = [f"From {self.lengths[0]} to {self.lengths[-1]} epochs"]
        for metric, label in _METRICS.items():
            means = ((s, self._means(metric, s)) for s in self.curves)
            words = ", ".join(
                f"{scheme_label(s)} {m.iloc[0]:.1f} to {m.iloc[-1]:.1f}" for s, m in means
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
        import pandas as pd

        table = pd.DataFrame(
            {scheme_label(scheme): map(str, gains) for scheme, gains in self.gains.items()},
            index=[f"{n} epochs" for n in self.lengths],
        ).T
        if self.paper:
            table[f"paper, {_PAPER_EPOCHS}"] = [
                f"{self.paper[scheme]:+.1f}" if scheme in self.paper else "–"
                for scheme in self.gains
            ]
        return table.to_string()

    @property
    def small_print(self) -> str:
        several = self.values.columns.get_level_values("seed").nunique() > 1
        marks = [f"thin: the shorter training{'s' * (len(self.lengths) > 2)}"]
        if several:
            marks.append("whiskers in the middle: lowest and highest seed")
        if self.gains:
            over = (
                "seeds (their scatter pooled over the schemes) and test images"
                if several
                else "the test images, of one seed"
            )
            marks.append(f"whiskers on the right: 95 % intervals over {over}")
        return "\n".join(["; ".join(marks), *(made.full for made in self.measured_on)])

    def _axes(self) -> Any:
        widths = (1.25, 1, 1) if self.gains else (1.25, 1)
        figure = new_figure(3.6 * sum(widths), 3.9)
        figure.get_layout_engine().set(wspace=0.05)
        return figure.subplots(1, len(widths), width_ratios=widths)

    def _draw(self, ax: Any) -> None:
        losses, robust, *gains = ax
        looks = looks_of(list(self.curves))
        for scheme, runs in self.curves.items():
            look = looks[scheme]
            for run in runs:
                longest = run is runs[-1]
                losses.plot(
                    np.arange(1, len(run) + 1), run, color=look.colour, ls=look.dash,
                    lw=1.8 if longest else 1.1, alpha=1.0 if longest else 0.55,
                )  # fmt: skip
        losses.set_xlabel("epoch")
        losses.set_ylabel("training cross-entropy (nats)")
        losses.set_ylim(bottom=0)
        for scheme, look in looks.items():
            values, means = (
                self.values["robust_accuracy"][scheme],
                self._means("robust_accuracy", scheme),
            )
            spread = [means - values.min(axis="columns"), values.max(axis="columns") - means]
            robust.errorbar(
                self.lengths, means, yerr=spread if values.shape[1] > 1 else None, capsize=3,
                color=look.colour, ls=look.dash, marker=look.marker, ms=6,
                label=scheme_label(scheme),
            )  # fmt: skip
        robust.set_ylabel(_METRICS["robust_accuracy"])
        for one in gains:
            self._draw_gains(one, looks)
        for one in (robust, *gains):
            ticks = {n: str(n) for n in self.lengths}
            if one is not robust and self.paper:
                ticks[_PAPER_EPOCHS] = f"{_PAPER_EPOCHS}\npaper"
            one.set_xscale("log")
            one.set_xticks(list(ticks), list(ticks.values()))
            one.minorticks_off()
            one.margins(x=0.2, y=0.12)
            one.set_xlabel("epochs of the whole training")
        handles, names = robust.get_legend_handles_labels()
        robust.figure.legend(
            handles, names, loc="outside upper left", ncols=len(names), frameon=False,
            fontsize=9, handlelength=3,
        )  # fmt: skip

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
                ax.plot(_PAPER_EPOCHS, self.paper[scheme], **diamond(marker=look.marker))
        ax.axhline(0, color="0.3", lw=0.8)
        ax.set_ylabel("robust gain over the baseline (points)")
