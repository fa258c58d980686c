"""Every link of a lesson: the controls named are hidden, and the page shows what is quoted."""

import re
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import lessons
import pytest
from explorers import Hand
from lab_server import chromium

from nmlib.lab.toy.explorer.controls import about

PAGE = lessons.ROOT / "figures" / "explorer.html"
LINK = r"\(\.\./\.\./figures/explorer\.html(#[^)\s]+)\)"
SLIDERS = {spec["name"] for spec in about()["specs"] if spec["slider"]}
# What a part of the page looks like, by its name in a link.
PARTS = {
    "presets": ".nm-presets", "picker": ".nm-picker", "layers": ".nm-layers",
    "transport": ".nm-transport", "data": ".nm-edit", "charts": ".nm-charts",
    "trials": ".nm-trials", "exercises": ".nm-exercises", "share": "[data-action=copy-link]",
    "slow": ".nm-slow", "more": "select[data-name=law]",
}  # fmt: skip


def rows():
    """Each link once, with what its lesson quotes."""
    for path in sorted(lessons.LESSONS.glob("*.md")):
        section = lessons.section(path.read_text(encoding="utf-8"), "What the explorer shows")
        for line in section.splitlines():
            if found := re.match(rf"\| \[([^]]*)\]{LINK}.*? \| ([^|]*) \|$", line):
                yield pytest.param(found[2], found[3].split("; "), id=f"{path.stem}-{found[1]}")


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    yield context.new_page()
    context.close()


def test_every_link_is_quoted():
    quoted = {row.values[0] for row in rows()}
    pages = lessons.LESSONS.glob("*.md")
    linked = {link for path in pages for link in re.findall(LINK, path.read_text("utf-8"))}
    assert linked == quoted and len(linked) >= 15


def agrees(quoted, shown):
    """The words are there, and each number to the last bits of another processor."""
    pattern = re.sub(r"\d+\\\.\d+", r"(\\d+\\.\\d+)", re.escape(quoted))
    found = re.search(pattern, shown)
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", quoted)]
    return found and all(
        abs(float(there) - number) <= max(0.5 if "%" in quoted else 0.05, 0.03 * number)
        for there, number in zip(found.groups(), numbers, strict=True)
    )


@pytest.mark.parametrize(("link", "quoted"), [*rows()])
def test_a_link_shows_what_the_lesson_says(page, link, quoted):
    page.goto(PAGE.as_uri() + link)
    hand = Hand(page)
    hand.settle()
    assert hand.notice == "", "nothing in the link is unknown"
    wanted = parse_qs(urlsplit(link).fragment)
    (hidden,), (task,) = wanted["hide"], wanted["lesson"]
    assert hand.root.locator(".nm-lesson").inner_text() == task
    hidden = set(hidden.split("."))
    assert hidden <= PARTS.keys() | SLIDERS
    for name in SLIDERS:
        assert hand.slider(name).count() == (name not in hidden), name
    for name, selector in PARTS.items():
        assert (hand.root.locator(selector).count() > 0) == (name not in hidden), name
    controls, picture = (
        hand.root.locator(part).first.bounding_box() for part in (".nm-middle", "canvas")
    )
    assert controls["y"] < picture["y"] + picture["height"], "they stand beside the picture"
    cells = hand.root.locator(".nm-measured tbody tr").evaluate_all(
        "rows => rows.map((r) => `${r.children[0].innerText} ${r.children[2].innerText}`)"
    )
    shown = "\n".join([hand.sentence, hand.root.locator(".nm-notes").inner_text(), *cells])
    for each in quoted:
        assert agrees(each, shown), (each, shown)


def test_slides_fit_their_page(page, tmp_path):
    pytest.importorskip("sphinx_revealjs", reason="needs the site's packages")
    page.set_viewport_size({"width": 1280, "height": 720})
    trouble = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("requestfailed", lambda request: trouble.append(request.url))
    for path in lessons.write_slides(tmp_path):
        page.goto(path.as_uri())
        page.wait_for_function("Reveal.isReady() && MathJax.startup.promise")
        page.evaluate("MathJax.startup.promise")
        seen = []
        for number in range(page.evaluate("Reveal.getTotalSlides()")):
            page.evaluate(f"Reveal.slide({number})")
            slide = page.evaluate(
                "(() => { const s = Reveal.getCurrentSlide();"
                " return [s.scrollHeight, s.scrollWidth, s.innerText]; })()"
            )
            assert slide[0] <= 720 and slide[1] <= 1280, (path.stem, number, slide)
            seen.append(slide[2])
        assert all(a != b for a, b in pairwise(seen)) and "$" not in "".join(seen)
    assert trouble == []
