"""What each scheme makes of a batch, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nmlib.lab.display.looks import scheme_label
from nmlib.lab.display.tables import Column, TableDisplay
from nmlib.mixing import CutMix, Mixup
from nmlib.noise import Noise
from nmlib.puzzlemix import PuzzleMix
from nmlib.schemes import SCHEMES, Scheme
from nmlib.views import AugMax, Augmented, AugMix, Plain

__all__ = ["scheme_sheet"]

_COLUMNS = (
    Column("scheme"),
    Column("views of an image"),
    Column("mixed by"),
    Column("noise σ_add, σ_mult"),
    Column("in effect"),
    Column("at point"),
    Column("views compared by"),
)


def scheme_sheet(schemes: Iterable[Scheme] | None = None) -> TableDisplay:
    r"""Return a table with a row for each scheme: its views, mixing, noise, points, divergence.

    Noise levels are what a scheme is given and, beside it, what comes of it: the root mean squares
    of `Noise.effective_levels`, from the first noisy view to the last.

    Args:
        schemes: Default: all of `SCHEMES`.

    >>> row = scheme_sheet([SCHEMES["noisymix"]]).rows[0]
    >>> row[1:5]
    ('clean, 2 × AugMix', 'Mixup, α 1', '0.5, 0.5', '0.10 to 0.29, 0.06')
    """
    chosen = list(SCHEMES.values() if schemes is None else schemes)
    rows = []
    for scheme in chosen:
        given, effective = _noise(scheme.noise, scheme.views.count)
        rows.append(
            (
                scheme_label(scheme.name), _views(scheme.views), _mixing(scheme),
                given, effective, _points(scheme), _compared(scheme),
            )
        )  # fmt: skip
    return TableDisplay(
        _COLUMNS, tuple(rows), "What each scheme makes of a batch. Point 0 is the input."
    )


def _views(views: Any) -> str:
    match views:
        case Plain(copies=1):
            return "clean"
        case Plain():
            return f"{views.copies} × clean"
        case AugMix():
            return f"clean, {views.copies} × AugMix"
        case Augmented():
            return "AugMix"
        case AugMax():
            return "clean, AugMix, AugMax"
    return repr(views)


def _mixing(scheme: Scheme) -> str | None:
    mix: Any = scheme.mix
    match mix:
        case None:
            return None
        case Mixup(beta=None):
            words = f"Mixup, α {mix.alpha:g}"
        case CutMix():
            words = f"CutMix, α {mix.alpha:g}, {100 * mix.prob:g} % of batches"
        case PuzzleMix():
            words = f"PuzzleMix, α {mix.alpha:g}"
        case _:
            words = repr(mix)
    return (
        words
        + {
            "shared": "",
            "independent": ", each view by itself",
            "unmixed": ", the first view",
        }[scheme.pairing]
    )


def _noise(noise: Noise | None, views: int) -> tuple[str | None, str | None]:
    if noise is None:
        return None, None
    levels = [noise.effective_levels(v) for v in range(noise.clean_views, views)]
    ranges = []
    for level in zip(*levels, strict=True):
        ends = [f"{end:.2f}" if end else "0" for end in (min(level), max(level))]
        ranges.append(" to ".join(dict.fromkeys(ends)))
    return f"{noise.additive:g}, {noise.multiplicative:g}", ", ".join(ranges)


def _points(scheme: Scheme) -> str | None:
    if scheme.mix is None and scheme.noise is None:
        return None
    first, *rest = scheme.points
    return f"{first} to {rest[-1]}" if rest else str(first)


def _compared(scheme: Scheme) -> str | None:
    return f"{scheme.stability:g} × {scheme.divergence.upper()}" if scheme.stability else None
