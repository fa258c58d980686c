"""Figs. 6 to 8: accuracy by corruption and by family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nmlib import _checks
from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.cifar.conditions import PAPER_NAMES, conditions, in_paper
from nmlib.lab.cifar.records import Records, by_corruption
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OURS, PAPER, diamond, differing, ink, new_figure
from nmlib.lab.display.words import signed, spaced
from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper.audits import published_audit
from nmlib.paper.numbers import SPECS, load_pandas, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CorruptionDifferenceDisplay",
    "FamilyDisplay",
]


_FAMILY_OF = {c: family for family, names in CORRUPTION_FAMILIES.items() for c in names}


def _families(rows: pd.DataFrame) -> pd.DataFrame:
    """Average by family; rounding takes the last bits of the sum away, so that 55.55 stays that."""
    return rows.groupby(_FAMILY_OF, sort=False).mean().round(9)


def _by_corruption(table: int) -> pd.DataFrame:
    """Return a table of accuracies, corruptions by methods, both in the paper's order."""
    if table not in range(6, 11):
        raise ValueError(f"accuracies by corruption are in Tables 6 to 10, not in Table {table}")
    found = read_table(table)
    wide = found.pivot(index="corruption", columns="method", values="value")
    return wide.loc[list(CORRUPTIONS), found["method"].unique()]


def _flagged(table: int) -> dict[str, Any]:
    """Return the findings of the audit about rows of a table of corruptions, by method."""
    found = published_audit().query(
        "kind == 'average' and against == @table and quantity.str.startswith('mean accuracy')"
        " and abs(printed - recomputed) > tolerance"
    )
    return {f.method: f for f in found.itertuples()}


def _flag_text(table: int, wrong: Mapping[str, Any]) -> str:
    copies = published_audit().query("kind == 'repeated row' and table == @table")["method"]
    source = {copy: first for first, copy in copies.str.split(" / ")}
    return "† " + "; ".join(
        f"{m}: this row averages {f.recomputed:.1f}, Table {f.table} prints {f.printed:.1f}"
        + (f" (all its numbers are those of {source[m]})" if m in source else "")
        for m, f in wrong.items()
    )


@dataclass(frozen=True, eq=False)
class _CorruptionsDisplay(Display):
    """A table of accuracies by corruption, and ours if there are any.

    Attributes:
        table: 6 to 10.
        rows: The paper's accuracies, corruptions by methods, in percent.
        ours: The same of our results; no columns if there are none.
    """

    table: int
    rows: pd.DataFrame
    ours: pd.DataFrame

    @classmethod
    def from_table(
        cls,
        table: int,
        *,
        ours: Mapping[str, Mapping[str, float]] | pd.DataFrame | None = None,
        conditions: Conditions | str = "",
        **options: Any,
    ) -> Self:
        """Take a table of corruptions.

        Args:
            table: 6 to 10.
            ours: Our accuracies in percent, by method and then by corruption.
            conditions: What ours were measured on.
            **options: Other fields of the display.

        Raises:
            ValueError: For another table, or if ours lack a corruption.
        """
        rows = _by_corruption(table)
        own = load_pandas().DataFrame({} if ours is None else ours, index=list(CORRUPTIONS))
        for method in own:
            lacking = own.index[own[method].isna()]
            if len(lacking):
                raise ValueError(f"ours, {method!r} lacks {', '.join(lacking)}")
        return cls(table, rows, own, conditions=Conditions.of(conditions), **options)

    @classmethod
    def from_records(cls, records: Records, *, table: int = 7, **options: Any) -> Self:
        """Put measured records (`nmlib.lab.cifar.records`) beside Table 7, 8, 9 or 10.

        Args:
            records: Means over their seeds are shown, for the schemes that the tables have.
            table: 7 to 10.
            **options: Other fields of the display.
        """
        kept = in_paper(records)
        ours = by_corruption(kept).rename(columns=PAPER_NAMES)
        return cls.from_table(table, ours=ours, conditions=conditions(kept), **options)

    @property
    def _source(self) -> str:
        return f"paper: Table {self.table}, {SPECS[self.table].network}"

    @property
    def _flags(self) -> str:
        """Return the lines of the small print below the source."""
        wrong = _flagged(self.table)
        return f"\n{_flag_text(self.table, wrong)}" if wrong else ""

    @property
    def _own(self) -> str:
        return f"\nours: {self.conditions}" if self.conditions else ""


