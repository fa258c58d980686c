"""What each scheme makes of a batch, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nmlib.lab.display.looks import scheme_label
from nmlib.lab.display.tables import Column, TableDisplay

if TYPE_CHECKING:
    from nmlib.schemes import Scheme

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
    """Return a table with a row for each scheme: its `nmlib.methods.settings_in_words`.

    Args:
        schemes: Default: all of `SCHEMES`.

    >>> from nmlib import SCHEMES
    >>> scheme_sheet([SCHEMES["noisymix"]]).rows[0][1:4]
    ('clean, 2 × AugMix', 'Mixup, α 1', '0.5, 0.5')
    """
    from nmlib.methods import settings_in_words
    from nmlib.schemes import SCHEMES

    chosen = SCHEMES.values() if schemes is None else schemes
    rows = tuple((scheme_label(s.name), *settings_in_words(s)) for s in chosen)
    return TableDisplay(_COLUMNS, rows, "What each scheme makes of a batch. Point 0 is the input.")
