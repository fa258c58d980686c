"""The explorer in a real JupyterLab: Python holds the settings, the page trains.

Assertions read what the explorer publishes about itself (data attributes, labels, its arrays),
never screenshots. One server and one page serve the whole module.
"""

import shutil

import numpy as np
import pytest
from explorers import Hand
from lab_server import (
    ROOT,
    chromium,
    in_kernel,
    jupyter_lab,
    open_notebook,
    run_all,
    write_notebook,
)

from nmlib.lab.toy.lab import Settings, ToyLab

# Shorter than the default, for a shorter test.
LIVE = [
    "from nmlib.lab.toy import explore\nexplorer = explore(epochs=40)\nexplorer",
    "explorer.sliders",
    "print('all cells', 'ran')",
]
TWO = [
    "from nmlib.lab.toy import explore\nfirst = explore(epochs=20, width=20)\nfirst",
    "second = explore(epochs=20, width=20, lane='nfm')\nsecond",
    "print('all cells', 'ran')",
]
FIRST = "01_decision_boundaries.ipynb"


def open_and_run(page, address, name):
    open_notebook(page, address, name)
    run_all(page)
    page.get_by_text("all cells ran", exact=True).wait_for(timeout=90_000)


def kernel(hand, code):
    return in_kernel(hand.page, code)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    write_notebook(folder / "live.ipynb", LIVE)
    write_notebook(folder / "two.ipynb", TWO)
    shutil.copy(ROOT / "notebooks" / FIRST, folder)
    with jupyter_lab(folder) as address, chromium() as browser:
        yield address, browser


@pytest.fixture(scope="module")
def opened(served):
    address, browser = served
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    trouble = []
    page.on("pageerror", lambda e: trouble.append(str(e)))
    open_and_run(page, address, "live.ipynb")
    yield Hand(page)
    page.close()
    assert trouble == []


@pytest.fixture
def hand(opened):
    """The explorer at its default settings, trained to the end."""
    opened.press("defaults")
    opened.field("epochs", "40")
    opened.settle()
    return opened


def test_the_page_trains_and_python_knows_the_settings(hand):
    assert (hand.data["trainer"], hand.data["step"]) == ("worker", "200")
    hand.set("alpha", 0.85)
    hand.settle()
    hand.page.wait_for_timeout(300)
    assert kernel(hand, "print(explorer.alpha)") == "0.85"
    assert "alpha=0.85" in kernel(hand, "print(explorer.as_code())")


def test_the_same_setting_is_the_same_picture_on_both_sides(hand):
    toy = ToyLab(Settings(epochs=40))
    toy.step(toy.total_steps)
    grid = np.array(hand.grid())
    side = int(len(grid) ** 0.5)
    assert np.abs(grid - toy.grid("noisymix", side).ravel().astype(int)).mean() < 1.5


def test_python_leads(hand):
    kernel(hand, "explorer.sigma_add = 0.33; explorer.lane = 'nfm'; explorer.view = 'six'")
    hand.until("node => node.dataset.sigmaAdd === '0.33' && node.dataset.lane === 'nfm'")
    hand.until("node => node.dataset.view === 'six'")
    hand.settle()
    assert hand.slider("sigma_add").input_value() == "0.33"
    kernel(hand, "explorer.stopped = 7")
    hand.until("node => node.dataset.step === '7'")


def test_python_chooses_the_language(hand):
    assert hand.root.get_attribute("lang") == "en"  # whatever the browser's
    kernel(hand, "explorer.language = 'de'")
    hand.until("node => node.lang === 'de' && /Testgenauigkeit/.test(node.textContent)")
    hand.settle()
    hand.root.locator("select[data-name=language]").select_option("en")
    hand.until("node => node.lang === 'en'")
    hand.page.wait_for_timeout(300)
    assert kernel(hand, "print(explorer.language)") == "en"


def test_a_wrong_value_from_python_changes_nothing(hand):
    said = kernel(hand, "explorer.alpha = -1")
    assert "alpha must be a finite number > 0, got -1" in said
    assert hand.data["alpha"] == "0.3"