@dataclass(frozen=True, eq=False)
class FamilyDisplay(_CorruptionsDisplay):
    """Mean accuracy by family of corruptions: Figs. 6 to 8 redrawn from Tables 6 to 10.

    Attributes:
        table: 6 to 10.
        rows: The paper's accuracies, corruptions by methods, in percent.
        ours: The same of our results, drawn filled; no columns if there are none.
        conditions: What ours were measured on.

    Source: paper Fig. 6 (Table 6), Figs. 7 and 8 (Tables 7 to 10).

    >>> round(float(FamilyDisplay.fig6().means["NoisyMix"]["noise"]), 2)
    52.43
    """

    @classmethod
    def fig6(cls) -> FamilyDisplay:
        """Fig. 6: ImageNet-C, ResNet-50."""
        return cls.from_table(6)

    @property
    def means(self) -> pd.DataFrame:
        """The paper's means, families by methods, in percent."""
        return _families(self.rows)

    @property
    def summary(self) -> str:
        means = self.means
        best = ", ".join(
            f"{family}: {top} {means[top][family]:.1f}"
            for family, top in means.idxmax(axis=1).items()
        )
        text = f"Table {self.table}, mean accuracy in percent, best by family: {best}."
        wrong = _flagged(self.table)
        if wrong:
            text += f" Rows that do not fit their printed average: {', '.join(wrong)}."
        return text

    @property
    def small_print(self) -> str:
        means = "mean over the corruptions of a family"
        return f"{means}; {self._source}; bold: best{self._flags}{self._own}"

    @property
    def _order(self) -> list[str]:
        """The methods by their mean, then those that only ours have."""
        order = self.means.mean().sort_values(kind="stable").index.tolist()
        return order + [m for m in self.ours if m not in order]

    def _axes(self) -> Any:
        return new_figure(10.5, 0.33 * len(self._order) + 1.5).subplots(1, 4, sharey=True)

    def _draw(self, ax: Any) -> None:
        wrong, order, means = _flagged(self.table), self._order, self.means
        own = _families(self.ours)
        for one, family in zip(ax, CORRUPTION_FAMILIES, strict=True):
            best = means.loc[family].idxmax()
            for y, method in enumerate(order):
                if method in means:
                    x = means[method][family]
                    look = diamond(mew=2.2 if method == best else 1.2)
                    if method in wrong:
                        look |= {"marker": "x", "ms": 7}
                    one.plot(x, y, **look)
                    if method == best:
                        one.annotate(f"{x:.1f}", (x, y), (0, 7), textcoords="offset points",
                                     ha="center", fontsize=8.5, weight="bold")  # fmt: skip
                if method in own:
                    one.plot(own[method][family], y - 0.18, "o", ms=5, color=OURS)
            one.set_title(family, fontsize=10)
            one.set_xlabel("accuracy (%)", fontsize=9)
            one.margins(x=0.14)
            one.set_ylim(-0.6, len(order) - 0.25)
        first = ax[0]
        names = [f"{m} †" if m in wrong else m for m in order]
        first.set_yticks(range(len(order)), names, fontsize=9)
        handles = [first.plot([], [], label="paper", **diamond())[0]]
        if wrong:
            look = diamond(marker="x", ms=7, label="paper, † see below")
            handles.append(first.plot([], [], **look)[0])
        if not own.empty:
            handles.append(first.plot([], [], "o", color=OURS, label="ours")[0])
        first.figure.legend(handles=handles, fontsize=8, loc="outside upper right", ncols=3)


