"""figures/explorer.html, opened from the disk: sliders, snapping, the link, width, no errors."""

from pathlib import Path

import pytest
from lab_server import chromium

from nmlib.lab.toy.explorer.atlas import Plan, decode_grids, read_page

PAGE = Path(__file__).resolve().parents[2] / "figures" / "explorer.html"
WIDTHS = {"desktop": (1280, 900), "phone": (360, 740)}
READY = ".nm-root[data-settled='true']"
PIXELS = """canvas => {
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let hash = 0;
  for (let i = 0; i < data.length; i++) hash = (Math.imul(hash, 31) + data[i]) | 0;
  return hash;
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(params=["desktop"])
def page(request, browser):
    """The page in a tab of its own; nothing may be fetched or complain."""
    width, height = WIDTHS[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=request.param == "phone"
    )
    page = context.new_page()
    page.trouble = []
    page.on("pageerror", lambda e: page.trouble.append(str(e)))
    page.on("console", lambda m: page.trouble.append(m.text) if m.type == "error" else None)
    page.on(
        "request",
        lambda r: page.trouble.append(r.url) if not r.url.startswith(("file:", "data:")) else None,
    )
    page.goto(PAGE.as_uri())
    settle(page)
    yield page
    context.close()
    assert page.trouble == []


def settle(page):
    page.wait_for_selector(READY, timeout=20_000)
    # Settled and drawn: the picture's setting is the last one.
    page.wait_for_function(
        "() => { const d = document.querySelector('.nm-root').dataset;"
        " return d.settled === 'true' && d.shown === d.gen; }",
        timeout=20_000,
    )


def facts(page):
    return page.evaluate("({...document.querySelector('.nm-root').dataset})")


def picture(page):
    return page.locator(".nm-stage canvas").first.evaluate(PIXELS)


def hide_ghost(page):
    """Without the boundary of the setting before, which a reload forgets."""
    page.locator("input[data-layer=ghost]").uncheck()
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_sliders_by_keyboard_and_drag_and_the_link(page):
    plan = Plan()
    assert facts(page)["transport"] == "atlas" and int(facts(page)["step"]) == plan.steps[-1]
    seen = [picture(page)]
    for name, key in (("alpha", "End"), ("sigmaAdd", "ArrowRight"), ("sigmaMult", "ArrowLeft")):
        axis = {"sigmaAdd": "sigma_add", "sigmaMult": "sigma_mult"}.get(name, name)
        values = plan.axes[axis]
        slider = page.locator(f"input[data-name={axis}]")
        before = float(facts(page)[name])
        slider.focus()
        page.keyboard.press(key)
        settle(page)
        at = values.index(before)
        wanted = values[{"End": len(values) - 1, "ArrowRight": at + 1, "ArrowLeft": at - 1}[key]]
        assert float(facts(page)[name]) == wanted
        assert slider.get_attribute("aria-valuetext").startswith(f"{wanted:g}"[:3])
        seen.append(picture(page))

    slider = page.locator("input[data-name=sigma_add]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 3, y)
    page.mouse.down()
    for i in range(40):
        page.mouse.move(box["x"] + 3 + (box["width"] - 6) * i / 39, y)
    page.mouse.up()
    settle(page)
    assert float(facts(page)["sigmaAdd"]) == plan.axes["sigma_add"][-1]
    assert facts(page)["maxInflight"] == "1"
    seen.append(picture(page))
    assert len(set(seen)) == len(seen)

    page.locator("input[type=radio][value=nfm]").check()
    settle(page)
    page.wait_for_function("() => location.hash.includes('lane=nfm')")
    hide_ghost(page)
    last, shown = facts(page), picture(page)
    page.reload()
    settle(page)
    hide_ghost(page)
    again = facts(page)
    for name in ("alpha", "sigmaAdd", "sigmaMult", "lane", "step"):
        assert again[name] == last[name]
    assert picture(page) == shown


def test_values_off_the_grid_snap_and_the_page_says_so(page):
    page.goto("about:blank")
    page.goto(PAGE.as_uri() + "#alpha=0.37&sigma_add=0.15&sigma_mult=0.1&stability=5&lane=all")
    settle(page)
    assert facts(page)["alpha"] == "0.3" and facts(page)["race"] == "true"
    assert page.locator(".nm-stage canvas").count() == 6
    assert "stops at 0.1, 0.15, 0.2, 0.3, 0.5, 1" in page.locator(".nm-sliders").inner_text()
    page.wait_for_function(
        "() => document.querySelector('.nm-live').innerText.includes('grid of settings')",
        timeout=8_000,
    )
    said = page.locator(".nm-live").inner_text()
    assert "α = 0.37 to 0.3" in said and "stability = 5 to 0.3" in said
    page.evaluate("() => { location.hash = '#alpha=1&lane=nfm'; }")  # a link pasted in this tab
    page.wait_for_selector(".nm-root[data-alpha='1'][data-lane='nfm'][data-settled='true']")


def test_replay_goes_through_the_snapshots(page):
    page.get_by_role("button", name="Replay").click()
    steps = page.evaluate(
        """() => new Promise(resolve => {
          const root = document.querySelector('.nm-root'), steps = [];
          const observer = new MutationObserver(() => {
            if (steps[steps.length - 1] !== root.dataset.step) steps.push(root.dataset.step);
            if (root.dataset.step === root.dataset.total && steps.length > 1) {
              observer.disconnect(); resolve(steps);
            }
          });
          observer.observe(root, {attributes: true});
        })"""
    )
    assert [int(step) for step in steps if int(step)] == list(Plan().steps)


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_the_page_fits_its_window(page):
    width = page.viewport_size["width"]
    for value in ("noisymix", "all"):
        page.locator(f"input[type=radio][value={value}]").check()
        settle(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = page.evaluate(
            """() => [...document.querySelectorAll('.page *')].filter(e => e.checkVisibility()
              && !e.closest('.nm-sr') && e.getBoundingClientRect().right > innerWidth + 1)
              .map(e => e.className || e.tagName)"""
        )
        assert wide == []


LARGEST = """() => {
    for (const row of document.querySelectorAll('.nm-numbers tbody tr')) {
        const cells = row.querySelectorAll('td');
        ['100.0 %', '100.0 %', '−100.0'].forEach((text, k) => { cells[k].textContent = text; });
    }
    const heads = document.querySelectorAll('.nm-numbers thead th');
    heads[0].textContent = 'before, step 200';
    heads[1].textContent = 'B (now)';
    const column = document.querySelector('.nm-measured').getBoundingClientRect();
    const right = (n) => n.getBoundingClientRect().right;
    return Math.max(...[...document.querySelectorAll('.nm-numbers *')].map(right)) - column.right;
}"""


@pytest.mark.parametrize("width", [360, 720, 900, 1000, 1280, 1440, 1920, 2560])
def test_the_table_stays_in_its_column(page, width):
    """With the widest numbers it can have, whatever the window's shape."""
    for height in (450, 720, 1080, 1600):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(LARGEST) <= 0.5, height


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1440, 900), (1920, 1080), (720, 450)])
def test_sentence_picture_and_sliders_are_in_sight_together(page, width, height):
    """720 x 450 is a window of 1440 x 900 at 200 % zoom."""
    page.set_viewport_size({"width": width, "height": height})
    page.locator("input[data-name=alpha]").focus()
    page.keyboard.press("ArrowRight")
    settle(page)
    page.locator(".nm-live").evaluate("n => n.scrollIntoView({block: 'start'})")
    page.wait_for_function("() => document.querySelector('.nm-live').textContent.includes('long')")
    outside = page.evaluate(
        """() => [...document.querySelectorAll('.nm-live, .nm-stage canvas, .nm-sliders input')]
            .filter((n) => n.getBoundingClientRect().top < -1
                || n.getBoundingClientRect().bottom > innerHeight + 1)
            .map((n) => n.className || n.tagName)"""
    )
    assert outside == []


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_on_a_phone_nothing_covers_the_captions_of_all_six(page):
    """A caption looks the same with and without the pictures around it."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("input[type=radio][value=all]").check(force=True)
    settle(page)
    words = page.locator(".nm-tile figcaption, .nm-tile .nm-note")
    assert words.count() == 12
    for k in range(12):
        words.nth(k).scroll_into_view_if_needed()
        shown = words.nth(k).screenshot()
        page.add_style_tag(content=".nm-tile canvas { visibility: hidden; }")
        assert words.nth(k).screenshot() == shown
        page.evaluate("() => document.head.lastElementChild.remove()")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_on_a_phone_sentence_and_picture_stay_while_a_slider_moves(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("input[data-name=sigma_mult]").evaluate("n => n.scrollIntoView({block: 'end'})")
    rows = page.evaluate(
        """() => ['.nm-live', '.nm-stage canvas', 'input[data-name=sigma_mult]']
            .map((s) => document.querySelector(s).getBoundingClientRect())
            .map((b) => [b.top, b.bottom])"""
    )
    ends = [end for row in rows for end in row]
    assert ends == sorted(ends) and ends[0] >= -1 and ends[-1] <= 845


@pytest.mark.parametrize("page", WIDTHS, indirect=True)
def test_a_finger_finds_every_control(page):
    """24 pixels either way, or the label around it."""
    small = page.evaluate(
        """() => [...document.querySelectorAll('.nm-root :is(button, input, select, summary)')]
            .filter((n) => n.checkVisibility())
            .map((n) => [n, (n.closest('label') || n).getBoundingClientRect()])
            .filter(([, b]) => b.width < 24 || b.height < 24)
            .map(([n, b]) => `${n.outerHTML} ${b.height}`)"""
    )
    assert small == []


def test_the_browser_decodes_what_python_coded(browser):
    plan = Plan()
    atlas = read_page(PAGE.read_text(encoding="utf-8"))
    grids = decode_grids(atlas)
    page = browser.new_page()
    page.goto(PAGE.as_uri())
    settle(page)
    asked = [
        ("noisymix", {"alpha": 0.5, "sigma_add": 0.25, "sigma_mult": 0.2}),
        ("nfm", {"alpha": 1.0, "sigma_add": 0.0, "sigma_mult": 0.4}),
        ("noise_injection", {"alpha": 0.1, "sigma_add": 0.05, "sigma_mult": 0.1}),
        ("manifold_mixup_jsd", {"alpha": 0.2, "sigma_add": 0.4, "sigma_mult": 0.0}),
        ("baseline", {"alpha": 1.0, "sigma_add": 0.4, "sigma_mult": 0.4}),
    ]
    for lane, params in asked:
        cell, data, size, row = page.evaluate(
            """async ([lane, params, steps]) => {
              const transport = document.getElementById('lab').nmTransport;
              const reply = await transport.request(
                {kind: 'tick', params, steps, restart: true, lanes: [lane], gen: 9});
              return [transport.cell(lane, params), [...reply.grids[lane].data],
                      reply.grids[lane].size, reply.lanes[lane]];
            }""",
            [lane, params, plan.steps[-1]],
        )
        assert cell == plan.cell(lane, params)
        last = len(plan.steps) - 1
        grid = grids[plan.offsets[lane] + last * plan.cells[lane] + cell]
        wanted = [int(v / (plan.levels - 1) * 255 + 0.5) for v in grid.ravel().tolist()]
        assert size == plan.size and data == wanted
        assert list(row.values()) == atlas.head["metrics"][lane][cell][last]
    page.close()
