"""The ablation lab in Chromium: the script alone, with a lab that really trains."""

from panel_page import panel_page

from nmlib.lab.ablation.lab import AblationLab, LabSettings
from nmlib.lab.ablation.panel import ablation_lab
from nmlib.training import Budget


def test_a_switch_is_toggled_trained_and_placed():
    lab = AblationLab(Budget("tiny", "preact_resnet_small", 1, 64, 16), test_images=8)
    panel = ablation_lab(lab, mode="live", settings=LabSettings(False, False, False, True))
    with panel_page(panel, (390, 800)) as page:
        root = page.locator(".nl-root")
        train = page.get_by_role("button", name="Train", exact=True)

        # What cannot be trained is explained, and the button is off.
        page.wait_for_selector(".nl-problem:not([hidden])", timeout=30_000)
        assert "three views" in page.locator(".nl-problem").inner_text()
        assert train.is_disabled() and root.get_attribute("data-trained") == "0"
        assert page.locator("input[data-name=alpha]").is_disabled()

        # By keyboard alone: JSD loss off, Noise on, a level up, Train.
        page.get_by_role("switch", name="JSD loss").focus()
        page.keyboard.press("Space")
        page.get_by_role("switch", name="Noise").focus()
        page.keyboard.press("Space")
        page.locator("input[data-name=sigma_add]").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".nl-root[data-key='0010 σ_add 0.55, σ_mult 0.50']", timeout=30_000)
        train.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(".nl-root[data-state=training]", timeout=30_000)
        assert page.evaluate("document.activeElement.textContent") == "Stop"
        page.wait_for_selector(".nl-root[data-state=done]", timeout=60_000)

        row = page.locator("tr[data-key='0010 σ_add 0.55, σ_mult 0.50']")
        assert row.get_attribute("class") == "nl-chosen nl-fresh"
        settings = LabSettings(False, False, True, False, sigma_add=0.55)
        assert list(lab.results) == [settings.baseline, settings]
        robust = 100 * lab.results[settings].report.robust_accuracy
        assert f"{robust:.1f} %" in row.locator("td.nl-here").inner_text()
        assert page.locator("td.nl-here:not(.nl-none)").count() == 2
        assert "over the baseline" in page.locator("[role=status]").inner_text()
        assert page.locator(".nl-loss polyline").get_attribute("points").count(",") == 4

        # A row of the table sets the switches; what is trained is not trained again.
        page.locator("tr[data-key='1111'] button").click()
        page.wait_for_selector(".nl-root[data-key='1111']", timeout=30_000)
        assert page.get_by_role("switch", name="Augmentations").is_checked()
        assert page.locator("tr.nl-chosen").get_attribute("data-key") == "1111"
        page.locator("tr[data-key='0000'] button").click()
        page.get_by_role("button", name="Trained: show it").wait_for(timeout=30_000)
        # On a phone nothing is wider than the screen.
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("window.most") == 1
