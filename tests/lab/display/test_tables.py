"""The sortable table: what it writes, in text and HTML."""

import re
from html.parser import HTMLParser

import pytest

from nmlib import paper
from nmlib.lab.display.tables import Column, TableDisplay

ROWS = [("a", True, 1.25, -0.04, "x & <y>"), ("b", False, None, 12.0, None)]
COLUMNS = (
    "name", "on", Column("p", "paper", digits=2), Column("o", "ours", signed=True, best="high"),
    Column("why", words=True),
)  # fmt: skip


class Cells(HTMLParser):
    """Collects [class, text] of each cell."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.stack = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.stack.append(tag)
        if tag == "td":
            self.cells.append([dict(attrs).get("class", ""), ""])

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "td":
            self.cells[-1][1] += data


def test_html():
    text = TableDisplay(COLUMNS, ROWS, "made <up>").html()
    parsed = Cells(text)
    assert parsed.stack == []
    assert parsed.cells[:5] == [
        ["left", "a"], ["", "✓"], ["paper", "1.25"], ["ours", "0.0"], ["left words", "x & <y>"],
    ]  # fmt: skip
    assert parsed.cells[7:9] == [["paper", "–"], ["ours best", "+12.0"]]
    assert '<p class="caption">made &lt;up&gt;</p>' in text
    assert 'aria-label="made &lt;up&gt;"' in text
    assert [c[0] for c in parsed.cells if c[1] == "✗"] == ["off"]
    assert not re.search(r"https?:|src=|href=|url\(|@import", text)
    assert text.count('<th scope="col"') == 5


def test_text_is_aligned_and_marks_the_best():
    lines = TableDisplay(COLUMNS, ROWS).text().split("\n")
    assert lines[0] == "name  on     p       o  why"
    assert lines[1] == "a      ✓  1.25    0.0   x & <y>"
    assert lines[2] == "b      ✗     –  +12.0*  –"


@pytest.mark.parametrize("n", range(1, 15))
def test_printed_tables_hold_what_is_printed(n):
    table, frame = TableDisplay.printed(n), paper.printed(n)
    assert len(table.rows) == len(frame)
    assert [list(r[-frame.shape[1] :]) for r in table.rows] == frame.to_numpy().tolist()
    if n != 4:
        assert [r[0] for r in table.rows] == list(frame.index)
    assert table.caption.startswith(f"Table {n} of the paper")
    styles = {c.source for c in table.columns[4 if n == 4 else 1 :]}
    assert styles == {"paper"}


def test_frames():
    table = TableDisplay.from_frame(paper.claims(), ["verdict", Column("says", words=True)])
    assert table.rows[0] == tuple(paper.claims()[["verdict", "says"]].iloc[0])
    with pytest.raises(ValueError, match="did you mean 'verdict'"):
        TableDisplay.from_frame(paper.claims(), ["verdic"])


def test_a_row_of_the_wrong_length():
    with pytest.raises(ValueError, match="2 columns, but the row"):
        TableDisplay(("a", "b"), [(1,)])


def test_bundle_has_text_and_html():
    data = TableDisplay(("a",), [(1.0,)], "Words.")._repr_mimebundle_()
    assert data["text/plain"] == "Words.\n  a\n1.0"
    assert data["text/html"].startswith('<div class="nm-table">')
