"""The theory meter in Chromium: the script alone, with the kernel's own answers."""

import pytest
from panel_page import panel_page

from nmlib.widgets.theory_meter import CONTROLS, DEFAULTS, reply_to


def answer(message):
    return reply_to(message["params"]) | {"gen": message["gen"]}


@pytest.fixture
def page():
    values = {**DEFAULTS, "_controls": list(CONTROLS)}
    with panel_page("theory_meter.js", values, answer) as page:
        page.wait_for_selector(".nt-root[data-gen='1']", timeout=30_000)
        yield page


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
