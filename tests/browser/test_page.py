"""figures/explorer.html, opened from the disk: everything works without kernel and network."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from explorers import Hand
from lab_server import chromium

from nmlib.lab.display.looks import LANE_LABELS
from nmlib.lab.toy.explorer.controls import LANGUAGES, strings
from nmlib.lab.toy.explorer.page import page as page_text
from nmlib.lab.toy.lab import Settings, ToyLab

PAGE = Path(__file__).resolve().parents[2] / "figures" / "explorer.html"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser):
    """Open the page at a link, in a tab of its own; nothing may be fetched or complain."""
    contexts, trouble = [], []

    def open_page(link="", size="desktop", **options):
        width, height = SIZES.get(size, size)
        touch = {"has_touch": True, "is_mobile": True} if size == "phone" else {}
        context = browser.new_context(
            viewport={"width": width, "height": height}, **touch, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
        page.on(
            "request",
            lambda r: (
                trouble.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None
            ),
        )
        page.goto(PAGE.as_uri() + link)
        hand = Hand(page)
        hand.settle()
        return hand

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


def test_the_page_is_small_and_stands_alone():
    text = PAGE.read_text("utf-8")
    assert text == page_text(), "run: python -m nmlib.lab.toy.explorer.page"
    assert len(text.encode()) <= 200_000
    assert "worker-src blob:" in text and "src=" not in text


def test_the_first_picture_teaches(opened):
    hand = opened()
    data = hand.data
    assert (data["trainer"], data["view"], data["step"]) == ("worker", "pair", "500")
    captions = hand.root.locator("figcaption").all_inner_texts()
    assert ["– mixing" in captions[0], "✓ mixing" in captions[1], "✓ agreement" in captions[1]] == [
        True
    ] * 3
    assert hand.sentence.startswith("NoisyMix after 500 steps: ") and "(baseline " in hand.sentence
    hand.choose("noise_injection")
    hand.settle()
    assert "does not use it" in hand.root.locator(".nm-slider:has([data-name=alpha])").inner_text()
    assert (
        "does not use it"
        not in hand.root.locator(".nm-slider:has([data-name=sigma_add])").inner_text()
    )


SETTINGS = {
    "alpha": (0.75, "alpha"), "sigma_add": (0.2, "sigmaAdd"), "sigma_mult": (0.3, "sigmaMult"),
    "seed": (3, "seed"), "data_noise": (0.3, "dataNoise"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_each_slider_trains_at_once(opened, name):
    hand = opened()
    before = hand.picture()
    value, shown = SETTINGS[name]
    hand.set(name, value)
    assert float(hand.data[shown]) == value
    hand.settle()
    assert hand.picture() != before
    hand.press("undo")
    hand.settle()
    assert float(hand.data[shown]) == getattr(Settings(), name)
    assert np.array_equal(hand.grid(), _grid(hand, Settings()))


def _grid(hand, settings):
    """What Python draws at the size that the page shows."""
    toy = ToyLab(settings)
    toy.step(toy.total_steps)
    side = int(len(hand.grid()) ** 0.5)
    return toy.grid("noisymix", side).ravel()


FIELDS = {
    "law": "released", "reading": "noise", "learning_rate": "0.01", "batch_size": "25",
    "width": "40", "epochs": "20", "data_seed": "4", "shape": "moons",
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_gives_the_picture_of_python(opened, name):
    hand = opened()
    hand.field(name, FIELDS[name])
    hand.settle()
    kind = type(getattr(Settings(), name))
    wanted = _grid(hand, Settings(**{name: kind(FIELDS[name])}))
    assert np.abs(np.array(hand.grid()) - wanted.astype(int)).mean() < 1.5


def test_the_same_link_is_the_same_picture_in_python(opened):
    settings = Settings(alpha=0.6, sigma_add=0.1, stability=0.5, seed=4, epochs=40)
    changed = {k: v for k, v in asdict(settings).items() if v != getattr(Settings(), k)}
    hand = opened("#v=2&" + "&".join(f"{k}={v}" for k, v in changed.items()))
    assert np.abs(np.array(hand.grid()) - _grid(hand, settings).astype(int)).mean() < 1.5
    hand.press("copy-code")
    space = {}
    exec(hand.copied(), space)
    assert space["lab"].settings == settings and space["lab"].done


def test_a_link_brings_everything_back(opened):
    hand = opened()
    hand.choose("nfm")
    hand.choose("one")
    hand.set("alpha", 0.9)
    hand.layer("jsd")
    canvas = hand.root.locator("canvas[data-lane=nfm]")
    canvas.click(position={"x": 100, "y": 120})
    canvas.click(position={"x": 130, "y": 150}, modifiers=["Shift"])
    hand.settle()
    hand.press("copy-link")
    link = hand.copied()
    assert link.startswith("file:") and "added=" in link
    twin = opened("#" + link.split("#")[1])
    assert (twin.data["lane"], twin.data["view"], twin.data["points"]) == ("nfm", "one", "502")
    assert twin.grid("nfm") == hand.grid("nfm")
    assert twin.root.locator("input[data-layer=jsd]").is_checked()


def test_absurd_links_open_and_say_so(opened):
    hand = opened("#alpha=1e99&lane=<script>alert(1)</script>&width=-4&epochs=2")
    assert (hand.data["alpha"], hand.data["width"], hand.data["lane"]) == ("100", "1", "noisymix")
    assert "Mixing 1e99 became 100" in hand.notice and "<script>alert(1)</script" in hand.notice


def test_a_link_pasted_into_the_same_tab_opens(opened):
    hand = opened()
    hand.page.evaluate("() => { location.hash = '#v=2&alpha=1.5&epochs=5'; }")
    hand.until("node => node.isConnected && node.dataset.alpha === '1.5'")


def test_six_schemes_stories_and_defaults(opened):
    hand = opened("#v=2&view=six")
    data = hand.every()
    assert data["step"] == "500" and hand.root.locator("canvas").count() == 6
    assert "is right most often" in hand.sentence
    hand.root.get_by_role("button", name="Agreement wins: collapse").click()
    hand.settle()
    assert "noisymix" in hand.data["collapsed"].split() and "has collapsed" in hand.sentence
    assert (
        hand.root.locator(".nm-badge:visible").first.inner_text()
        == "collapsed: one class everywhere"
    )
    hand.press("defaults")
    hand.settle()
    assert hand.data["stability"] == "0.3" and hand.data["view"] == "pair"


def test_step_epoch_reset_play(opened):
    hand = opened()
    hand.press("reset")
    assert hand.settle()["step"] == "0"
    hand.press("step")
    hand.press("step")
    assert hand.settle()["step"] == "2"
    hand.press("epoch")
    assert hand.settle()["step"] == "7"
    assert hand.data["doing"] == "paused"
    hand.press("play")
    hand.until("node => node.dataset.step === '500'")


def test_a_held_slider_has_no_numbers_of_another_picture(opened):
    hand = opened()
    slider = hand.slider("stability")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    hand.page.mouse.move(box["x"] + box["width"] * 0.2, y)
    hand.page.mouse.down()
    hand.page.mouse.move(box["x"] + box["width"] * 0.7, y, steps=4)
    # trained to the end, still held; the numbers come after the picture
    hand.until(
        """node => node.dataset.step === '500' && node.dataset.measured.includes('noisymix')
          && node.querySelector('.nm-numbers tbody tr').children[2].textContent !== '…'"""
    )
    row, accuracy = hand.root.evaluate(
        """node => [[...node.querySelectorAll('.nm-numbers tbody tr td')].map((c) => c.textContent),
          node.nmExplorer.numbers('noisymix').test_accuracy]"""
    )
    assert row[1] == f"{100 * accuracy:.1f} %" and row[0] != "–"
    hand.page.mouse.move(box["x"] + box["width"] * 0.1, y)
    step, now = hand.root.evaluate(
        """node => [node.nmExplorer.step, [...node.querySelectorAll('.nm-numbers tbody tr')]
          .map((row) => row.children[2].textContent)]"""
    )
    assert step == 500 or set(now[:6]) == {"…"}
    hand.page.mouse.up()
    hand.settle()


def test_points_by_mouse_keyboard_and_drawing(opened):
    hand = opened()
    canvas = hand.root.locator("canvas[data-lane=noisymix]")
    canvas.click(position={"x": 60, "y": 60})
    assert hand.settle()["points"] == "501" and "Added a training point of class 1" in hand.notice
    canvas.click(position={"x": 62, "y": 61}, modifiers=["Alt"])
    assert hand.settle()["points"] == "500"
    hand.root.locator("input[value=delete]").check()
    canvas.click(position={"x": 200, "y": 200})
    assert "Deleted" in hand.notice or "No point within" in hand.notice
    hand.root.locator("input[value='0'][name$=tool]").check()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    hand.page.mouse.move(box["x"] + 40, box["y"] + 40)
    hand.page.mouse.down()
    hand.page.mouse.move(box["x"] + 140, box["y"] + 40, steps=12)
    hand.page.mouse.up()
    drawn = int(hand.settle()["points"])
    assert drawn > 504
    hand.press("undo")  # a stroke is one change
    assert int(hand.settle()["points"]) < 501
    canvas.focus()
    hand.page.keyboard.press("ArrowUp")
    hand.page.keyboard.press("1")
    assert "Added a training point of class 1 at" in hand.notice
    hand.page.keyboard.press("p")
    assert "P(class 1) =" in hand.notice
    hand.press("first-data")
    assert hand.settle()["points"] == "500"


def test_own_points_from_a_table(opened):
    hand = opened()
    rng = np.random.default_rng(0)
    rows = [(10 * x, 5 * y, "wet" if x > 0 else "dry") for x, y in rng.normal(size=(80, 2))]
    hand.open("Your own points")
    text = "east;north;kind\n" + "\n".join(
        f"{a:.2f};{b:.2f};{c}".replace(".", ",") for a, b, c in rows
    )
    hand.root.locator("textarea[aria-label='Table of points']").fill(text)
    hand.press("use-table")
    assert hand.settle()["points"] == "80"
    assert "class 0 is 'dry', class 1 is 'wet'" in hand.notice
    accuracy = hand.root.evaluate("node => node.nmExplorer.numbers('baseline').test_accuracy")
    assert accuracy > 0.9
    hand.root.locator("textarea[aria-label='Table of points']").fill("1,2\n")
    hand.press("use-table")
    assert "Not used: line 1 has 2 of the columns x, y, class" in hand.notice
    assert hand.data["points"] == "80"
    hand.press("copy-link")
    twin = opened("#" + hand.copied().split("#")[1])
    assert twin.data["points"] == "80" and twin.grid() == hand.grid()


def test_trials_are_kept_sorted_pinned_and_returned_to(opened):
    hand = opened()
    for alpha in (0.8, 1.2):
        hand.set("alpha", alpha)
        hand.settle()
    assert hand.data["trials"] == "3"
    hand.open("Trials")
    body = hand.root.locator(".nm-trials tbody tr")
    assert "α 1.20" in body.nth(0).inner_text()
    hand.root.locator(".nm-trials thead button", has_text="Test accuracy").click()
    accuracies = [float(row.locator("td").nth(1).inner_text().rstrip(" %")) for row in body.all()]
    assert accuracies == sorted(accuracies, reverse=True)
    hand.root.locator(".nm-trials tbody tr", has_text="defaults").get_by_role(
        "button", name="Return"
    ).click()
    assert hand.settle()["alpha"] == "0.3"
    hand.press("copy-trials")
    lines = hand.copied().splitlines()
    assert lines[0].startswith("trial,scheme,step,test_accuracy") and len(lines) == 4
    body.nth(2).get_by_role("button", name="Pin").click()
    assert body.nth(0).get_by_role("button", name="Unpin").is_visible()


def test_for_a_class(opened):
    lesson = "Raise σ. What does <b>NoisyMix</b> do?"
    hand = opened(f"?hide=seed.trials.presets.exercises&lesson={quote(lesson)}&present=1")
    assert hand.slider("seed").count() == 0 and hand.slider("alpha").count() == 1
    assert hand.root.locator(".nm-trials, .nm-presets, .nm-exercises").count() == 0
    assert hand.root.locator(".nm-lesson").inner_text() == lesson
    assert float(hand.root.evaluate("n => parseFloat(getComputedStyle(n).fontSize)")) >= 17
    hand.press("copy-link")
    assert "hide=seed" in hand.copied() and "lesson=" in hand.copied()


def test_predict_then_look(opened):
    hand = opened()
    hand.open("Predict, then look")
    hand.press("predict-0-shorter")
    verdict = hand.root.locator(".nm-verdict").first
    hand.until("node => /it went from/.test(node.querySelector('.nm-verdict').textContent)")
    assert verdict.inner_text().startswith("✓ right: it went from ")
    assert hand.settle()["alpha"] == "1"
    hand.press("predict-1-longer")
    hand.until("node => /it went from/.test(node.querySelectorAll('.nm-verdict')[1].textContent)")
    assert "✗ not so" in hand.root.locator(".nm-verdict").nth(1).inner_text()
    hand.root.locator("input[data-name=collapse]").fill("0.2")
    hand.press("check-collapse")
    hand.until("node => /not yet/.test(node.querySelectorAll('.nm-verdict')[3].textContent)")


def test_one_step_taken_apart(opened):
    hand = opened()
    hand.press("reset")
    hand.settle()
    hand.open("One training step")
    hand.until("node => node.querySelectorAll('.nm-slow li').length === 7")
    for _ in range(6):
        hand.press("slow-next")
    words = hand.root.locator(".nm-slow").inner_text()
    assert "λ =" in words and "Cross-entropy" in words and "Adam moves the weights" in words
    hand.press("slow-again")
    hand.until("node => node.dataset.step === '1'")


def test_where_sliders_end(opened):
    """The collapse is looked for when nothing else is to do."""
    hand = opened()
    hand.until("node => Object.keys(node.nmExplorer.edges).length === 4", seconds=60)
    edges = hand.root.evaluate("node => node.nmExplorer.edges")
    for name, found in edges.items():
        if found["from"] is None:
            continue
        lab = ToyLab(Settings(**{name: found["from"]}))
        lab.step(lab.total_steps)
        assert lab.metrics("noisymix")["one_class"], name
    assert "gives one class everywhere" in hand.row("stability").inner_text()


def test_layers_are_drawn_and_explained(opened):
    hand = opened("#v=2&view=one&epochs=10")
    before = hand.picture()
    for name, words in (("saw", "What the model saw"), ("jsd", "strongest colour"), ("seeds", "")):
        hand.layer(name)
        key = {"saw": "saw", "jsd": "jsd", "seeds": "seeds"}[name]
        hand.until(f"node => node.nmExplorer.frames.noisymix.{key}")
        hand.page.wait_for_timeout(100)
        assert words in hand.root.locator(".nm-notes").inner_text()
        assert hand.picture() != before
        hand.layer(name, on=False)


def test_without_workers_it_trains_in_the_page(browser, tmp_path):
    text = PAGE.read_text("utf-8").replace("; worker-src blob:", "; worker-src 'none'")
    (tmp_path / "page.html").write_text(text)
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    hand = Hand(page)
    assert hand.settle()["trainer"] == "page"
    hand.set("alpha", 0.9)
    assert hand.settle()["step"] == "500"
    page.close()


def test_pins_undo_and_dark(opened):
    hand = opened(color_scheme="dark")
    assert hand.data["theme"] == "dark"
    hand.press("pin")
    hand.set("sigma_add", 0.25)
    hand.settle()
    assert "Against A:" in hand.sentence
    hand.choose("nfm")  # pins compare schemes, too
    hand.settle()
    assert "Against A (NoisyMix):" in hand.sentence
    hand.choose("noisymix")
    assert hand.root.locator(".nm-numbers thead th").nth(0).inner_text() == "A"
    hand.slider("sigma_add").focus()
    for _ in range(3):  # two schemes, then the slider
        hand.page.keyboard.press("Control+z")
    assert hand.settle()["sigmaAdd"] == "0.15"


@pytest.mark.parametrize("size", [(1280, 720), (1440, 900), (1920, 1080)])
def test_picture_sentence_and_sliders_are_in_sight_together(opened, size):
    hand = opened(size=size)
    hand.root.locator(".nm-stage").scroll_into_view_if_needed()
    hand.page.evaluate("() => document.querySelector('.nm-stage').scrollIntoView()")
    height = size[1]
    for found in (".nm-stage", ".nm-words-now", ".nm-slider"):
        box = hand.root.locator(found).first.bounding_box()
        assert box["y"] >= -1 and box["y"] + min(box["height"], 60) <= height, found


def test_a_phone(opened):
    hand = opened(size="phone")
    page = hand.page
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    hand.slider("stability").scroll_into_view_if_needed()
    box = hand.root.locator("canvas[data-lane=noisymix]").bounding_box()
    assert 0 <= box["y"] < 844 - box["height"]  # the picture stays in sight
    for control in hand.root.locator("button:visible, .nm-picker label:visible").all():
        size = control.bounding_box()
        assert size["height"] >= 24, control.inner_text()
    hand.root.locator("input[value=delete]").check()
    page.evaluate("() => document.querySelector('.nm-stage').scrollIntoView()")
    canvas = hand.root.locator("canvas[data-lane=noisymix]")
    x, y = hand.root.evaluate(
        """node => {
          const [x, y] = node.nmExplorer.points.find((point) => !point[3]);
          const side = node.querySelector('canvas[data-lane=noisymix]').clientWidth;
          return [(x + 1.6) / 3.2 * side, (1.6 - y) / 3.2 * side];
        }"""
    )
    canvas.tap(position={"x": x, "y": y})
    assert hand.settle()["points"] == "499"


def test_every_control_has_a_name(opened):
    hand = opened()
    nameless = hand.root.evaluate(
        """node => [...node.querySelectorAll('button, input, select, textarea, [tabindex="0"]')]
          .filter((c) => !c.labels?.length && !c.getAttribute('aria-label'))
          .filter((c) => !c.textContent.trim())
          .map((c) => c.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    assert hand.root.locator("[aria-live=polite][role=status]").count() == 1


def test_the_main_thread_is_free(opened):
    """No task of the page blocks for long while a slider is dragged (the worker trains)."""
    hand = opened()
    hand.root.evaluate(
        """node => {
          window.longest = 0;
          let last = performance.now();
          const beat = () => {
            const now = performance.now();
            window.longest = Math.max(window.longest, now - last);
            last = now;
            setTimeout(beat, 0);
          };
          beat();
        }"""
    )
    for k in range(10):
        hand.set("alpha", 0.3 + 0.05 * k)
        hand.page.wait_for_timeout(30)
    hand.settle()
    assert json.loads(hand.page.evaluate("() => JSON.stringify(window.longest)")) < 400


PARTS = (
    "presets", "picker", "legend", "layers", "transport", "data", "own", "more", "numbers",
    "charts", "share", "trials", "slow", "exercises", "present", "language", "alpha", "law",
)  # fmt: skip


def test_any_part_may_be_hidden(opened):
    for parts in (*PARTS, ".".join(PARTS)):
        hand = opened(f"#v=2&epochs=2&hide={parts}")
        assert hand.data["doing"] == "trained" and hand.sentence.startswith(
            "NoisyMix after 10 steps"
        )


def test_points_that_cannot_be_trained_on_are_left_out(opened):
    gone = ".".join(map(str, range(400)))
    hand = opened(f"#v=2&epochs=4&removed={gone}")
    assert hand.data["points"] == "500" and hand.data["total"] == "20"
    assert "the points were left out: keep at least one training point" in hand.notice
    repeated = opened("#v=2&epochs=4&removed=99999.5.5.5")
    assert repeated.data["points"] == "499"


def test_undo_goes_over_views_and_held_sliders(opened):
    hand = opened("#v=2&epochs=10")
    for alpha in (0.5, 0.6):
        hand.set("alpha", alpha)
    hand.choose("nfm")
    hand.choose("six")
    hand.root.evaluate("node => node.nmExplorer.held.add('alpha')")
    hand.set("alpha", 0.9)
    seen = []
    for _ in range(5):
        hand.press("undo")
        seen.append([hand.data[name] for name in ("alpha", "lane", "view")])
    assert seen == [
        ["0.6", "nfm", "six"], ["0.6", "nfm", "pair"], ["0.6", "noisymix", "pair"],
        ["0.5", "noisymix", "pair"], ["0.3", "noisymix", "pair"],
    ]  # fmt: skip


def test_numbers_of_other_points_are_not_compared(opened):
    hand = opened("#v=2&epochs=10")
    hand.press("pin")
    hand.field("shape", "moons")
    hand.settle()
    assert "Against" not in hand.sentence
    hand.press("undo")
    hand.settle()
    assert hand.root.locator(".nm-numbers tbody tr").first.locator("td").first.inner_text() != "–"


def test_a_long_word_does_not_widen_the_page(opened):
    hand = opened(f"?lesson={'Wort' * 60}", size="phone")
    assert hand.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


# Every text that a reader sees or hears.
SHOWN = """() => [
  ...document.querySelectorAll('title, body :not(script, noscript, option[lang])'),
].flatMap((n) => [
  [...n.childNodes].filter((c) => c.nodeType === 3).map((c) => c.data).join(' '),
  ...['aria-label', 'aria-valuetext', 'title', 'placeholder'].map((a) => n.getAttribute(a) ?? ''),
]).filter((text) => text.trim())"""


def foreign(language):
    """English texts that have no place on a page in this language, as patterns."""
    own = "\n".join(strings(language).values())
    for key, text in strings("en").items():
        words = max(re.split(r"\{\w+\}", text), key=len).strip(" .,:;")
        if len(words) > 3 and words not in own and not key.startswith(("python.", "language")):
            yield words


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
@pytest.mark.parametrize("size", SIZES)
def test_a_page_in_another_language_is_in_it_throughout(opened, language, size):
    hand = opened(f"#lang={language}&alpha=1e99&epochs=20", size=size)
    page, seen = hand.page, []

    def read():
        seen.extend(page.evaluate(SHOWN))
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")

    assert page.evaluate("() => document.documentElement.lang") == language
    assert strings(language)["page.title"] == page.title()
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    read()
    for name in ("saw", "jsd", "seeds", "test"):
        hand.layer(name)
    hand.press("pin")
    hand.set("sigma_add", 0.3)
    hand.settle()
    read()
    for action in ("copy-link", "copy-code", "copy-trials", "undo", "reset", "slow-next", "step"):
        hand.press(action)
        page.wait_for_timeout(50)
        read()
    hand.field("epochs", "")
    hand.root.locator("textarea").first.fill("1,2")
    hand.press("use-table")
    read()
    canvas = hand.root.locator("canvas[data-lane=noisymix]")
    canvas.focus()
    for key in ("1", "p", "Delete", "Delete"):
        page.keyboard.press(key)
        read()
    hand.press("story.collapse")
    hand.settle()
    read()
    hand.choose("six")
    hand.every()
    read()
    hand.press("predict-0-longer")
    hand.root.locator("input[data-name=collapse]").fill("0.5")
    hand.press("check-collapse")
    hand.until(
        "n => [0, 3].every((k) => /\\d/.test(n.querySelectorAll('.nm-verdict')[k].textContent))"
    )
    read()
    text = re.sub("|".join(LANE_LABELS.values()).replace("+", r"\+"), "", "\n".join(seen))
    assert [words for words in foreign(language) if words in text] == []
    mark = page.evaluate("(l) => new Intl.NumberFormat(l).format(0.5)[1]", language)
    assert re.search(rf"\d{re.escape(mark)}\d %", text)
    assert mark == "." or not re.search(r"\d\.\d+ %", text)


def test_the_language_is_the_readers_and_can_be_changed(opened):
    hand = opened(locale="de-AT")
    german, english = strings("de"), strings("en")
    chosen = hand.root.locator("select[data-name=language]")
    assert (
        chosen.input_value() == "de" and german["page.head"] == hand.page.locator("h1").inner_text()
    )
    assert "lang=" not in hand.page.url  # the reader's own language stays with the reader
    hand.set("alpha", 0.9)
    hand.settle()
    chosen.select_option("en")
    hand.settle()
    assert hand.data["alpha"] == "0.9" and hand.sentence.startswith("NoisyMix after 500 steps: ")
    assert english["page.head"] == hand.page.locator("h1").inner_text()
    assert hand.data["trials"] == "2"
    hand.press("copy-link")
    link = hand.copied()
    assert "lang=en" in link
    twin = opened("#" + link.split("#")[1], locale="de-AT")
    assert twin.root.get_attribute("lang") == "en"
    assert "the language xx is not known" in opened("#lang=xx").notice
    assert opened("?lang=de").root.get_attribute("lang") == "de"
