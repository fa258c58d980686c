"""The theory meter in Chromium: the script alone, with the kernel's own answers."""

import pytest
from panel_page import panel_page

from nmlib.lab.theory.meter import theory_meter


@pytest.fixture
def page():
    with panel_page(theory_meter(mode="live")) as page:
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


def test_a_setting_from_python_leaves_the_slider_under_the_finger(page):
    """Its own trait lags behind until it is let go."""
    page.evaluate(
        """() => { const s = document.querySelector("[data-name='eps']");
        s.value = 0.35; s.dispatchEvent(new Event("input"));
        window.values.sigma_add = 0.8; window.listeners['change'](); }"""
    )
    settle(page)
    assert page.get_by_label("σ add, additive noise").input_value() == "0.8"
    assert page.get_by_label("ε, scale of everything").input_value() == "0.35"
    assert float(page.locator(".nt-root").get_attribute("data-eps")) == pytest.approx(0.35)


# Answers wait until the test lets them go.
HOLD = """() => {
    const real = window.answer;
    window.waiting = [];
    window.answer = (text) => new Promise((done) => {
        window.waiting.push(async () => done(await real(text)));
    });
}"""


def shown(page):
    return page.evaluate(
        """() => {
            const root = document.querySelector('.nt-root');
            return {
                state: root.dataset.answer, words: root.querySelector('.nt-verdict').textContent,
                busy: root.querySelector('.nt-result').getAttribute('aria-busy'),
                spoken: root.querySelector('[role=status]').textContent,
            };
        }"""
    )


def test_from_the_moment_a_choice_moves_nothing_old_looks_new(page):
    old = shown(page)
    assert (old["state"], old["busy"]) == ("ready", "false") and "They agree" in old["words"]
    page.evaluate(HOLD)
    page.get_by_label("ε, scale of everything").focus()
    page.keyboard.press("End")
    now = shown(page)
    assert (now["state"], now["words"], now["busy"]) == ("computing", "Computing …", "true")
    page.wait_for_function(
        "() => Number(getComputedStyle(document.querySelector('.nt-result')).opacity) < 0.5"
    )
    # The answer to a choice that has moved on meanwhile is drawn, and not as if it were the last.
    page.keyboard.press("Home")
    page.evaluate("() => window.waiting.shift()()")
    page.wait_for_function("() => window.waiting.length === 1")
    assert shown(page)["words"] == "Computing …" and shown(page)["state"] == "computing"
    page.evaluate("() => window.waiting.shift()()")
    page.wait_for_function("() => document.querySelector('.nt-root').dataset.answer === 'ready'")
    end = shown(page)
    assert end["words"].startswith("✓ They agree") and end["words"] != old["words"]
    assert end["spoken"] == end["words"]
    assert page.locator("[role=status], [role=alert], [aria-live]").count() == 1


def test_a_kernel_that_does_not_answer_is_said_to_be_busy_or_gone(page):
    page.clock.install()
    page.evaluate(HOLD)
    page.get_by_label("ε, scale of everything").focus()
    page.keyboard.press("End")
    page.clock.fast_forward(5_000)
    assert "the kernel answers after it" in shown(page)["words"]
    page.clock.fast_forward(11_000)
    assert shown(page)["state"] == "waiting" and "run this cell again" in shown(page)["words"]
    # A late answer is welcome.
    page.evaluate("() => window.waiting.shift()()")
    page.wait_for_function("() => document.querySelector('.nt-root').dataset.answer === 'ready'")
    assert "They part" in shown(page)["words"]


def test_what_the_kernel_refuses_is_said_and_shows_no_numbers(page):
    page.evaluate("() => { window.values.eps = 7; window.listeners['change'](); }")
    page.wait_for_function("() => document.querySelector('.nt-root').dataset.answer === 'refused'")
    assert "eps must lie in [0.0, 1.0], got 7" in shown(page)["words"]


@pytest.mark.parametrize("part", ["nfm", "stability"])
def test_every_term_is_explained_where_it_stands(page, part):
    if part == "stability":
        page.get_by_label("stability loss").check()
        page.wait_for_selector("li[data-term=mix_cross]")
    terms = page.locator("li[data-term]").all()
    assert len(terms) >= 6
    for term in terms:
        assert len(term.locator("small").inner_text()) > 30
