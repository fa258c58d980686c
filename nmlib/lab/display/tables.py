"""Tables with the paper's numbers and ours in two styles.

The HTML sorts itself by a click on a heading, with twenty lines of script beside it: a page without
a kernel has nothing else to sort with, pandas' Styler cannot, and libraries for it weigh more than
the notebook or load from elsewhere.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nmlib import _checks
from nmlib.lab.display.words import signed

__all__ = ["Column", "TableDisplay"]

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Column:
    """How one column looks.

    Attributes:
        name: Heading.
        source: "paper" (italic, dashed line), "ours" (bold, solid line) or "" (plain).
        digits: Digits after the point of numbers.
        signed: Whether positive numbers carry a sign.
        words: Whether it holds sentences, which are set to the left and wrap.
        best: Which end is marked as best: "high", "low" or "" (none).
    """

    name: str
    source: Literal["", "paper", "ours"] = ""
    digits: int = 1
    signed: bool = False
    words: bool = False
    best: Literal["", "high", "low"] = ""

    def text(self, value: Any) -> str:
        """Return what stands in a cell.

        >>> Column("gain", signed=True).text(2.04), Column("on").text(True), Column("a").text(None)
        ('+2.0', '✓', '–')
        """
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "–"
        if isinstance(value, bool):
            return "✓" if value else "✗"
        if isinstance(value, int):
            return f"{value:,}"
        if isinstance(value, float):
            text = signed(value, self.digits)
            return text if self.signed else text.removeprefix("+")
        return str(value)


@dataclass(frozen=True, eq=False)
class TableDisplay:
    """A table as HTML whose headings sort it, and as text.

    Attributes:
        columns: The columns, or their names.
        rows: A value for each column: numbers, words, ticks (bool) or None.
        caption: What it holds, with its conditions.

    Raises:
        ValueError: If a row has another number of values than there are columns.

    >>> print(TableDisplay(("method", "accuracy"), [("plain", 62.0), ("mixed", None)]).text())
    method  accuracy
    plain       62.0
    mixed          –
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        columns = tuple(Column(c) if isinstance(c, str) else c for c in self.columns)
        # NumPy's scalars become Python's own.
        rows = tuple(tuple(v.item() if hasattr(v, "item") else v for v in row) for row in self.rows)
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"{len(columns)} columns, but the row {row} has {len(row)} values")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "rows", rows)

    @classmethod
    def from_frame(
        cls, frame: Any, columns: Sequence[Column | str] | None = None, *, caption: str = ""
    ) -> TableDisplay:
        """Take columns of a pandas frame.

        Args:
            frame: The frame.
            columns: Which, by their names in the frame; default all.
            caption: Default: the frame's own (`attrs["caption"]`).

        Raises:
            ValueError: For a name that the frame lacks.
        """
        chosen = [Column(c) if isinstance(c, str) else c for c in columns or map(str, frame)]
        for column in chosen:
            _checks.choice("column", column.name, [str(c) for c in frame])
        rows = tuple(zip(*(frame[c.name].tolist() for c in chosen), strict=True))
        return cls(tuple(chosen), rows, caption or frame.attrs.get("caption", ""))

    @classmethod
    def printed(cls, n: int) -> TableDisplay:
        """Return Table n of the paper as it looks in print.

        Source: paper Tables 1 to 14.

        >>> TableDisplay.printed(11).columns[0].name
        'method'
        """
        from nmlib.paper import printed

        frame = printed(n)
        caption = f"Table {n} of the paper. {frame.attrs['caption']}"
        frame.columns = [" ".join(h) if isinstance(h, tuple) else str(h) for h in frame.columns]
        plain = frame.columns[:4] if n == 4 else ["method"]  # ticks, or names
        if n != 4:
            frame = frame.rename_axis("method").reset_index()
        columns = [Column(h, "" if h in plain else "paper") for h in frame.columns]
        return cls(tuple(columns), tuple(frame.itertuples(index=False, name=None)), caption)

    def _cells(self) -> list[list[tuple[str, str]]]:
        """Return the columns, each a heading and its cells, as (text, CSS classes)."""
        made = []
        for k, column in enumerate(self.columns):
            values = [row[k] for row in self.rows]
            texts = [column.text(v) for v in values]
            numbers = [v for v in values if isinstance(v, (int, float)) and not math.isnan(v)]
            find = {"high": max, "low": min}.get(column.best)
            best = column.text(find(numbers)) if find and numbers else None
            # Names and sentences stand to the left, printed numbers do not.
            names = all(v is None or (isinstance(v, str) and v not in "✓✗-") for v in values)
            left = "left" * (column.words or (names and not column.source))
            marks = [
                (column.source, left, "words" * column.words, "best" * (t == best),
                 "off" * (v is False))
                for t, v in zip(texts, values, strict=True)
            ]  # fmt: skip
            classes = [" ".join(filter(None, m)) for m in marks]
            made.append([(column.name, left), *zip(texts, classes, strict=True)])
        return made

    def text(self) -> str:
        """Return the table as aligned text; a star marks the best."""
        made = []
        for column, cells in zip(self.columns, self._cells(), strict=True):
            star = " " if column.best else ""
            texts = [t + ("*" if "best" in c else star) * (k > 0) for k, (t, c) in enumerate(cells)]
            side, width = "<" if cells[0][1] else ">", max(map(len, texts))
            made.append([f"{t:{side}{width}}" for t in texts])
        return "\n".join("  ".join(line).rstrip() for line in zip(*made, strict=True))

    def html(self) -> str:
        """Return the table as HTML; nothing is loaded from elsewhere.

        The paper's numbers are in italics over a dashed line, ours are bold over a solid one, in
        light and dark pages. Without scripts the table stands as it is.
        """
        head, *lines = zip(*self._cells(), strict=True)
        style, script = ((_STATIC / f"table.{kind}").read_text("utf-8") for kind in ("css", "js"))
        words = html.escape(self.caption)
        label = f' aria-label="{words}"' if words else ""
        rows = "\n".join(f"<tr>{''.join(_cell('td', *c) for c in line)}</tr>" for line in lines)
        # The caption stands beside the table, so that it wraps where the table scrolls.
        return (
            f'<div class="nm-table">\n<style>\n{style}</style>\n'
            + (f'<p class="caption">{words}</p>\n' if words else "")
            + f'<div class="scroll"><table{label}>'
            + f"<thead><tr>{''.join(_cell('th', *c) for c in head)}</tr></thead>\n"
            + f"<tbody>\n{rows}\n</tbody></table></div>\n<script>\n{script}</script>\n</div>\n"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = f"{self.caption}\n{self.text()}" if self.caption else self.text()
        return {"text/plain": text, "text/html": self.html()}


def _cell(tag: str, text: str, classes: str) -> str:
    marks = ' scope="col"' * (tag == "th") + (f' class="{classes}"' if classes else "")
    return f"<{tag}{marks}>{html.escape(text)}</{tag}>"
