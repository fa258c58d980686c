"""The gallery and the player of corruptions in Chromium: the script alone."""

import torch
from panel_page import panel_page

from nmlib.lab.corruptions.gallery import corruption_gallery, sequence_player

IMAGE = torch.arange(32 * 32 * 3).remainder(251).to(torch.uint8).view(32, 32, 3)
READY = ".ng-root[data-answer=ready]"
SHOWN = "async () => (await (await fetch(document.querySelector('img').src)).blob()).size"


def test_a_choice_is_drawn_and_described():
    with panel_page(corruption_gallery({"a": IMAGE, "b": 255 - IMAGE}, "fog", mode="live")) as page:
        page.wait_for_selector(READY)
        image, old = page.locator("img"), page.evaluate(SHOWN)
        assert image.get_attribute("alt").startswith("a, fog at severity 3")
        page.get_by_label("severity").focus()
        page.keyboard.press("End")
        page.get_by_label("image", exact=True).select_option("b")
        page.get_by_label("seed").fill("7")
        page.get_by_label("seed").blur()
        page.wait_for_selector("img[alt^='b, fog at severity 5']")
        assert page.evaluate(SHOWN) != old and page.evaluate("window.values.seed") == 7
        assert image.evaluate("p => p.decode().then(() => p.naturalWidth)") == 3 * 224 + 12


def test_a_sequence_is_played_and_stopped_by_hand():
    with panel_page(sequence_player(IMAGE, "translate", mode="live")) as page:
        page.wait_for_selector(READY)
        slider = page.get_by_label("frame")
        assert slider.get_attribute("max") == "15"
        page.get_by_role("button", name="Play").click()
        page.wait_for_function("() => Number(document.querySelector('[type=range]').value) >= 3")
        slider.focus()
        page.keyboard.press("End")
        page.get_by_role("button", name="Play").wait_for()  # it says Play again
        page.wait_for_selector("img[alt='translate, frame 15 of 15']")
        page.get_by_label("sequence").select_option("tilt")
        page.wait_for_selector("img[alt='tilt, frame 15 of 30']")
        assert slider.get_attribute("max") == "30"
