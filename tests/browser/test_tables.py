"""A sortable table in Chromium: it looks sortable before it is sorted, and only where it is."""

from lab_server import chromium

from nmlib.lab.display.tables import TableDisplay

ROWS = [("b", 2.0), ("a", 10.0), ("c", None)]
MARK = "e => getComputedStyle(e, '::after').content"


def test_a_table_says_that_it_can_be_sorted_and_sorts():
    text = TableDisplay(("name", "value"), ROWS, "words").html()
    with chromium() as browser:
        page = browser.new_page()
        page.set_content(text)
        head = page.get_by_role("button", name="value")
        assert "⇅" in head.evaluate(MARK)
        assert head.get_attribute("title") == "Sort by this column"
        first = "() => [...document.querySelectorAll('tbody tr')].map((r) => r.cells[0].innerText)"
        for mark, order in (("▲", ["b", "a", "c"]), ("▼", ["a", "b", "c"])):
            head.focus()
            page.keyboard.press("Enter")
            assert mark in head.evaluate(MARK) and page.evaluate(first) == order
        assert "⇅" in page.get_by_role("button", name="name").evaluate(MARK)
        page.close()
        # GitHub keeps the table and drops the script.
        page = browser.new_page()
        page.set_content(text.replace("<script>", "<template>").replace("</script>", "</template>"))
        assert "⇅" not in page.get_by_role("button", name="value").evaluate(MARK)
