"""What a matplotlib figure shows, in a few numbers that two machines agree on.

Bytes of pictures differ between versions of matplotlib, fonts and processors. So a figure is
described by what was drawn: words and styles (one hash), and the numbers behind them (three
weighted sums a panel, compared with a tolerance).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib import colors
from matplotlib.ticker import FixedFormatter

TOLERANCE = 1e-6
"""Of the norm of a panel's numbers: one value of hundreds that moves in its fourth digit shows."""

IMAGE_TOLERANCE = 2e-4
"""Of block means: more than a grey level here and there, by which processors differ."""


def drawn(figure: Any) -> dict[str, Any]:
    """Describe a figure: {"words": hash, "panels": [...]}, ready for JSON."""
    words = [f"size {np.round(figure.get_size_inches(), 3).tolist()}"]
    words += [_text(t) for t in figure.texts]
    words += [_text(t) for legend in figure.legends for t in legend.get_texts()]
    panels = []
    for axes in figure.axes:
        found = list(_panel(axes))
        words += ["panel", *(w for w, _, _ in found)]
        numbers = [n for _, kind, n in found if kind == "numbers"]
        images = [n for _, kind, n in found if kind == "image"]
        panels.append({"numbers": _sums(numbers)} | ({"images": _sums(images)} if images else {}))
    return {"words": hashlib.sha256("\n".join(words).encode()).hexdigest()[:16], "panels": panels}


def differs(old: dict[str, Any], new: dict[str, Any], *, numbers: bool = True) -> str:
    """Say how two descriptions differ, or "".

    Args:
        old: From `drawn`.
        new: The same.
        numbers: Whether to compare them, too: another matplotlib places labels elsewhere.
    """
    if old["words"] != new["words"]:
        return "its words, colours or styles"
    if len(old["panels"]) != len(new["panels"]):
        return "the number of its panels"
    if numbers:
        for k, (a, b) in enumerate(zip(old["panels"], new["panels"], strict=True), 1):
            for part, tolerance in (("numbers", TOLERANCE), ("images", IMAGE_TOLERANCE)):
                if part not in a and part not in b:
                    continue
                (count, *before), (other, *now) = (x.get(part, [0] * 5) for x in (a, b))
                reach = tolerance * (abs(before[0]) + 1e-9)
                if count != other or np.abs(np.subtract(before, now)).max() > reach:
                    return f"the {part} in panel {k}"
    return ""


def _sums(arrays: list[np.ndarray]) -> list[float]:
    """Return count, norm and three weighted sums: a change of any number moves them."""
    values = np.concatenate([np.ravel(a).astype(float) for a in arrays])
    known = np.where(np.isfinite(values), values, 0.0)
    at = np.arange(1, len(values) + 1, dtype=float)
    # Quadratic phases: no two numbers have the same weights, and no two neighbours similar ones.
    weights = [np.cos((at % 1009) ** 2 * phase + at) for phase in (0.618, 1.414, 2.236)]
    return [len(values), float(np.linalg.norm(known)), *(float(w @ known) for w in weights)]


def _panel(axes: Any) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (words, kind, numbers) of everything in a panel."""
    scales = axes.get_xscale(), axes.get_yscale()
    limits = [_scaled(axes.get_xlim(), scales[0]), _scaled(axes.get_ylim(), scales[1])]
    yield f"{axes.name} {scales}", "numbers", np.concatenate(limits)
    for line in axes.lines:
        xy = [_scaled(v, s) for v, s in zip(line.get_data(orig=False), scales, strict=True)]
        words = (
            f"line {_colour(line.get_color())} {line.get_linestyle()} {line.get_linewidth():.2f} "
            f"{line.get_marker()} {line.get_markersize():.2f} {_colour(line.get_markerfacecolor())}"
            f" {_colour(line.get_markeredgecolor())} {line.get_alpha()} {_named(line)}"
        )
        yield words, "numbers", np.concatenate(xy)
    for patch in axes.patches:
        path = patch.get_patch_transform().transform(patch.get_path().vertices)
        words = (
            f"patch {_colour(patch.get_facecolor())} {_colour(patch.get_edgecolor())} "
            f"{patch.get_linestyle()} {patch.get_linewidth():.2f} {patch.get_hatch()}"
        )
        yield words, "numbers", path
    for many in axes.collections:
        paths = [p.vertices for p in many.get_paths()]
        values = many.get_array()
        parts = [np.ma.filled(many.get_offsets(), np.nan), *paths]
        parts += [] if values is None else [values]
        faces, edges = (
            sorted({_colour(c) for c in got()}) for got in (many.get_facecolor, many.get_edgecolor)
        )
        words = f"collection {faces} {edges} {many.get_hatch()} {_named(many)}"
        yield words, "numbers", np.concatenate([np.ravel(p) for p in parts])
    for image in axes.images:
        array = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        kind = "image" if array.ndim == 3 else "numbers"
        shown = _blocks(array) if kind == "image" else array
        yield f"image {image.get_cmap().name} {array.shape}", kind, shown
        yield "image", "numbers", np.array([*image.get_extent(), *(image.get_clim())], float)
    texts = [axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label]
    legend = axes.get_legend()
    for text in [*texts, *axes.texts, *(legend.get_texts() if legend else ())]:
        place = np.array(getattr(text, "xy", ()), float) if text.axes is axes else np.zeros(0)
        own = np.array(text.get_position(), float) if text in axes.texts else np.zeros(0)
        yield _text(text), "numbers", np.concatenate([place, own])
    for axis in (axes.xaxis, axes.yaxis):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            ticks = _scaled(axis.get_majorticklocs(), axis.get_scale())
            yield f"ticks {list(formatter.seq)}", "numbers", ticks


def _named(artist: Any) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else label


def _text(text: Any) -> str:
    return (
        f"text {text.get_text()!r} {_colour(text.get_color())} {text.get_fontsize():.1f} "
        f"{text.get_fontweight()} {text.get_fontstyle()} {text.get_rotation():.0f}"
    )


def _colour(colour: Any) -> str:
    return colors.to_hex(colour, keep_alpha=True)


def _scaled(values: Any, scale: str) -> np.ndarray:
    """Return values as the eye sees them."""
    array = np.asarray(values, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(array) if scale == "log" else array


def _blocks(array: np.ndarray, count: int = 48) -> np.ndarray:
    """Return means over about count x count blocks of a picture."""
    for axis in (0, 1):
        edges = np.linspace(0, array.shape[axis], min(count, array.shape[axis]) + 1).astype(int)
        sums = np.add.reduceat(array, edges[:-1], axis)
        array = sums / np.diff(edges).reshape([-1 if k == axis else 1 for k in range(array.ndim)])
    return array
