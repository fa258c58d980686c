"""A sortable table in Chromium: it looks sortable before it is sorted, and only where it is."""

import pytest
from lab_server import chromium

from nmlib.lab.display.tables import TableDisplay

COLUMNS = ("name", "value", "printed")
ROWS = [("b", 2.0, "9.3 (9.2 / 9.4)"), ("a", -10.0, "+12.1"), ("c", None, "-"), ("d", 1000, "1")]
MARK = "e => getComputedStyle(e, '::after').content"


@pytest.fixture
def page():
    with chromium() as browser:
        yield browser.new_page()


def names(page):
    return "".join(page.locator("tbody tr td:first-child").all_inner_texts())


@pytest.mark.parametrize(
    ("column", "up", "down"),
    [("name", "abcd", "dcba"), ("value", "abdc", "dbac"), ("printed", "dbac", "abdc")],
)
def test_a_table_says_that_it_can_be_sorted_and_sorts(page, column, up, down):
    page.set_content(TableDisplay(COLUMNS, ROWS, "words").html())
    head = page.get_by_role("button", name=column)
    assert "⇅" in head.evaluate(MARK)
    assert head.get_attribute("title") == "Sort by this column"
    for mark, order, sort in (("▲", up, "ascending"), ("▼", down, "descending")):
        head.focus()
        page.keyboard.press("Enter")
        assert mark in head.evaluate(MARK) and names(page) == order
        assert page.get_by_role("columnheader", name=column).get_attribute("aria-sort") == sort
    assert page.locator("[aria-sort]").count() == 1


def test_where_no_script_runs_nothing_looks_sortable(page):
    text = TableDisplay(COLUMNS, ROWS, "words").html()
    # GitHub keeps the table and drops the script.
    page.set_content(text.replace("<script>", "<template>").replace("</script>", "</template>"))
    assert names(page) == "bacd" and page.locator("button").count() == 0
