"""Tables whose headings sort them; the paper's numbers and ours in two styles."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nmlib import _checks

__all__ = ["Column", "TableDisplay"]


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
            shown = f"{value:{'+' if self.signed else ''}.{self.digits}f}"
            return shown.replace("-", "−") if float(shown) else f"{0:.{self.digits}f}"
        return str(value)


def _key(value: Any) -> str:
    """Return what a cell is sorted by: a number, or words; nothing for what is missing."""
    if isinstance(value, (bool, int, float)):
        number = float(value)
        return "" if math.isnan(number) else f"{number:.6g}"
    # "52.3 (52.4)" is sorted by its first number.
    first = re.match(r"[+-]?\d+(\.\d+)?", value or "")
    return first[0] if first else "" if value in (None, "-") else str(value)


@dataclass(frozen=True, eq=False)
class TableDisplay:
    """A table as HTML with headings that sort it, and as text.

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
        rows = tuple(tuple(_plain(v) for v in row) for row in self.rows)
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
        values = [frame[c.name].tolist() for c in chosen]
        rows = tuple(zip(*values, strict=True))
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
        heads = [" ".join(h) if isinstance(h, tuple) else str(h) for h in frame.columns]
        named = [] if n == 4 else ["method"]
        columns = [Column(h) for h in named] + [
            Column(h, "" if n == 4 and k < 4 else "paper") for k, h in enumerate(heads)
        ]
        rows = [
            ([name] if named else []) + list(row)
            for name, row in zip(frame.index, frame.itertuples(index=False), strict=True)
        ]
        caption = f"Table {n} of the paper. {frame.attrs['caption']}"
        return cls(tuple(columns), tuple(map(tuple, rows)), caption)

    def _marked(self) -> set[tuple[int, int]]:
        """Return the cells with the best number of their column."""
        found = set()
        for j, column in enumerate(self.columns):
            values = {i: r[j] for i, r in enumerate(self.rows) if _key(r[j])}
            if column.best and values:
                top = (max if column.best == "high" else min)(values.values())
                shown = column.text(top)
                found |= {(i, j) for i, v in values.items() if column.text(v) == shown}
        return found

    def text(self) -> str:
        """Return the table as aligned text."""
        marked = self._marked()
        lines = [[c.name for c in self.columns]] + [
            [
                c.text(v) + ("*" if (i, j) in marked else " " if c.best else "")
                for j, (c, v) in enumerate(zip(self.columns, row, strict=True))
            ]
            for i, row in enumerate(self.rows)
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = [_is_left(c, [r[k] for r in self.rows]) for k, c in enumerate(self.columns)]
        return "\n".join(
            "  ".join(
                word.ljust(w) if to_left else word.rjust(w)
                for word, w, to_left in zip(line, widths, left, strict=True)
            ).rstrip()
            for line in lines
        )

    def html(self) -> str:
        """Return the table as HTML; nothing is loaded from elsewhere.

        The paper's numbers are in italics over a dashed line, ours are bold over a solid one, in
        light and dark pages. Without scripts the table stands as it is.
        """
        marked = self._marked()
        left = [_is_left(c, [r[k] for r in self.rows]) for k, c in enumerate(self.columns)]
        heads = "".join(
            f'<th scope="col"{_classes("", to_left)}>'
            f'<button type="button" title="Sort by this column">{html.escape(c.name)}</button></th>'
            for c, to_left in zip(self.columns, left, strict=True)
        )
        lines = []
        for i, row in enumerate(self.rows):
            cells = "".join(
                f"<td{_classes(c.source, to_left, c.words, (i, j) in marked, v is False)} "
                f'data-v="{html.escape(_key(v))}">{html.escape(c.text(v))}</td>'
                for j, (c, to_left, v) in enumerate(zip(self.columns, left, row, strict=True))
            )
            lines.append(f"<tr>{cells}</tr>")
        words = html.escape(self.caption)
        # Beside the table, not in it, so that it wraps where the table scrolls.
        caption = f'<p class="caption">{words}</p>\n' if words else ""
        label = f' aria-label="{words}"' if words else ""
        return _PAGE.format(caption=caption, label=label, head=heads, body="\n".join(lines))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = f"{self.caption}\n{self.text()}" if self.caption else self.text()
        return {"text/plain": text, "text/html": self.html()}


def _plain(value: Any) -> Any:
    """Return NumPy scalars as Python's own."""
    return value.item() if hasattr(value, "item") else value


def _is_left(column: Column, values: Iterable[Any]) -> bool:
    """Say whether a column is set to the left: names and sentences, but not printed numbers."""
    if column.words:
        return True
    return not column.source and all(
        isinstance(v, str) and v not in ("✓", "✗", "-") for v in values if v is not None
    )


def _classes(
    source: str, left: bool, words: bool = False, best: bool = False, off: bool = False
) -> str:
    names = [source, "left" * left, "words" * words, "best" * best, "off" * off]
    kept = " ".join(filter(None, names))
    return f' class="{kept}"' if kept else ""


_PAGE = """<div class="nm-table">
<style>
.nm-table .scroll {{overflow-x: auto; max-width: 100%}}
.nm-table table {{border-collapse: collapse; margin: 0; font-variant-numeric: tabular-nums}}
.nm-table .caption {{margin: 0; padding: .3em 0; max-width: 60em; opacity: .85}}
.nm-table td, .nm-table th {{padding: .25em .6em; text-align: center; vertical-align: middle}}
.nm-table td.left, .nm-table th.left {{text-align: left}}
.nm-table td.words {{min-width: 20em; white-space: normal}}
.nm-table td.off {{opacity: .4}}
.nm-table th button {{font: inherit; font-weight: 600; background: none; border: 0; padding: 0;
  cursor: pointer; color: inherit; text-align: inherit}}
.nm-table td.paper {{font-style: italic; border-bottom: 1px dashed #8a8a8a}}
.nm-table td.ours {{font-weight: 700; border-bottom: 1px solid #2f8fca}}
.nm-table td.best {{text-decoration: underline; text-decoration-thickness: 2px}}
.nm-table .sorts th button::after {{content: " ⇅"; font-size: .8em; font-weight: 400; opacity: .6}}
.nm-table .sorts th button:hover {{text-decoration: underline}}
.nm-table .sorts th[aria-sort] button::after {{opacity: 1}}
.nm-table .sorts th[aria-sort=ascending] button::after {{content: " ▲"}}
.nm-table .sorts th[aria-sort=descending] button::after {{content: " ▼"}}
@media (max-width: 600px) {{
  .nm-table table {{font-size: .85em}}
  .nm-table td, .nm-table th {{padding: .2em .3em}}
  .nm-table td.words {{min-width: 12em}}
}}
</style>
{caption}<div class="scroll"><table{label}><thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table>
<script>
(() => {{
  const table = document.currentScript.previousElementSibling;
  table.classList.add("sorts");  // where no script runs, nothing looks as if it could be sorted
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((th, k) => th.firstElementChild.addEventListener("click", () => {{
    const up = th.getAttribute("aria-sort") !== "ascending";
    heads.forEach(h => h.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = row => row.cells[k].dataset.v;
    const order = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {{
      const x = value(a), y = value(b);
      if (!x || !y) return !x - !y;
      return up ? order(x, y) : order(y, x);
    }});
    table.tBodies[0].append(...rows);
  }}));
}})();
</script>
</div></div>
"""
