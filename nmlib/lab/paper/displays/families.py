"""Figs. 6 to 8: accuracy by corruption and by family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmlib import _checks
from nmlib.lab.cifar.conditions import PAPER_NAMES, conditions, in_paper
from nmlib.lab.cifar.records import by_corruption
from nmlib.lab.display.base import Shown
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OURS, PAPER, diamond, differing, ink, new_figure
from nmlib.lab.display.words import signed, small_print
from nmlib.metrics import CORRUPTION_FAMILIES
from nmlib.paper.audits import published_audit
from nmlib.paper.numbers import SPECS, load_pandas, read_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CorruptionDifferenceDisplay",
    "FamilyDisplay",
]


_CORRUPTIONS = [c for names in CORRUPTION_FAMILIES.values() for c in names]
_FAMILY_OF = {c: family for family, names in CORRUPTION_FAMILIES.items() for c in names}


def _ours_by_corruption(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return measured accuracies under the paper's names, corruptions by methods."""
    return load_pandas().DataFrame(by_corruption(in_paper(records))).rename(columns=PAPER_NAMES)


def _by_corruption(table: int) -> pd.DataFrame:
    """Return a table of accuracies, corruptions by methods, both in the paper's order."""
    if table not in range(6, 11):
        raise ValueError(f"accuracies by corruption are in Tables 6 to 10, not in Table {table}")
    found = read_table(table)
    wide = found.pivot(index="corruption", columns="method", values="value")
    return wide.loc[_CORRUPTIONS, found["method"].unique()]


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
class FamilyDisplay(Shown):
    """Mean accuracy by family of corruptions: Figs. 6 to 8 redrawn from Tables 6 to 10.

    Attributes:
        table: 6 to 10.
        means: Families by methods, in percent.
        ours: The same of our results, drawn filled; no columns if there are none.
        conditions: What ours were measured on.

    Source: paper Fig. 6 (Table 6), Figs. 7 and 8 (Tables 7 to 10).

    >>> round(float(FamilyDisplay.fig6().means["NoisyMix"]["noise"]), 2)
    52.43
    """

    table: int
    means: pd.DataFrame
    ours: pd.DataFrame
    conditions: str = ""

    @classmethod
    def from_table(
        cls,
        table: int,
        *,
        ours: Mapping[str, Mapping[str, float]] | None = None,
        conditions: str = "",
    ) -> FamilyDisplay:
        """Average a table of corruptions by family; `ours`: by method, then by corruption."""
        own = load_pandas().DataFrame({} if ours is None else ours, index=_CORRUPTIONS)
        means, mine = (
            rows.groupby(_FAMILY_OF, sort=False).mean() for rows in (_by_corruption(table), own)
        )
        return cls(table, means, mine, conditions)

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Any]], *, table: int = 7) -> FamilyDisplay:
        """Put measured records (`nmlib.lab.cifar.records`) beside Table 7, 8, 9 or 10."""
        return cls.from_table(
            table, ours=_ours_by_corruption(records), conditions=conditions(in_paper(records))
        )

    @classmethod
    def fig6(cls) -> FamilyDisplay:
        """Fig. 6: ImageNet-C, ResNet-50."""
        return cls.from_table(6)

    @property
    def summary(self) -> str:
        best = ", ".join(
            f"{family}: {top} {self.means[top][family]:.1f}"
            for family, top in self.means.idxmax(axis=1).items()
        )
        text = f"Table {self.table}, mean accuracy in percent, best by family: {best}."
        wrong = _flagged(self.table)
        if wrong:
            text += f" Rows that do not fit their printed average: {', '.join(wrong)}."
        return text

    def plot(self) -> Any:
        """Draw a panel for each family, methods by their mean."""
        wrong = _flagged(self.table)
        order = self.means.mean().sort_values(kind="stable").index.tolist()
        order += [m for m in self.ours if m not in order]
        figure = new_figure(10.5, 0.33 * len(order) + 1.5)
        axes = figure.subplots(1, 4, sharey=True)
        for ax, family in zip(axes, CORRUPTION_FAMILIES, strict=True):
            best = self.means.loc[family].idxmax()
            for y, method in enumerate(order):
                if method in self.means:
                    x = self.means[method][family]
                    look = diamond(mew=2.2 if method == best else 1.2)
                    if method in wrong:
                        look |= {"marker": "x", "ms": 7}
                    ax.plot(x, y, **look)
                    if method == best:
                        ax.annotate(f"{x:.1f}", (x, y), (0, 7), textcoords="offset points",
                                    ha="center", fontsize=8.5, weight="bold")  # fmt: skip
                if method in self.ours:
                    ax.plot(self.ours[method][family], y - 0.18, "o", ms=5, color=OURS)
            ax.set_title(family, fontsize=10)
            ax.set_xlabel("accuracy (%)", fontsize=9)
            ax.grid(color="0.93")
            ax.set_axisbelow(True)
            ax.margins(x=0.14)
            ax.set_ylim(-0.6, len(order) - 0.25)
        names = [f"{m} †" if m in wrong else m for m in order]
        axes[0].set_yticks(range(len(order)), names, fontsize=9)
        handles = [axes[0].plot([], [], label="paper", **diamond())[0]]
        if wrong:
            look = diamond(marker="x", ms=7, label="paper, † see below")
            handles.append(axes[0].plot([], [], **look)[0])
        if not self.ours.empty:
            handles.append(axes[0].plot([], [], "o", color=OURS, label="ours")[0])
        figure.legend(handles=handles, fontsize=8, loc="outside upper right", ncols=3)
        text = (
            f"mean over the corruptions of a family; paper: Table {self.table}, "
            f"{SPECS[self.table].network}; bold: best"
        )
        if wrong:
            text += "\n" + _flag_text(self.table, wrong)
        if self.conditions:
            text += f"\nours: {self.conditions}"
        small_print(figure, text)
        return figure