def test_ordinary_sliders_lead_and_follow(hand):
    kernel(hand, "explorer.sliders.children[1].value = 0.41")
    hand.until("node => node.dataset.sigmaAdd === '0.41'")
    hand.set("sigma_add", 0.12)
    hand.settle()
    code = "import time; time.sleep(.3); print(explorer.sliders.children[1].value)"
    assert kernel(hand, code) == "0.12"


def test_points_go_both_ways(hand):
    code = """
import numpy as np
X = np.random.default_rng(0).normal(size=(60, 2)) * .6
explorer.set_points(X, (X[:, 0] > 0).astype(int), np.arange(60) > 40)
"""
    kernel(hand, code)
    hand.until("node => node.dataset.points === '60'")
    hand.settle()
    hand.root.locator("canvas[data-lane=noisymix]").click(position={"x": 50, "y": 50})
    assert hand.settle()["points"] == "61"
    code = (
        "import time; time.sleep(.3); lab = explorer.lab; print(len(lab.X_train), len(lab.X_test))"
    )
    assert kernel(hand, code) == "42 19"


def test_keys_stay_in_the_explorer(hand):
    """Arrows move the slider, and 'd d' deletes no cell."""
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = hand.page.evaluate(cells)
    hand.slider("alpha").focus()
    hand.page.keyboard.press("ArrowRight")
    hand.page.keyboard.press("d")
    hand.page.keyboard.press("d")
    hand.settle()
    assert hand.data["alpha"] == "0.35" and hand.page.evaluate(cells) == before
    assert hand.root.evaluate("node => node.contains(document.activeElement)")


def test_copied_links_and_code_are_of_this_state(hand):
    hand.set("alpha", 0.75)
    hand.settle()
    hand.press("copy-code")
    space = {}
    exec(hand.copied(), space)
    assert space["lab"].settings == Settings(alpha=0.75, epochs=40)
    hand.press("copy-link")
    link = hand.copied()
    assert link.startswith("file:///") and "alpha=0.75" in link
    twin = hand.page.context.browser.new_page()
    twin.goto(link)
    other = Hand(twin)
    assert other.settle()["alpha"] == "0.75" and other.grid() == hand.grid()
    twin.close()


def test_two_explorers_in_one_notebook(served):
    address, browser = served
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    open_and_run(page, address, "two.ipynb")
    first, second = Hand(page, 0), Hand(page, 1)
    for hand in (first, second):  # out of sight nothing is trained
        hand.root.scroll_into_view_if_needed()
        hand.settle()
    assert (first.data["lane"], second.data["lane"]) == ("noisymix", "nfm")
    second.choose("baseline")
    second.set("alpha", 0.9)
    second.settle()
    assert (first.data["lane"], first.data["alpha"]) == ("noisymix", "0.3")
    ids = page.evaluate("() => [...document.querySelectorAll('.nm-root [id]')].map((n) => n.id)")
    assert len(ids) == len(set(ids))
    page.close()


def test_a_restarted_or_busy_kernel_changes_nothing_on_the_page(hand):
    hand.page.evaluate(
        """() => { window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel
          .requestExecute({code: 'import time; time.sleep(4)'}); }"""
    )
    hand.set("alpha", 0.55)
    assert hand.settle()["alpha"] == "0.55"
    before = hand.picture()
    hand.page.evaluate(
        """() => window.jupyterapp.shell.currentWidget.context.sessionContext
          .session.kernel.restart()"""
    )
    hand.page.wait_for_timeout(1500)
    assert hand.picture() == before
    hand.set("sigma_add", 0.25)
    assert hand.settle()["sigmaAdd"] == "0.25" and hand.picture() != before


def test_the_first_notebook(served):
    """The notebook that people open first shows its explorer."""
    address, browser = served
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    open_notebook(page, address, FIRST)
    run_all(page)
    page.wait_for_selector(".nm-root", timeout=120_000, state="attached")
    page.locator(".nm-root").first.scroll_into_view_if_needed()
    assert Hand(page).settle()["step"] == "500"
    page.close()