@dataclass(frozen=True, eq=False)
class CorruptionDifferenceDisplay(_CorruptionsDisplay):
    """Accuracy by corruption minus that of a reference method (Tables 6 to 10).

    Attributes:
        table: 6 to 10.
        rows: The paper's accuracies, corruptions by methods, in percent.
        ours: The same of our results, with the reference; no columns if there are none.
        reference: Method that is subtracted, on both sides.
        conditions: What ours were measured on.

    Source: paper Tables 6 to 10.
    """

    reference: str = "Baseline"

    grid = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.choice("reference", self.reference, self.rows)
        if not self.ours.empty and self.reference not in self.ours:
            raise ValueError(
                f"ours lacks the reference {self.reference!r}; it has {sorted(self.ours)}"
            )

    def difference(self, *, ours: bool = False) -> tuple[list[str], Any]:
        """Return methods and (methods, 15) differences in points, largest mean last."""
        rows = self.ours if ours else self.rows
        gains = rows.drop(columns=self.reference).sub(rows[self.reference], axis=0)
        # Equal gains tie when ranked, whatever the last bits of their differences are.
        gains = gains.round(9)
        methods = gains.mean().sort_values(kind="stable").index.tolist()
        return methods, gains[methods].to_numpy().T

    def _panels(self) -> dict[str, tuple[list[str], Any]]:
        ours = {} if self.ours.empty else {"ours": self.difference(ours=True)}
        return {"paper": self.difference()} | ours

    @property
    def _reach(self) -> float:
        return max(float(np.abs(table).max()) for _, table in self._panels().values())

    @property
    def summary(self) -> str:
        panels = self._panels()
        methods, table = panels["paper"]
        gain = table[methods.index("NoisyMix")]
        least, most = (
            f"{gain[k]:+.1f} ({spaced(CORRUPTIONS[k])})" for k in (gain.argmin(), gain.argmax())
        )
        text = (
            f"Table {self.table} minus {self.reference}, in points. NoisyMix: {gain.mean():+.1f} "
            f"on average, from {least} to {most}."
        )
        if "ours" in panels:
            means = (f"{m} {row.mean():+.1f}" for m, row in zip(*panels["ours"], strict=True))
            text += f" Ours, on average: {', '.join(means)}."
        return text

    @property
    def small_print(self) -> str:
        own = f"; ours: {self.conditions}" if self.conditions else ""
        return f"{self._source}{own}{self._flags}"

    def _axes(self) -> Any:
        heights = [len(methods) for methods, _ in self._panels().values()]
        figure = new_figure(11.5, 0.36 * sum(heights) + 2.0 + 0.5 * (len(heights) - 1))
        axes = figure.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)
        return axes.ravel()

    def _draw(self, ax: Any) -> None:
        axes, reach, wrong = np.ravel(ax), self._reach, _flagged(self.table)
        for one, (name, (methods, table)) in zip(axes, self._panels().items(), strict=True):
            picture = one.imshow(table, cmap=differing(), vmin=-reach, vmax=reach, aspect="auto")
            for (i, j), value in np.ndenumerate(table):
                one.text(
                    j, i, signed(value, 0), ha="center", va="center",
                    fontsize=8.5, style="italic" if name == "paper" else "normal",
                    color=ink(value, reach),
                )  # fmt: skip
            flagged = wrong if name == "paper" else {}
            names = [f"{m} †" if m in flagged else m for m in methods]
            one.set_yticks(range(len(methods)), names, fontsize=9)
            one.set_xticks(range(15), [c.replace("_", "\n") for c in CORRUPTIONS], fontsize=7.5)
            one.tick_params(length=0)
            one.spines[:].set_visible(True)
            one.set_title(name, loc="left", fontsize=10, **(
                {"style": "italic", "color": PAPER} if name == "paper" else {"weight": "bold"}
            ))  # fmt: skip
        start = -0.5
        for family, members in CORRUPTION_FAMILIES.items():
            axes[0].text(
                start + len(members) / 2, 1.02, family, ha="center", fontsize=9,
                transform=axes[0].get_xaxis_transform(),
            )  # fmt: skip
            start += len(members)
            for one in axes:
                one.axvline(start, color="black", lw=1)
        label = f"points over {self.reference}"
        axes[0].figure.colorbar(picture, ax=list(axes), pad=0.01, label=label)

    def _plotly(self) -> Any:
        from plotly.subplots import make_subplots

        panels = self._panels()
        titles = {
            "paper": f"Table {self.table} of the paper",
            "ours": f"ours, {self.conditions.data}",
        }
        heights = [len(methods) for methods, _ in panels.values()]
        figure = make_subplots(
            len(panels), 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.09,
            subplot_titles=[f"{titles[name]}, minus {self.reference}" for name in panels],
        )  # fmt: skip
        for row, (name, (methods, table)) in enumerate(panels.items(), 1):
            figure.add_heatmap(
                z=table, x=list(map(spaced, CORRUPTIONS)), y=methods, name=titles[name],
                coloraxis="coloraxis", row=row, col=1,
                hovertemplate="%{y}, %{x}: %{z:+.1f} points<extra></extra>",
            )  # fmt: skip
        figure.update_yaxes(autorange="reversed")
        return figure.update_layout(
            coloraxis={"colorscale": "PuOr", "reversescale": True, "cmin": -self._reach,
                       "cmax": self._reach, "colorbar": {"title": "points"}},
            height=32 * sum(heights) + 240, margin_b=150,
        )  # fmt: skip