@dataclass(frozen=True, eq=False)
class CorruptionDifferenceDisplay(Shown):
    """Accuracy by corruption minus that of a reference method (Tables 6 to 10).

    Attributes:
        table: 6 to 10.
        reference: Method that is subtracted.
        rows: The paper's accuracies, corruptions by methods, in percent.
        ours: The same of our results, with the reference; no columns if there are none.
        conditions: What ours were measured on.

    Source: paper Tables 6 to 10.
    """

    table: int
    reference: str
    rows: pd.DataFrame
    ours: pd.DataFrame
    conditions: str = ""

    @classmethod
    def from_table(
        cls,
        table: int,
        *,
        reference: str = "Baseline",
        ours: Mapping[str, Mapping[str, float]] | None = None,
        conditions: str = "",
    ) -> CorruptionDifferenceDisplay:
        """Take a table of corruptions; `ours`: by method, then by corruption, in percent.

        Raises:
            ValueError: If a side lacks the reference or a corruption.
        """
        rows = _by_corruption(table)
        _checks.choice("reference", reference, rows)
        own = load_pandas().DataFrame({} if ours is None else ours, index=_CORRUPTIONS)
        if not own.empty and reference not in own:
            raise ValueError(f"ours lacks the reference {reference!r}; it has {sorted(own)}")
        for method in own:
            lacking = own.index[own[method].isna()]
            if len(lacking):
                raise ValueError(f"ours, {method!r} lacks {', '.join(lacking)}")
        return cls(table, reference, rows, own, conditions)

    @classmethod
    def from_records(
        cls,
        records: Sequence[Mapping[str, Any]],
        *,
        table: int = 7,
        reference: str = "Baseline",
    ) -> CorruptionDifferenceDisplay:
        """Put measured records (`nmlib.lab.cifar.records`) below Table 7, 8, 9 or 10.

        Args:
            records: Means over their seeds are shown, for the schemes that the tables have.
            table: 7 to 10.
            reference: Method that is subtracted, on both sides.
        """
        return cls.from_table(
            table, reference=reference, ours=_ours_by_corruption(records),
            conditions=conditions(in_paper(records)),
        )  # fmt: skip

    def difference(self, *, ours: bool = False) -> tuple[list[str], Any]:
        """Return methods and (methods, 15) differences in points, largest mean last."""
        rows = self.ours if ours else self.rows
        gains = rows.drop(columns=self.reference).sub(rows[self.reference], axis=0)
        methods = gains.mean().sort_values(kind="stable").index.tolist()
        return methods, gains[methods].to_numpy().T

    @property
    def summary(self) -> str:
        methods, table = self.difference()
        at = methods.index("NoisyMix")
        most, least = int(table[at].argmax()), int(table[at].argmin())
        text = (
            f"Table {self.table} minus {self.reference}, in points. NoisyMix: "
            f"{table[at].mean():+.1f} on average, from {table[at, least]:+.1f} "
            f"({_CORRUPTIONS[least].replace('_', ' ')}) to {table[at, most]:+.1f} "
            f"({_CORRUPTIONS[most].replace('_', ' ')})."
        )
        if not self.ours.empty:
            methods, table = self.difference(ours=True)
            means = ", ".join(
                f"{m} {row.mean():+.1f}" for m, row in zip(methods, table, strict=True)
            )
            text += f" Ours, on average: {means}."
        return text

    def plot(self) -> Any:
        """Draw the paper's differences as a heat map, and ours below on the same scale."""
        panels = [("paper", *self.difference())]
        if not self.ours.empty:
            panels.append(("ours", *self.difference(ours=True)))
        heights = [len(p[1]) for p in panels]
        figure = new_figure(11.5, 0.36 * sum(heights) + 2.0 + 0.5 * (len(panels) - 1))
        axes = figure.subplots(
            len(panels), 1, squeeze=False, sharex=True, height_ratios=heights
        ).ravel()
        reach = max(float(np.abs(p[2]).max()) for p in panels)
        wrong = _flagged(self.table)
        for ax, (name, methods, table) in zip(axes, panels, strict=True):
            picture = ax.imshow(table, cmap=differing(), vmin=-reach, vmax=reach, aspect="auto")
            for (i, j), value in np.ndenumerate(table):
                ax.text(
                    j, i, signed(value, 0), ha="center", va="center",
                    fontsize=8.5, style="italic" if name == "paper" else "normal",
                    color=ink(value, reach),
                )  # fmt: skip
            flagged = wrong if name == "paper" else {}
            ax.set_yticks(
                range(len(methods)), [f"{m} †" if m in flagged else m for m in methods], fontsize=9
            )
            ax.set_xticks(range(15), [c.replace("_", "\n") for c in _CORRUPTIONS], fontsize=7.5)
            edge = -0.5
            for names in list(CORRUPTION_FAMILIES.values())[:-1]:
                edge += len(names)
                ax.axvline(edge, color="black", lw=1)
            ax.tick_params(length=0)
            ax.set_title(name, loc="left", fontsize=10, **(
                {"style": "italic", "color": PAPER} if name == "paper" else {"weight": "bold"}
            ))  # fmt: skip
        start = -0.5
        for family, names in CORRUPTION_FAMILIES.items():
            axes[0].text(
                start + len(names) / 2, 1.02, family, ha="center", fontsize=9,
                transform=axes[0].get_xaxis_transform(),
            )  # fmt: skip
            start += len(names)
        figure.colorbar(picture, ax=list(axes), pad=0.01, label=f"points over {self.reference}")
        text = f"paper: Table {self.table}, {SPECS[self.table].network}"
        if self.conditions:
            text += f"; ours: {self.conditions}"
        if wrong:
            text += "\n" + _flag_text(self.table, wrong)
        small_print(figure, text)
        return figure

    def plotly(self) -> Any:
        """Return the heat maps as an interactive figure."""
        from plotly.subplots import make_subplots

        panels = [(f"Table {self.table} of the paper", *self.difference())]
        if not self.ours.empty:
            data = Conditions.of(self.conditions).data
            panels.append((f"ours, {data}", *self.difference(ours=True)))
        heights = [len(methods) for _, methods, _ in panels]
        figure = make_subplots(
            len(panels), 1, shared_xaxes=True, row_heights=heights, vertical_spacing=0.09,
            subplot_titles=[f"{title}, minus {self.reference}" for title, _, _ in panels],
        )  # fmt: skip
        for row, (title, methods, table) in enumerate(panels, 1):
            figure.add_heatmap(
                z=table, x=[c.replace("_", " ") for c in _CORRUPTIONS], y=methods, name=title,
                coloraxis="coloraxis", row=row, col=1,
                hovertemplate="%{y}, %{x}: %{z:+.1f} points<extra></extra>",
            )  # fmt: skip
        reach = max(float(np.abs(table).max()) for _, _, table in panels)
        figure.update_yaxes(autorange="reversed")
        return figure.update_layout(
            coloraxis={"colorscale": "PuOr", "reversescale": True, "cmin": -reach, "cmax": reach,
                       "colorbar": {"title": "points"}},
            template="simple_white", width=900, height=32 * sum(heights) + 190,
        )  # fmt: skip
