"""The theory meter in Chromium: the script alone, with the kernel's own answers."""

import json
from pathlib import Path

import pytest

from nmlib.widgets._panel import script
from nmlib.widgets.theory_meter import CONTROLS, DEFAULTS, reply_to

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:16px"><div id="here"></div>
<script type="module">
const code = await window.script();
const module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
const values = %s, listeners = {};
const model = {
  get: (k) => values[k], set: (k, v) => { values[k] = v; }, save_changes: () => { window.saved++; },
  on: (k, f) => { listeners[k] = f; }, off: () => {},
  send: async (message) => {
    window.sent++; window.flying++; window.most = Math.max(window.most, window.flying);
    const reply = await window.answer(JSON.stringify(message));
    window.flying--; listeners["msg:custom"](JSON.parse(reply));
  },
};
Object.assign(window, { sent: 0, saved: 0, flying: 0, most: 0, values, listeners });
module.default.initialize();
module.default.render({ model, el: document.getElementById("here") });
window.ready = true;
</script>"""


def answer(text):
    message = json.loads(text)
    return json.dumps(reply_to(message["params"]) | {"gen": message["gen"]})


@pytest.fixture
def page():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path="/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else None,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        page = browser.new_page(viewport={"width": 800, "height": 620})
        errors = []
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.expose_function("answer", answer)
        page.expose_function("script", lambda: script("theory_meter.js"))
        page.set_content(PAGE % json.dumps({**DEFAULTS, "_controls": list(CONTROLS)}))
        page.wait_for_selector(".nt-root[data-gen='1']", timeout=30_000)
        yield page
        browser.close()
        assert errors == []


def settle(page):
    page.wait_for_function("() => window.flying === 0", timeout=30_000)


def test_sliders_work_by_keyboard_and_amber_has_words(page):
    root = page.locator(".nt-root")
    assert root.get_attribute("data-parted") == "false"
    assert "✓ They agree" in page.locator(".nt-verdict").inner_text()
    eps = page.get_by_label("ε, scale of everything")
    eps.focus()
    page.keyboard.press("End")
    page.wait_for_selector(".nt-parted", timeout=30_000)
    settle(page)
    assert "⚠ They part" in page.locator(".nt-verdict").inner_text()
    assert page.evaluate("window.values.eps") == 1
    assert eps.get_attribute("aria-valuetext") == "epsilon 1.00"
    assert (
        page.locator(".nt-verdict").evaluate("e => getComputedStyle(e).borderTopStyle") == "dashed"
    )
    page.keyboard.press("Home")
    page.wait_for_selector(".nt-root:not(.nt-parted)", timeout=30_000)


def test_one_question_at_a_time_and_the_last_value_wins(page):
    page.evaluate(
        """() => { const s = document.querySelector(".nt-slider input");
        for (let k = 0; k < 60; k++) {
          s.value = 0.01 * (k + 20); s.dispatchEvent(new Event("input"));
        } }"""
    )
    settle(page)
    page.wait_for_selector(".nt-root[data-gen='61']", timeout=30_000)
    assert page.evaluate("window.most") == 1
    assert page.evaluate("window.sent") <= 4
    assert float(page.locator(".nt-root").get_attribute("data-eps")) == pytest.approx(0.79)


def test_the_other_loss_and_the_dark_theme(page):
    page.get_by_label("stability loss").check()
    page.wait_for_function(
        "() => document.querySelector('.nt-terms').innerText.includes('mix_cross')"
    )
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    page.wait_for_selector(".nt-root[data-theme='dark']")


def test_a_setting_from_python_moves_the_slider(page):
    page.evaluate("() => { window.values.sigma_add = 0.8; window.listeners['change'](); }")
    settle(page)
    page.wait_for_selector(".nt-root[data-gen='2']", timeout=30_000)
    assert page.get_by_label("σ add, additive noise").input_value() == "0.8"
