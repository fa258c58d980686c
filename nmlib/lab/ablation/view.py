"""Table, loss curve and status of the ablation lab as HTML."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict

from nmlib.lab.ablation.lab import LabSettings, LabStatus
from nmlib.lab.ablation.table import COLUMNS, LabRow, LabTable, Placed
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.words import signed

__all__ = ["LETTERS", "loss_svg", "row_key", "status_words", "table_html"]

LETTERS = ("A", "M", "N", "J")
_HEADS = {"paper": "Paper", "grid": "Our grid", "here": "Trained here"}
_ASPECTS = {
    "paper": "CIFAR-100-C<br>Table 4", "grid": "measured before", "here": "in this session",
}  # fmt: skip
_WIDTH, _HEIGHT = 440, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 432, 20, 122


def row_key(settings: LabSettings) -> str:
    """Return what tells rows apart: ticks, and levels that are not the published ones.

    >>> row_key(LabSettings()), row_key(LabSettings(alpha=0.3))
    ('1111', '1111 α 0.30, σ_add 0.50, σ_mult 0.50')
    """
    settings = settings.canonical
    ticks = "".join(str(int(on)) for on in settings.switches)
    plain = LabSettings(*settings.switches, seed=settings.seed) == settings
    return ticks if plain else f"{ticks} {settings.levels}"


def _short(name: str, source: Conditions) -> str:
    if name == "paper" or not source:
        return _ASPECTS[name]
    return f"{html.escape(source.data)}<br>{html.escape(source.budget)} budget"


def _scale(found: Sequence[tuple[LabRow, Placed]]) -> tuple[float, float]:
    ends = [
        p.gain + side * (p.error or 0.0) for _, p in found if p.gain is not None for side in (-1, 1)
    ]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    # A column with gains of a tenth of a point must not look like one with gains of ten.
    return low, max(high, low + 2.0)


def _strip(placed: Placed, name: str, scale: tuple[float, float]) -> str:
    if placed.gain is None:
        return ""
    low, high = scale

    def at(value: float) -> float:
        return min(100.0, max(0.0, 100 * (value - low) / (high - low)))

    bar = ""
    if placed.error is not None and placed.gain:
        start, end = at(placed.gain - placed.error), at(placed.gain + placed.error)
        bar = f'<b style="left:{start:.1f}%;width:{end - start:.1f}%"></b>'
    return (
        f'<span class="nl-strip" aria-hidden="true"><u style="left:{at(0):.1f}%"></u>{bar}'
        f'<i class="nl-mark-{name}" style="left:{at(placed.gain):.1f}%"></i></span>'
    )


def _cell(row: LabRow, name: str, scale: tuple[float, float]) -> str:
    placed: Placed | None = getattr(row, name)
    if placed is None:
        return f'<td class="nl-{name} nl-none">–</td>'
    gain, error, strip = "–" if placed.gain is None else signed(placed.gain), "", ""
    if not any(row.switches):
        gain = "baseline"
    else:
        strip = _strip(placed, name, scale)
        if placed.error is not None:
            error = f' <small class="nl-error">± {placed.error:.1f}</small>'
    return (
        f'<td class="nl-{name}"><div class="nl-numbers"><span class="nl-gain">{gain}{error}</span> '
        f'<small class="nl-robust">{placed.robust:.1f} %</small></div>'
        f"{strip}</td>"
    )


def _head_of(row: LabRow) -> str:
    chips = "".join(
        f'<span class="nt-chip{" nt-on" if on else ""}">{letter if on else "·"}</span>'
        for letter, on in zip(LETTERS, row.switches, strict=True)
    )
    on = [n.replace("_", " ") for n, is_on in row.switches._asdict().items() if is_on]
    words = ", ".join(on) or "none of the four"
    spoken = f'<span class="nl-sr">{words}</span><span aria-hidden="true">{chips}</span>'
    extra = ""
    if row.levels:
        extra = f"<small>{html.escape(row.levels)}</small>"
    elif row.paper is None:
        extra = "<small>not in Table 4</small>"
    settings = {k: v for k, v in asdict(row.settings).items() if k != "seed"}
    packed = html.escape(json.dumps(settings), quote=True)
    return (
        f'<button type="button" data-settings="{packed}" title="Set the switches to this row">'
        f"{spoken}</button>{extra}"
    )


def table_html(table: LabTable) -> str:
    """Return the table with its conditions; each row has a button that sets the switches.

    Columns without numbers are left out, apart from the last.
    """
    names = [n for n in COLUMNS if n == "here" or table.column(n)]
    scales = {n: _scale(table.column(n)) for n in names}
    heads = "".join(
        f'<th scope="col" class="nl-{n}">{_HEADS[n]}<small>{_short(n, table.sources[n])}</small>'
        "</th>"
        for n in names
    )
    body = []
    for row in table.rows:
        cells = "".join(_cell(row, n, scales[n]) for n in names)
        body.append(
            f'<tr data-key="{html.escape(row_key(row.settings), quote=True)}">'
            f'<th scope="row">{_head_of(row)}</th>{cells}</tr>'
        )
    sources = "".join(
        f'<li class="nl-{n}"><i class="nl-mark-{n}" aria-hidden="true"></i><b>{_HEADS[n]}:</b> '
        f"{html.escape(str(table.sources[n]))}.</li>"
        for n in names
        if table.sources[n]
    )
    agreed = table.agreement()
    order = ""
    if agreed is not None:
        rho, count = agreed
        rho_words = f"{rho:.2f}".replace("-", "−")
        order = (
            f"<p>Order of the {count} rows of Table 4 trained here against the paper's: Spearman's "
            f"ρ = {rho_words} (1 is the same order, 0 no relation). Rows whose gains differ by "
            "less than their ± could as well stand the other way round.</p>"
        )
    return (
        '<table class="nl-table"><caption>Gain in robust accuracy over the baseline of the same '
        "column, in points; beside it the robust accuracy itself. <b>Columns differ in data, "
        "network and training, and each strip has a scale of its own: compare rows within a "
        "column, not numbers across columns.</b></caption>"
        f'<thead><tr><th scope="col">Parts</th>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{order}"
        f'<ul class="nl-sources">{sources}</ul>'
        "<p>A augmentations, M feature mixing, N noise, J JSD loss. On a strip the upright line is "
        "a gain of zero and the bar behind the mark its ±. The tinted row is the one chosen, the "
        "framed cell the one trained last. ± is the standard error for "
        "the choice of test images; another seed of the training moves a gain further.</p>"
    )


def loss_svg(status: LabStatus) -> str:
    """Return the loss curve of a training as SVG; an empty frame before the first step."""
    points = status.losses
    steps = max(status.steps, points[-1][0] if points else 0, 1)
    values = [v for _, v in points]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    pad = 0.08 * (high - low) or 0.1
    low, high = low - pad, high + pad

    def x(step: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * step / steps

    def y(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (value - low) / (high - low)

    axes = (
        f'<line class="nt-axis" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_RIGHT}" y2="{_BOTTOM}"/>'
        f'<line class="nt-axis" x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{_BOTTOM}"/>'
        f'<text x="{(_LEFT + _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">step</text>'
    )
    if not points:
        words = "The loss is drawn here while the network trains"
        return (
            f'<svg class="nl-loss" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}'
            f'">{axes}<text x="{(_LEFT + _RIGHT) / 2}" y="68" text-anchor="middle">{words}</text>'
            "</svg>"
        )
    ticks = "".join(
        f'<text x="{_LEFT - 5}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.1f}</text>'
        for v in dict.fromkeys((max(values), min(values)))
    ) + "".join(
        f'<text x="{x(s):.1f}" y="{_BOTTOM + 14}" text-anchor="{a}">{s}</text>'
        for s, a in ((0, "middle"), (steps, "end"))
    )
    line = " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in points)
    last_step, last = points[-1]
    label = f"Training loss {values[0]:.2f} at step {points[0][0]}, {last:.2f} at step {last_step}"
    return (
        f'<svg class="nl-loss" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f'{axes}{ticks}<polyline points="{line}"/>'
        f'<circle cx="{x(last_step):.1f}" cy="{y(last):.1f}" r="3.5"/>'
        f'<text x="{_RIGHT}" y="11" text-anchor="end">training loss '
        f"{last:.2f}</text></svg>"
    )


def _parts(settings: LabSettings) -> str:
    on = [letter for letter, is_on in zip(LETTERS, settings.switches, strict=True) if is_on]
    return " + ".join(on) or "Baseline"


def _left(status: LabStatus) -> str:
    if status.seconds_left is None:
        return ""
    return f", about {max(1, round(status.seconds_left))} s left"


def status_words(status: LabStatus, table: LabTable) -> str:
    """Say how far the lab is, or what came out."""
    s = status.settings
    if s is None:
        return "Choose parts and levels, then press Train."
    what = _parts(s)
    if status.parts > 1 and status.busy:
        what += f" ({status.part} of {status.parts})"
    if status.state == "training":
        begun = f"step {status.step} of {status.steps}" if status.steps else "getting ready"
        return f"Training {what}: {begun}{_left(status)}, then measuring."
    if status.state == "evaluating":
        sets = f"corrupted set {status.sets} of {status.total_sets}"
        return f"Measuring {what}: {sets}{_left(status)}."
    if status.state == "stopped":
        return "Stopped. Nothing of this training was kept."
    if status.state == "failed":
        return f"This training failed: {status.message}"
    levels = f" at {s.levels}" if s.levels else ""
    return f"{_parts(s)}{levels}, seed {s.seed}. {table.words(s)}"
