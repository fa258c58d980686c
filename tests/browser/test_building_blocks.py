"""The building blocks in a real JupyterLab: a slider moves, picture and text follow."""

import pytest
from lab_server import (
    chromium,
    in_kernel,
    jupyter_lab,
    open_notebook,
    run_all,
    write_notebook,
)

CELL = """import nmlib as nm
from nmlib.lab.blocks.panel import building_blocks
model = nm.build_model("preact_resnet_small")
panel = building_blocks(model, nm.load("fashion-mini", "test"))
panel"""
# What the panel shows: the answered question, the pictures' bytes and the words.
SHOWN = """() => {
    const root = document.querySelector('.nb-root');
    const canvases = [...root.querySelectorAll('.nb-states canvas')].map((c) => c.toDataURL());
    const loss = root.querySelector('.nb-loss').textContent;
    const chains = root.querySelector('.nb-chains').textContent;
    return {...root.dataset, canvases, loss, chains, focus: document.activeElement.dataset.name};
}"""


def answered(page, least):
    page.wait_for_function(
        "(n) => Number(document.querySelector('.nb-root')?.dataset.gen) >= n",
        arg=least, timeout=30_000,
    )  # fmt: skip
    return page.evaluate(SHOWN)


def test_a_slider_moves_and_all_follows(tmp_path):
    write_notebook(tmp_path / "panel.ipynb", [CELL])
    with jupyter_lab(tmp_path) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        errors = []
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        open_notebook(page, address, "panel.ipynb")
        run_all(page)
        first = answered(page, 1)
        assert first["point"] == "2" and "× JSD" in first["loss"]

        # Noise, by keyboard: the last state changes and nothing before it; so does the loss.
        page.locator("input[data-name=sigma_add]").focus()
        page.keyboard.press("End")
        noisy = answered(page, 2)
        assert noisy["canvases"][:3] == first["canvases"][:3]
        assert noisy["canvases"][3] != first["canvases"][3]
        assert noisy["loss"] != first["loss"] and noisy["focus"] == "sigma_add"
        assert noisy["chains"] == first["chains"]
        assert in_kernel(page, "print(panel.sigma_add)") == "2.0"

        # A button draws another lambda; the label follows.
        page.get_by_role("button", name="new λ").click()
        assert answered(page, 3)["lam"] != noisy["lam"]

        # Python leads: the page follows.
        in_kernel(page, "panel.op_severity = 10.0")
        led = answered(page, 4)
        assert led["chains"] != first["chains"]
        assert page.locator("input[data-name=op_severity]").input_value() == "10"

        # A drag leaves the last value standing.
        page.evaluate(
            """() => { const s = document.querySelector('input[data-name=alpha]');
            for (let k = 5; k <= 40; k++) {
                s.value = k / 10; s.dispatchEvent(new Event('input'));
            } }"""
        )
        last = answered(page, 4 + 36)
        kernel = in_kernel(page, "print(panel.read({**panel.settings, 'alpha': 4.0}).mixing.lam)")
        assert float(last["lam"]) == pytest.approx(float(kernel), abs=1e-6)
        assert errors == []
