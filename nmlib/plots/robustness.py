"""Pictures of robustness: corruption radar, family bars, reliability diagrams, flip curves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nmlib import _checks
from nmlib.corruptions import CORRUPTIONS, PERTURBATIONS
from nmlib.evaluation import CorruptionReport, PerturbationReport, Predictions
from nmlib.metrics import CORRUPTION_FAMILIES, ReliabilityCurve, reliability_curve
from nmlib.paper._tables import SPECS
from nmlib.plots.shown import Shown
from nmlib.plots.style import LANE_LABELS, OKABE_ITO, PAPER_STYLE, new_figure
from nmlib.reproduction.compared import conditions as conditions_of
from nmlib.reproduction.ordering import published_by_corruption

__all__ = [
    "CorruptionRadarDisplay",
    "FamilyBarsDisplay",
    "FlipBarsDisplay",
    "FlipCurvesDisplay",
    "Measured",
    "ReliabilityDisplay",
    "rows_of_records",
    "scheme_label",
]

# Colour, marker, line and hatch go together: each alone tells the schemes apart. Yellow and sky
# blue are too pale for lines on white, so they come last.
_COLOURS = (
    OKABE_ITO["black"], OKABE_ITO["blue"], OKABE_ITO["orange"], OKABE_ITO["bluish green"],
    OKABE_ITO["reddish purple"], OKABE_ITO["sky blue"], "#999999", OKABE_ITO["yellow"],
)  # fmt: skip
_OURS = OKABE_ITO["vermilion"]
_MARKERS = ("o", "^", "v", "D", "P", "X", "<", ">")
_DASHES: tuple[Any, ...] = (
    "-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 1, 2)),
)  # fmt: skip
_HATCHES = ("", "///", "...", "\\\\\\", "xx", "--", "oo", "++")
_PLOTLY_MARKERS = (
    "circle", "triangle-up", "triangle-down", "diamond", "cross", "x", "triangle-left",
    "triangle-right",
)  # fmt: skip
_PLOTLY_DASHES = ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot", "solid", "dash")
_PLOTLY_HATCHES = ("", "/", ".", "\\", "x", "-", "|", "+")
_PAPER_COLOUR = "#595959"
# The accuracy of so few predictions says little: such bars are pale.
_FEW, _PALE = 10, "#a6c8e4"

_SHORT = {
    "gaussian_noise": "gaussian", "shot_noise": "shot", "impulse_noise": "impulse",
    "defocus_blur": "defocus", "glass_blur": "glass", "motion_blur": "motion",
    "zoom_blur": "zoom", "elastic_transform": "elastic", "jpeg_compression": "JPEG",
}  # fmt: skip
_SCHEMES = {
    "stability_training": "Stability training",
    "cutmix": "CutMix",
    "puzzlemix": "PuzzleMix",
    "augmix": "AugMix",
    "augmix_no_jsd": "AugMix without JSD",
    "augmax": "AugMax",
}

Rows = Iterable[Mapping[str, Any]]
Records = Sequence[Mapping[str, Any]]
Paper = Mapping[str, Mapping[str, float]]


def scheme_label(name: str) -> str:
    """Return what figures call a scheme.

    >>> scheme_label("puzzlemix"), scheme_label("mixup")
    ('PuzzleMix', 'Mixup')
    """
    known = LANE_LABELS | _SCHEMES
    return known.get(name, name.replace("_", " ").capitalize() if name.islower() else name)


@dataclass(frozen=True)
class _Look:
    """How a scheme is drawn, in matplotlib and in plotly."""

    colour: str
    marker: str
    dash: Any
    hatch: str
    symbol: str
    plotly_dash: str
    plotly_hatch: str

    @property
    def bar(self) -> str:
        # Whole bars of black outshine all others.
        return "#4d4d4d" if self.colour == OKABE_ITO["black"] else self.colour


def _looks(schemes: Sequence[str]) -> dict[str, _Look]:
    """Give every scheme a look; NoisyMix has the same one in all figures."""
    looks, number = {}, 0
    for scheme in schemes:
        if scheme == "noisymix":
            looks[scheme] = _Look(_OURS, "s", "-", "", "square", "solid", "")
            continue
        # The ninth scheme has the first one's colour, so it gets another marker and line.
        k, other = number % 8, (number + 3 * (number // 8)) % 8
        looks[scheme] = _Look(
            _COLOURS[k], _MARKERS[other], _DASHES[other], _HATCHES[other], _PLOTLY_MARKERS[other],
            _PLOTLY_DASHES[other], _PLOTLY_HATCHES[other],
        )  # fmt: skip
        number += 1
    return looks


@dataclass(frozen=True)
class Measured:
    """Values of one scheme, one array entry a training seed.

    Attributes:
        scheme: Name.
        values: Name of a column -> (seeds,) values in percent.
    """

    scheme: str
    values: Mapping[str, NDArray[np.float64]]

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return max(len(v) for v in self.values.values())

    def means(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return the means over seeds, NaN where nothing was measured."""
        return np.array([self.values[n].mean() if n in self.values else np.nan for n in names])

    def spread(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Return (2, names): how far the lowest and the highest seed are from the mean."""
        low, high = [], []
        for name, mean in zip(names, self.means(names), strict=True):
            values = self.values.get(name, np.array([np.nan]))
            low.append(mean - values.min())
            high.append(values.max() - mean)
        return np.maximum(np.array([low, high]), 0)


def _gather(rows: Rows, name: str, value: str) -> tuple[Measured, ...]:
    """Average a tidy table over everything but scheme, seed and the column `name`."""
    cells: dict[str, dict[str, dict[Any, list[float]]]] = {}
    for row in rows:
        by_seed = cells.setdefault(str(row["scheme"]), {}).setdefault(str(row[name]), {})
        by_seed.setdefault(row.get("seed"), []).append(100 * float(row[value]))
    if not cells:
        raise ValueError("there are no rows to draw")
    return tuple(
        Measured(
            scheme,
            {n: np.array([np.mean(v) for v in seeds.values()]) for n, seeds in columns.items()},
        )
        for scheme, columns in cells.items()
    )


def _rows_of(reports: Any) -> list[dict[str, Any]]:
    """Return the rows of reports, {label: report or reports of several seeds} or a sequence."""
    if not isinstance(reports, Mapping):
        return [row for report in reports for row in report.rows]
    rows = []
    for label, several in reports.items():
        several = several if isinstance(several, Sequence) else [several]
        for number, report in enumerate(several):
            seed = report.key.get("seed")
            rows += [
                {**row, "scheme": label, "seed": number if seed is None else seed}
                for row in report.rows
            ]
    return rows


def rows_of_records(
    records: Records, value: Literal["accuracy", "flip_probability"] = "accuracy"
) -> list[dict[str, Any]]:
    """Return the measured records of a grid as a tidy table for the displays here.

    Args:
        records: As from `nmlib.reproduction.measured`.
        value: "accuracy" (a row for each corruption and severity, and one for clean images) or
            "flip_probability" (a row for each perturbation; records without any are left out).

    Returns:
        Rows keyed (dataset, model, scheme, seed, corruption, severity) or (..., perturbation).
    """
    _checks.choice("value", value, ("accuracy", "flip_probability"))
    rows = []
    for record in records:
        key = {k: record[k] for k in ("dataset", "model", "scheme", "seed")}
        if value == "flip_probability":
            images = {"images": record.get("sequence_images")}
            flips = record.get("flip_probability") or {}
            rows += [key | images | {"perturbation": n, value: v} for n, v in flips.items()]
            continue
        images = {"images": record["test_images"]}
        clean = {"corruption": "clean", "severity": 0, value: record["clean_accuracy"]}
        rows.append(key | images | clean)
        for name, levels in record["accuracy"].items():
            rows += [
                key | images | {"corruption": name, "severity": k, value: v}
                for k, v in enumerate(levels, 1)
            ]
    return rows


def _chosen(records: Records, schemes: Sequence[str] | None) -> list[Mapping[str, Any]]:
    """Return the records of some schemes, in the order in which these are named."""
    if schemes is None:
        return list(records)
    present = dict.fromkeys(r["scheme"] for r in records)
    for scheme in schemes:
        _checks.choice("measured scheme", scheme, present)
    return [r for scheme in schemes for r in records if r["scheme"] == scheme]


def _published(
    paper: Paper | int | None, schemes: Iterable[str], *, clean: bool = False
) -> tuple[Paper | None, str]:
    """Return the paper's numbers of the schemes that a table has, and what to say of them."""
    if not isinstance(paper, int):
        return paper, ""
    there = set(schemes)
    found = {s: v for s, v in published_by_corruption(paper).items() if s in there}
    table = f"Table {paper}"
    if clean:
        table += f" (clean: Table {2 if paper < 9 else 3})"
    return found, f"\npaper: {table}, {SPECS[paper].network}"


def _wrapped(text: str, width: float) -> str:
    """Break small print into lines of a figure `width` inches wide."""
    lines = (textwrap.wrap(part, int(19 * width)) for part in text.split("\n"))
    return "\n".join(line for part in lines for line in part)


def _conditions(rows: Rows, per: str) -> str:
    """Say what the rows are: data, images, networks, seeds."""
    rows = list(rows)
    seeds = {(row["scheme"], row.get("seed")) for row in rows}
    each = [sum(s == scheme for s, _ in seeds) for scheme in {scheme for scheme, _ in seeds}]
    least, most = min(each), max(each)
    count = (
        f"{least} seed{'s' if least > 1 else ''}" if least == most else f"{least} to {most} seeds"
    )
    severities = sorted({row["severity"] for row in rows if row.get("severity")})
    parts = [
        " and ".join(dict.fromkeys(str(row[name]) for row in rows)) for name in ("dataset", "model")
    ]
    counts = sorted({int(row["images"]) for row in rows})
    parts.append(f"{' or '.join(f'{n:,}' for n in counts)} images")
    if severities:
        levels = "1 to 5" if severities == [1, 2, 3, 4, 5] else ", ".join(map(str, severities))
        parts.append(f"severity {levels}")
    parts.append(f"{count} a scheme")
    return ", ".join(parts) + (f"; {per}" if most > 1 else "")


def _in_paper(paper: Paper | None, names: Sequence[str], schemes: Sequence[str]) -> dict[str, Any]:
    """Check the paper's numbers; return them by scheme as arrays in the order of `names`."""
    found = {}
    for scheme in paper or {}:
        _checks.choice("scheme of the paper", scheme, schemes)
    for scheme in schemes:
        if not paper or scheme not in paper:
            continue
        values = paper[scheme]
        row = np.array([float(values.get(n, np.nan)) for n in names])
        if np.nanmax(row) <= 1:
            raise ValueError(
                f"the paper's numbers for {scheme} must be in percent, got {np.nanmax(row):.3g} "
                "as the largest"
            )
        found[scheme] = row
    return found


def _small_print(figure: Any, text: str) -> None:
    if text:
        figure.supxlabel(text, fontsize=7.5, color="0.35", x=0.99, ha="right")


def _short(name: str) -> str:
    return _SHORT.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class CorruptionRadarDisplay(Shown):
    """Accuracy under each of the 15 corruptions, around a circle.

    Attributes:
        measured: One entry a scheme; columns are corruptions.
        paper: Scheme -> (names,) percent, the paper's numbers, or nothing.
        names: Corruptions, clockwise from the top.
        conditions: Small print: data, network, seeds.

    Source: paper Tables 7 to 10; their means are those of Fig. 2.
    """

    flat = True

    measured: tuple[Measured, ...]
    paper: Mapping[str, NDArray[np.float64]]
    names: tuple[str, ...] = CORRUPTIONS
    conditions: str = ""

    @classmethod
    def from_rows(cls, rows: Rows, *, paper: Paper | None = None) -> CorruptionRadarDisplay:
        """Draw a tidy table, such as a measured one.

        Args:
            rows: With dataset, model, scheme, seed, corruption, severity, images and accuracy in
                [0, 1]; other corruptions than the 15, and clean images, are left out.
            paper: Scheme -> corruption -> percent, from the paper's Tables 7 to 10.
        """
        rows = [row for row in rows if row["corruption"] in CORRUPTIONS]
        measured = _gather(rows, "corruption", "accuracy")
        there = {n for m in measured for n in m.values}
        names = tuple(n for n in CORRUPTIONS if n in there)
        schemes = [m.scheme for m in measured]
        text = _conditions(rows, "means over seeds")
        return cls(measured, _in_paper(paper, names, schemes), names, text)

    @classmethod
    def from_reports(
        cls,
        reports: Mapping[str, CorruptionReport | Sequence[CorruptionReport]],
        *,
        paper: Paper | None = None,
    ) -> CorruptionRadarDisplay:
        """Draw reports, {scheme: report, or reports of several seeds}."""
        return cls.from_rows(_rows_of(reports), paper=paper)

    @classmethod
    def from_records(
        cls,
        records: Records,
        *,
        schemes: Sequence[str] | None = None,
        paper: Paper | int | None = None,
    ) -> CorruptionRadarDisplay:
        """Draw a measured grid.

        Args:
            records: As from `nmlib.reproduction.measured`.
            schemes: Which, in this order; default all.
            paper: As in `from_rows`, or the number of a table, 7 to 10.
        """
        kept = _chosen(records, schemes)
        text = conditions_of(kept)
        numbers, source = _published(paper, (r["scheme"] for r in kept))
        display = cls.from_rows(rows_of_records(kept), paper=numbers)
        return replace(display, conditions=f"ours: {text}{source}")

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for m in self.measured:
            means = m.means(self.names)
            worst, best = self.names[np.nanargmin(means)], self.names[np.nanargmax(means)]
            parts.append(
                f"{scheme_label(m.scheme)} {np.nanmin(means):.1f} % ({_short(worst)}) to "
                f"{np.nanmax(means):.1f} % ({_short(best)}), mean {np.nanmean(means):.1f} %"
            )
        return f"Accuracy under {len(self.names)} corruptions. " + "; ".join(parts) + "."

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib, on polar axes; return the figure."""
        figure = None
        if ax is None:
            # Placed by hand: automatic layouts forget the names around a round plot.
            figure = new_figure(8.2, 5.9)
            figure.set_layout_engine("none")
            ax = figure.add_axes((0.95 / 8.2, 0.85 / 5.9, 4.6 / 8.2, 4.6 / 5.9), projection="polar")
        if ax.name != "polar":
            raise ValueError("a radar needs polar axes: figure.add_subplot(projection='polar')")
        angles = np.linspace(0, 2 * np.pi, len(self.names), endpoint=False)
        closed = np.append(angles, angles[0])
        looks = _looks([m.scheme for m in self.measured])
        ax.set_theta_offset(np.pi / 2)
        ax.set_theta_direction(-1)
        self._family_arcs(ax, angles)
        for m in self.measured:
            means, look = m.means(self.names), looks[m.scheme]
            front = m.scheme == "noisymix"
            ax.plot(
                closed, np.append(means, means[0]), color=look.colour, ls=look.dash,
                marker=look.marker, ms=4.5, lw=2.2 if front else 1.4, zorder=4 if front else 3,
                label=scheme_label(m.scheme),
            )  # fmt: skip
        for scheme, values in self.paper.items():
            # White inside, or the line would show through the marker.
            style = PAPER_STYLE | {
                "marker": looks[scheme].marker, "linestyle": ":", "markerfacecolor": "white",
            }  # fmt: skip
            ax.plot(
                closed, np.append(values, values[0]), ms=6, lw=1, zorder=2,
                label=f"{scheme_label(scheme)} in the paper", **style,
            )  # fmt: skip
        ax.set_ylim(0, 100)
        ax.set_yticks([20, 40, 60, 80, 100], ["20", "40", "60", "80", "100 %"], fontsize=8)
        # Between two spokes, where no line has its markers.
        ax.set_rlabel_position(np.degrees(angles[1]) / 2)
        ax.set_xticks(angles, [_short(n) for n in self.names], fontsize=9)
        for label, angle in zip(ax.get_xticklabels(), angles, strict=True):
            side = np.sin(angle)
            label.set_ha("center" if abs(side) < 0.2 else "left" if side > 0 else "right")
        ax.grid(color="0.82")
        shown = {"fontsize": 8.5, "frameon": False}
        if figure is None:
            ax.legend(loc="upper left", bbox_to_anchor=(1.14, 1.0), **shown)
        else:
            figure.legend(loc="upper right", bbox_to_anchor=(0.995, 0.99), **shown)
            text = _wrapped(self.conditions, 8.2)
            figure.text(0.99, 0.01, text, fontsize=7.5, color="0.35", ha="right", va="bottom")
        return figure or ax.figure

    def _family_arcs(self, ax: Any, angles: NDArray[np.float64]) -> None:
        half = np.pi / len(self.names)
        for number, (family, names) in enumerate(CORRUPTION_FAMILIES.items()):
            there = [i for i, n in enumerate(self.names) if n in names]
            if not there:
                continue
            ax.text(
                angles[there].mean(), 14, family, ha="center", va="center", fontsize=8,
                style="italic", color="0.4",
            )  # fmt: skip
            if number % 2 == 0:
                span = np.linspace(angles[there[0]] - half, angles[there[-1]] + half, 60)
                ax.fill_between(span, 0, 100, color="0.5", alpha=0.14, lw=0, zorder=0)

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure()
        looks = _looks([m.scheme for m in self.measured])
        names = [_short(n) for n in (*self.names, self.names[0])]
        for m in self.measured:
            look, means = looks[m.scheme], m.means(self.names)
            ours = m.scheme == "noisymix"
            figure.add_scatterpolar(
                r=np.append(means, means[0]).round(2).tolist(), theta=names, mode="lines+markers",
                name=scheme_label(m.scheme), hovertemplate="%{theta}: %{r:.1f} %",
                line={
                    "color": look.colour, "dash": look.plotly_dash,
                    "width": 3 if ours else 2,
                },
                marker={"symbol": look.symbol, "size": 7},
            )  # fmt: skip
        for scheme, values in self.paper.items():
            symbol = looks[scheme].symbol
            figure.add_scatterpolar(
                r=np.append(values, values[0]).tolist(), theta=names, mode="lines+markers",
                name=f"{scheme_label(scheme)} in the paper", hovertemplate="%{theta}: %{r:.1f} %",
                line={"color": _PAPER_COLOUR, "dash": "dot", "width": 1},
                marker={"symbol": f"{symbol}-open", "size": 8},
            )  # fmt: skip
        figure.update_polars(
            angularaxis={"direction": "clockwise", "rotation": 90},
            # Between the first two spokes.
            radialaxis={
                "range": [0, 100],
                "ticksuffix": " %",
                "showticksuffix": "last",
                "angle": 90 - 180 / len(self.names),
                "tickangle": 0,
                "dtick": 20,
            },
        )
        title = {"text": self.conditions, "font": {"size": 12}}
        return figure.update_layout(template="plotly_white", title=title, height=560)


@dataclass(frozen=True)
class _BarsDisplay(Shown):
    """Groups of bars, one bar a scheme, with the paper's numbers as diamonds."""

    measured: tuple[Measured, ...]
    paper: Mapping[str, NDArray[np.float64]]
    groups: tuple[str, ...]
    conditions: str = ""

    flat = True
    _label: ClassVar[str] = "accuracy (%)"
    _words: ClassVar[str] = "Accuracy in percent by family of corruptions."
    _top: ClassVar[float | None] = 100
    # Inches a group.
    _room: ClassVar[float] = 1.15

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for m in self.measured:
            means = m.means(self.groups)
            numbers = (f"{_words(g)} {v:.1f}" for g, v in zip(self.groups, means, strict=True))
            parts.append(f"{scheme_label(m.scheme)}: {', '.join(numbers)}")
        return f"{self._words} " + "; ".join(parts) + "."

    def plot(self, ax: Any = None) -> Any:
        """Draw with matplotlib; return the figure."""
        figure = None
        wide = 2.2 + self._room * len(self.groups) + 0.12 * len(self.measured)
        if ax is None:
            figure = new_figure(wide, 3.9)
            ax = figure.add_subplot()
        looks = _looks([m.scheme for m in self.measured])
        width = 0.82 / len(self.measured)
        at = np.arange(len(self.groups))
        for number, m in enumerate(self.measured):
            look = looks[m.scheme]
            x = at + (number - (len(self.measured) - 1) / 2) * width
            spread = m.spread(self.groups) if m.seeds > 1 else None
            ax.bar(
                x, m.means(self.groups), 0.92 * width, color=look.bar, edgecolor="white",
                hatch=look.hatch,
                linewidth=0, yerr=spread, error_kw={"lw": 1, "capsize": 2, "ecolor": "0.3"},
                label=scheme_label(m.scheme),
            )  # fmt: skip
            if m.scheme in self.paper:
                # A white rim, since the diamond may lie on a black bar.
                ax.plot(x, self.paper[m.scheme], "D", ms=6.6, mfc="none", mec="white", mew=2.6)
                style = PAPER_STYLE | {"color": "0.2"}
                named = not any("paper" in str(a.get_label()) for a in ax.lines)
                ax.plot(
                    x, self.paper[m.scheme], ms=6, label="in the paper" if named else None, **style
                )
        ax.set_xticks(at, [_short(g) for g in self.groups])
        ax.set_ylim(0, self._top)
        ax.set_ylabel(self._label)
        ax.grid(axis="y", color="0.9")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        entries = sorted(
            zip(*ax.get_legend_handles_labels(), strict=True), key=lambda e: "paper" in e[1]
        )
        ax.legend(
            *zip(*entries, strict=True), loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5,
            frameon=False,
        )  # fmt: skip
        if figure is not None:
            _small_print(figure, _wrapped(self.conditions, wide))
        return figure or ax.figure

    def plotly(self) -> Any:
        """Return the interactive form."""
        import plotly.graph_objects as go

        figure = go.Figure()
        looks = _looks([m.scheme for m in self.measured])
        groups = [_words(g) for g in self.groups]
        for m in self.measured:
            look, spread = looks[m.scheme], m.spread(self.groups)
            figure.add_bar(
                x=groups, y=m.means(self.groups).round(2).tolist(), name=scheme_label(m.scheme),
                offsetgroup=m.scheme, hovertemplate="%{x}: %{y:.1f} %",
                marker={
                    "color": look.bar,
                    "pattern": {"shape": look.plotly_hatch, "fgcolor": "white", "size": 6},
                },
                error_y={
                    "array": spread[1].tolist(), "arrayminus": spread[0].tolist(),
                    "visible": m.seeds > 1, "thickness": 1,
                },
            )  # fmt: skip
        named = False
        for m in self.measured:
            if m.scheme in self.paper:
                # A bar without a body stands where the bar of the same group stands.
                figure.add_scatter(
                    x=groups, y=self.paper[m.scheme].tolist(), mode="markers",
                    offsetgroup=m.scheme, name="in the paper", legendgroup="paper",
                    showlegend=not named, hovertemplate=f"{scheme_label(m.scheme)}: %{{y:.1f}} %",
                    marker={"symbol": "diamond-open", "color": _PAPER_COLOUR, "size": 9},
                )  # fmt: skip
                named = True
        figure.update_yaxes(range=[0, self._top], title=self._label)
        title = {"text": _wrapped(self.conditions, 7).replace("\n", "<br>"), "font": {"size": 12}}
        return figure.update_layout(
            template="plotly_white", barmode="group", scattermode="group", title=title
        )


@dataclass(frozen=True)
class FamilyBarsDisplay(_BarsDisplay):
    """Mean accuracy by family of corruptions, a group of bars each.

    Attributes:
        measured: One entry a scheme; columns are the groups.
        paper: Scheme -> (groups,) percent, the paper's numbers, or nothing.
        groups: "clean", families, "all 15" or how many there are.
        conditions: Small print: data, network, seeds.

    Source: paper Figs. 7 and 8.
    """

    @classmethod
    def from_rows(cls, rows: Rows, *, paper: Paper | None = None) -> FamilyBarsDisplay:
        """Draw a tidy table, such as a measured one.

        Args:
            rows: With dataset, model, scheme, seed, corruption, severity, images and accuracy in
                [0, 1]. Corruption "clean" makes a group of its own.
            paper: Scheme -> corruption -> percent, from the paper's Tables 7 to 10; "clean" too.
        """
        rows = [row for row in rows if row["corruption"] in (*CORRUPTIONS, "clean")]
        single = _gather(rows, "corruption", "accuracy")
        there = {n for m in single for n in m.values} - {"clean"}
        if not there:
            raise ValueError("there are no rows with one of the 15 corruptions")
        last = f"all {len(there)}"
        groups = {"clean": ("clean",)} | CORRUPTION_FAMILIES | {last: CORRUPTIONS}
        grouped = []
        for m in single:
            values = {}
            for group, names in groups.items():
                found = [m.values[n] for n in names if n in m.values]
                if found:
                    values[group] = np.mean(found, axis=0)
            grouped.append(Measured(m.scheme, values))
        kept = tuple(g for g in groups if any(g in m.values for m in grouped))
        means = {
            scheme: {
                group: float(np.mean([values[n] for n in names if n in values]))
                for group, names in groups.items()
                # A mean over other corruptions would be another number.
                if any(n in values for n in names)
                and all(n in values for n in names if n in there or n == "clean")
            }
            for scheme, values in (paper or {}).items()
        }
        text = _conditions(rows, "whiskers: lowest and highest seed")
        schemes = [m.scheme for m in grouped]
        return cls(tuple(grouped), _in_paper(means, kept, schemes), kept, text)

    @classmethod
    def from_reports(
        cls,
        reports: Mapping[str, CorruptionReport | Sequence[CorruptionReport]],
        *,
        paper: Paper | None = None,
    ) -> FamilyBarsDisplay:
        """Draw reports, {scheme: report, or reports of several seeds}."""
        return cls.from_rows(_rows_of(reports), paper=paper)

    @classmethod
    def from_records(
        cls,
        records: Records,
        *,
        schemes: Sequence[str] | None = None,
        paper: Paper | int | None = None,
    ) -> FamilyBarsDisplay:
        """Draw a measured grid.

        Args:
            records: As from `nmlib.reproduction.measured`.
            schemes: Which, in this order; default all.
            paper: As in `from_rows`, or the number of a table, 7 to 10.
        """
        kept = _chosen(records, schemes)
        text = conditions_of(kept)
        numbers, source = _published(paper, (r["scheme"] for r in kept), clean=True)
        display = cls.from_rows(rows_of_records(kept), paper=numbers)
        return replace(display, conditions=f"ours: {text}{_whiskers(display)}{source}")


@dataclass(frozen=True)
class FlipBarsDisplay(_BarsDisplay):
    """Flip probability by perturbation, a group of bars each, and their mean.

    Attributes:
        measured: One entry a scheme; columns are the groups.
        paper: Scheme -> (groups,) percent, the paper's numbers, or nothing.
        groups: Perturbations, and "mean" of them all.
        conditions: Small print: data, network, seeds.

    Source: paper Tables 13 and 14.
    """

    _label = "flip probability (%)"
    _words = "Flip probability in percent by perturbation."
    _top = None
    _room = 0.95

    @classmethod
    def from_rows(cls, rows: Rows, *, paper: Paper | None = None) -> FlipBarsDisplay:
        """Draw a tidy table, such as a measured one.

        Args:
            rows: With dataset, model, scheme, seed, perturbation, images and flip_probability in
                [0, 1].
            paper: Scheme -> perturbation -> percent, from the paper's Tables 13 and 14.
        """
        rows = list(rows)
        single = _gather(rows, "perturbation", "flip_probability")
        names = [n for n in PERTURBATIONS if any(n in m.values for m in single)]
        grouped = []
        for m in single:
            # A mean over fewer perturbations would be another number.
            mean = [m.values[n] for n in names if n in m.values]
            whole = {"mean": np.mean(mean, axis=0)} if len(mean) == len(names) else {}
            grouped.append(Measured(m.scheme, dict(m.values) | whole))
        means = {
            scheme: {**values, "mean": float(np.mean([values[n] for n in names]))}
            if all(n in values for n in names)
            else dict(values)
            for scheme, values in (paper or {}).items()
        }
        kept = (*names, "mean")
        text = _conditions(rows, "whiskers: lowest and highest seed")
        schemes = [m.scheme for m in grouped]
        return cls(tuple(grouped), _in_paper(means, kept, schemes), kept, text)

    @classmethod
    def from_reports(
        cls,
        reports: Mapping[str, PerturbationReport | Sequence[PerturbationReport]],
        *,
        paper: Paper | None = None,
    ) -> FlipBarsDisplay:
        """Draw reports, {scheme: report, or reports of several seeds}."""
        return cls.from_rows(_rows_of(reports), paper=paper)

    @classmethod
    def from_records(
        cls,
        records: Records,
        *,
        schemes: Sequence[str] | None = None,
        paper: Paper | int | None = None,
    ) -> FlipBarsDisplay:
        """Draw a measured grid; records without flip probabilities are left out.

        Args:
            records: As from `nmlib.reproduction.measured`.
            schemes: Which, in this order; default all.
            paper: As in `from_rows`, or the number of a table, 13 or 14.
        """
        kept = [r for r in _chosen(records, schemes) if r.get("flip_probability")]
        text = conditions_of(kept)
        numbers, source = _published(paper, (r["scheme"] for r in kept))
        display = cls.from_rows(rows_of_records(kept, "flip_probability"), paper=numbers)
        counts = sorted({int(r["sequence_images"]) for r in kept})
        shown = f", {' or '.join(map(str, counts))} sequences a perturbation"
        return replace(display, conditions=f"ours: {text}{shown}{_whiskers(display)}{source}")


def _whiskers(display: _BarsDisplay) -> str:
    several = any(m.seeds > 1 for m in display.measured)
    return "; whiskers: lowest and highest seed" if several else ""


@dataclass(frozen=True)
class ReliabilityDisplay(Shown):
    """Reliability diagrams: how often a model is right when it is so sure.

    Attributes:
        curves: Heading -> curve, one panel each.
        conditions: Small print: data, network.

    >>> display = ReliabilityDisplay.from_curves(
    ...     {"net": reliability_curve([[0.9, 0.1], [0.8, 0.2]], [0, 1], bins=5)}
    ... )
    >>> display.summary
    'Reliability. net: expected calibration error 45.0 %, too sure.'
    """

    flat = True

    curves: Mapping[str, ReliabilityCurve]
    conditions: str = ""

    @classmethod
    def from_curves(
        cls, curves: Mapping[str, ReliabilityCurve], *, conditions: str = ""
    ) -> ReliabilityDisplay:
        """Draw curves from `reliability_curve` or `CorruptionReport.reliability`."""
        if not curves:
            raise ValueError("there are no curves to draw")
        return cls(dict(curves), conditions)

    @classmethod
    def from_predictions(
        cls, predictions: Mapping[str, Predictions], *, bins: int = 15
    ) -> ReliabilityDisplay:
        """Draw the results of `evaluate`."""
        data = next(iter(predictions.values())).data if predictions else ""
        curves = {name: reliability_curve(p, bins=bins) for name, p in predictions.items()}
        return cls.from_curves(curves, conditions=data)

    @classmethod
    def from_report(cls, report: CorruptionReport) -> ReliabilityDisplay:
        """Draw a model on clean images beside the same model on all its corrupted sets."""
        curves = {"clean": reliability_curve(report.clean), "corrupted": report.reliability()}
        names = [str(report.key[k]) for k in ("dataset", "model") if report.key.get(k)]
        if report.key.get("scheme"):
            names.append(scheme_label(str(report.key["scheme"])))
        return cls(curves, ", ".join(names) + f"; corrupted: {report.coverage}, pooled")

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for name, curve in self.curves.items():
            filled = curve.count > 0
            lean = float((curve.gap[filled] * curve.count[filled]).sum())
            side = "too sure" if lean > 0 else "not sure enough"
            error = 100 * curve.error()
            parts.append(f"{name}: expected calibration error {error:.1f} %, {side}")
        return "Reliability. " + "; ".join(parts) + "."

    def plot(self, axes: Any = None) -> Any:
        """Draw with matplotlib; return the figure.

        Args:
            axes: One axes a curve; by default a new figure, with the histograms below.
        """
        figure, below = None, None
        if axes is None:
            count = len(self.curves)
            figure = new_figure(2.9 * count + 0.6, 5.0)
            grid = figure.subplots(
                2, count, squeeze=False, sharex=True, sharey="row",
                gridspec_kw={"height_ratios": [3.4, 1]},
            )  # fmt: skip
            axes, below = grid
        axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(axes) < len(self.curves):
            raise ValueError(f"{len(self.curves)} curves need as many axes, got {len(axes)}")
        for i, (ax, (name, curve)) in enumerate(zip(axes, self.curves.items(), strict=False)):
            self._panel(ax, name, curve)
            if below is not None:
                share = 100 * curve.count / curve.count.sum()
                below[i].bar(
                    curve.edges[:-1], share, np.diff(curve.edges), align="edge", color="0.6",
                    edgecolor="white", lw=0.6,
                )  # fmt: skip
                below[i].set_xlabel("confidence")
                below[i].spines[["top", "right"]].set_visible(False)
            else:
                ax.set_xlabel("confidence")
        axes[0].set_ylabel("accuracy")
        if below is not None:
            below[0].set_ylabel("predictions (%)")
        if figure is not None:
            # A panel may lack a kind of bar that another has.
            known = {
                label: handle for ax in axes
                for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
            }  # fmt: skip
            figure.legend(
                list(known.values()),
                list(known),
                loc="outside upper center",
                ncols=2,
                fontsize=8.5,
                frameon=False,
            )
            _small_print(figure, self.conditions)
        else:
            axes[0].legend(loc="upper left", fontsize=8)
        return figure or axes[0].figure

    def _panel(self, ax: Any, name: str, curve: ReliabilityCurve) -> None:
        filled = curve.count > 0
        left, width = curve.edges[:-1][filled], np.diff(curve.edges)[filled]
        accuracy, confidence = curve.accuracy[filled], curve.confidence[filled]
        few = curve.count[filled] < _FEW
        for chosen, colour, label in (
            (~few, OKABE_ITO["blue"], "accuracy"),
            (few, _PALE, f"accuracy of fewer than {_FEW}"),
        ):
            if not chosen.any():
                continue
            ax.bar(
                left[chosen], accuracy[chosen], width[chosen], align="edge", color=colour,
                edgecolor="white", lw=0.6, label=label,
            )  # fmt: skip
        ax.bar(
            left, confidence - accuracy, width, accuracy, align="edge", color="none",
            edgecolor=OKABE_ITO["vermilion"], hatch="////", lw=0.8, label="gap to the confidence",
        )  # fmt: skip
        ax.plot([0, 1], [0, 1], color="0.25", ls="--", lw=1, label="perfect")
        ax.set(xlim=(0, 1), ylim=(0, 1))
        ax.set_title(f"{name}\nECE {100 * curve.error():.1f} %", fontsize=10.5)
        ax.spines[["top", "right"]].set_visible(False)

    def plotly(self) -> Any:
        """Return the interactive form."""
        from plotly.subplots import make_subplots

        titles = [f"{n}: ECE {100 * c.error():.1f} %" for n, c in self.curves.items()]
        figure = make_subplots(1, len(self.curves), subplot_titles=titles, shared_yaxes=True)
        for i, curve in enumerate(self.curves.values(), 1):
            filled = curve.count > 0
            centre = ((curve.edges[:-1] + curve.edges[1:]) / 2)[filled]
            width = np.diff(curve.edges)[filled].tolist()
            accuracy, gap = curve.accuracy[filled], curve.gap[filled]
            shown = {"row": 1, "col": i, "showlegend": i == 1}
            few = curve.count[filled] < _FEW
            for chosen, colour, name in (
                (~few, OKABE_ITO["blue"], "accuracy"),
                (few, _PALE, f"accuracy of fewer than {_FEW}"),
            ):
                figure.add_bar(
                    x=centre[chosen].tolist(), y=accuracy[chosen].tolist(), name=name,
                    width=width[0], marker={"color": colour},
                    customdata=curve.count[filled][chosen].tolist(),
                    hovertemplate="accuracy %{y:.3f}, %{customdata} predictions", **shown,
                )  # fmt: skip
            figure.add_bar(
                x=centre.tolist(), y=gap.tolist(), width=width, base=accuracy.tolist(),
                name="gap to the confidence", hovertemplate="gap %{y:.3f}",
                marker={
                    "color": "rgba(0,0,0,0)",
                    "line": {"color": OKABE_ITO["vermilion"], "width": 1},
                    "pattern": {"shape": "/", "fgcolor": OKABE_ITO["vermilion"], "size": 6},
                },
                **shown,
            )  # fmt: skip
            figure.add_scatter(
                x=[0, 1], y=[0, 1], mode="lines", name="perfect", hoverinfo="skip",
                line={"color": "#444", "dash": "dash", "width": 1}, **shown,
            )  # fmt: skip
        figure.update_xaxes(range=[0, 1], title="confidence")
        figure.update_yaxes(range=[0, 1])
        figure.update_yaxes(title="accuracy", col=1)
        title = {"text": self.conditions, "font": {"size": 12}}
        return figure.update_layout(template="plotly_white", barmode="overlay", title=title)


@dataclass(frozen=True)
class FlipCurvesDisplay(Shown):
    """How often predictions flip along the sequences, frame by frame.

    Attributes:
        curves: Scheme -> perturbation -> (F - 1,) percent of sequences, mean over seeds.
        measured: One entry a scheme; columns are perturbations: the flip probabilities.
        paper: Scheme -> (names,) percent, the paper's numbers, or nothing.
        names: Perturbations.
        conditions: Small print: data, network, seeds.

    Source: paper Tables 13 and 14.
    """

    flat = True

    curves: Mapping[str, Mapping[str, NDArray[np.float64]]]
    measured: tuple[Measured, ...]
    paper: Mapping[str, NDArray[np.float64]]
    names: tuple[str, ...] = PERTURBATIONS
    conditions: str = ""

    @classmethod
    def from_reports(
        cls,
        reports: Mapping[str, PerturbationReport | Sequence[PerturbationReport]],
        *,
        paper: Paper | None = None,
    ) -> FlipCurvesDisplay:
        """Draw reports, {scheme: report, or reports of several seeds}.

        Args:
            reports: From `evaluate_perturbations`.
            paper: Scheme -> perturbation -> percent, from the paper's Tables 13 and 14.
        """
        rows = _rows_of(reports)
        measured = _gather(rows, "perturbation", "flip_probability")
        there = {n for m in measured for n in m.values}
        names = tuple(n for n in PERTURBATIONS if n in there)
        curves = {}
        for scheme, given in reports.items():
            several = given if isinstance(given, Sequence) else [given]
            found = {n: [100 * r.curves[n] for r in several if n in r.curves] for n in names}
            curves[scheme] = {n: np.mean(v, axis=0) for n, v in found.items() if v}
        schemes = [m.scheme for m in measured]
        text = (
            _conditions(rows, "means over seeds") + "\nfar right: mean over frames; noise is "
            "compared with the first frame, the others with the frame before"
        )
        return cls(curves, measured, _in_paper(paper, names, schemes), names, text)

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = []
        for m in self.measured:
            means = m.means(self.names)
            numbers = (f"{_words(n)} {v:.1f}" for n, v in zip(self.names, means, strict=True))
            average = f"{scheme_label(m.scheme)} {np.nanmean(means):.1f} on average"
            parts.append(f"{average} ({', '.join(numbers)})")
        return "Flip probability in percent. " + "; ".join(parts) + "."

    def plot(self, axes: Any = None, *, columns: int = 5) -> Any:
        """Draw with matplotlib; return the figure.

        Args:
            axes: One axes a perturbation; by default a new figure.
            columns: Panels a row of a new figure.
        """
        figure = None
        if axes is None:
            columns = min(columns, len(self.names))
            rows = -(-len(self.names) // columns)
            figure = new_figure(2.35 * columns, 2.15 * rows + 0.75)
            axes = figure.subplots(rows, columns, squeeze=False)
        axes = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
        if len(axes) < len(self.names):
            raise ValueError(f"{len(self.names)} panels need as many axes, got {len(axes)}")
        looks = _looks(list(self.curves))
        for number, (ax, name) in enumerate(zip(axes, self.names, strict=False)):
            last = 0
            for scheme, curves in self.curves.items():
                if name not in curves:
                    continue
                look, curve = looks[scheme], curves[name]
                last = max(last, len(curve))
                ax.plot(
                    np.arange(1, len(curve) + 1), curve, color=look.colour, ls=look.dash, lw=1.4,
                    marker=look.marker, ms=3, markevery=max(1, len(curve) // 5),
                    label=scheme_label(scheme),
                )  # fmt: skip
            ax.axvspan(1.03 * last, 1.21 * last, color="0.93", lw=0)
            for m in self.measured:
                if name in m.values:
                    look, mean = looks[m.scheme], m.values[name].mean()
                    ax.plot([1.08 * last], [mean], look.marker, color=look.colour, ms=5.5)
            for scheme, values in self.paper.items():
                style = PAPER_STYLE | {"marker": looks[scheme].marker}
                label = f"{scheme_label(scheme)} in the paper"
                ax.plot([1.16 * last], [values[number]], ms=6, label=label, **style)
            ax.set_title(_words(name), fontsize=10)
            ax.set_ylim(bottom=0)
            ax.set_xlim(0, last * 1.21)
            ax.set_xticks([t for t in (1, 10, 20, 30) if t <= last])
            ax.tick_params(labelsize=8)
            ax.grid(color="0.92")
            ax.spines[["top", "right"]].set_visible(False)
        for ax in axes[len(self.names) :]:
            ax.set_visible(False)
        if figure is not None:
            for ax in axes[::columns]:
                ax.set_ylabel("flips (%)", fontsize=9)
            for ax in axes[max(0, len(self.names) - columns) : len(self.names)]:
                ax.set_xlabel("frame", fontsize=9)
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(
                handles, labels, loc="outside upper center", ncols=min(4, len(labels)),
                fontsize=8.5, frameon=False,
            )  # fmt: skip
            _small_print(figure, self.conditions)
        return figure or axes[0].figure

    def plotly(self, *, columns: int = 5) -> Any:
        """Return the interactive form."""
        from plotly.subplots import make_subplots

        columns = min(columns, len(self.names))
        rows = -(-len(self.names) // columns)
        titles = [_words(n) for n in self.names]
        figure = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.16)
        looks = _looks(list(self.curves))
        for number, name in enumerate(self.names):
            place = {"row": number // columns + 1, "col": number % columns + 1}
            for scheme, curves in self.curves.items():
                if name in curves:
                    look, curve = looks[scheme], curves[name]
                    figure.add_scatter(
                        x=list(range(1, len(curve) + 1)), y=curve.round(2).tolist(),
                        mode="lines+markers", marker={"symbol": look.symbol, "size": 5},
                        name=scheme_label(scheme), legendgroup=scheme, showlegend=number == 0,
                        line={"color": look.colour, "dash": look.plotly_dash},
                        hovertemplate="frame %{x}: %{y:.2f} %", **place,
                    )  # fmt: skip
            end = max(len(curves[name]) for curves in self.curves.values() if name in curves)
            for m in self.measured:
                if name in m.values:
                    look = looks[m.scheme]
                    figure.add_scatter(
                        x=[1.08 * end], y=[float(m.values[name].mean())], mode="markers",
                        legendgroup=m.scheme, showlegend=False, name=scheme_label(m.scheme),
                        marker={"symbol": look.symbol, "color": look.colour, "size": 9},
                        hovertemplate="mean of all frames: %{y:.2f} %", **place,
                    )  # fmt: skip
            for scheme, values in self.paper.items():
                figure.add_scatter(
                    x=[1.18 * end], y=[float(values[number])], mode="markers",
                    legendgroup=f"{scheme} in the paper", showlegend=number == 0,
                    name=f"{scheme_label(scheme)} in the paper",
                    marker={
                        "symbol": f"{looks[scheme].symbol}-open", "color": _PAPER_COLOUR,
                        "size": 9,
                    },
                    hovertemplate="mean of all frames: %{y:.1f} %", **place,
                )  # fmt: skip
        figure.update_xaxes(title="frame", row=rows)
        figure.update_yaxes(title="flips (%)", col=1)
        figure.update_yaxes(rangemode="tozero")
        title = {"text": self.conditions.replace("\n", "<br>"), "font": {"size": 12}}
        return figure.update_layout(template="plotly_white", height=250 * rows + 120, title=title)


def _words(name: str) -> str:
    return name.replace("_", " ")
