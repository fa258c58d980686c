"""Every panel in a real JupyterLab: its keys stay its own, and its still outlives the kernel."""

import json

import pytest
from lab_server import (
    chromium,
    in_kernel,
    jupyter_lab,
    open_notebook,
    run_all,
    write_notebook,
)

IMPORTS = """import torch, nmlib as nm
from nmlib.lab.ablation.lab import AblationLab
from nmlib.training import Budget
from nmlib.lab.toy import explore
from nmlib.lab.ablation.panel import ablation_lab
from nmlib.lab.blocks.panel import building_blocks
from nmlib.lab.corruptions.gallery import corruption_gallery, sequence_player
from nmlib.lab.imagenet.panel import picture_panel
from nmlib.lab.theory.meter import theory_meter
model = nm.build_model("preact_resnet_small")
data = nm.load("fashion-mini", "test")
photo = torch.arange(96 * 144 * 3).remainder(251).to(torch.uint8).view(96, 144, 3)
tiny = Budget("tiny", "preact_resnet_small", 1, 64, 16)"""
# Name -> what stands in its cell.
PANELS = {
    "meter": "theory_meter(mode='live')",
    "lab": "ablation_lab(AblationLab(tiny, test_images=8), mode='live', jsd_loss=False)",
    "blocks": "building_blocks(model, data, mode='live')",
    "explorer": "explore(mode='live', epochs=4)",
    "sliders": "explorer.sliders",
    "gallery": "corruption_gallery({'a photo': photo, 'dark': photo // 2}, 'fog', 1)",
    "player": "sequence_player(photo, 'tilt')",
    "picture": "picture_panel()",
}
NAMES = list(PANELS)
FIRST = 1  # cell of the first panel
# What a person may hold in a panel: native and ipywidgets' sliders, lists, boxes, buttons, fields.
HOLDS = (
    "input[type=range]", ".noUi-handle", "select", "input[type=checkbox]", "input[type=radio]",
    "button", "input[type=number]", "canvas[tabindex]", "summary",
)  # fmt: skip
KEYS = (
    "ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft", "a", "b", "d d", "x", "c", "v", "z", "m",
    "y", "j", "k", "Escape", "Shift+ArrowDown", "Shift+Enter", "Control+Enter", "Control+a", "0 0",
)  # fmt: skip
NOTEBOOK = """() => {
    const {content} = window.jupyterapp.shell.currentWidget;
    const cells = content.widgets;
    return {
        ids: cells.map((cell) => cell.model.id), kinds: cells.map((cell) => cell.model.type),
        counts: cells.map((cell) => cell.model.executionCount), active: content.activeCellIndex,
        selected: cells.filter((cell) => content.isSelected(cell)).length, mode: content.mode,
        dialogs: document.querySelectorAll('.jp-Dialog').length,
    };
}"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [f"{name} = {code}\n{name}" for name, code in PANELS.items()]
    write_notebook(folder / "panels.ipynb", [IMPORTS, *cells, "print('all cells', 'ran')"])
    with jupyter_lab(folder) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        open_notebook(page, address, "panels.ipynb")
        run_all(page)
        page.get_by_text("all cells ran", exact=True).wait_for(timeout=240_000)
        yield page, address, folder


def place(page, name):
    """Scroll to a panel; returns its cell."""
    index = FIRST + NAMES.index(name)
    page.evaluate(
        """async (index) => {
            const {content} = window.jupyterapp.shell.currentWidget;
            content.activeCellIndex = index;
            await content.scrollToItem(index, 'start');
        }""",
        index,
    )
    cell = page.locator(f".jp-Notebook-cell[data-windowed-list-index='{index}']")
    cell.wait_for(timeout=30_000)
    return cell


@pytest.mark.parametrize("name", NAMES)
def test_no_key_pressed_in_a_panel_reaches_the_notebook(opened, name):
    page, _, _ = opened
    cell = place(page, name)
    output = cell.locator(".jp-OutputArea")
    output.locator(", ".join(HOLDS)).first.wait_for(timeout=60_000)
    held = 0
    for selector in HOLDS:
        found = output.locator(selector)
        if not found.count():
            continue
        hold, held = found.first, held + 1
        if hold.is_disabled() or not hold.is_visible():
            continue
        hold.focus()
        before = page.evaluate(NOTEBOOK)
        for keys in KEYS:
            for key in keys.split():
                page.keyboard.press(key)
            # A button that its own work switches off gives the focus to the page.
            kept = output.evaluate(
                "n => [n, document.body].some((e) => e === document.activeElement) || "
                "n.contains(document.activeElement)"
            )
            assert kept, f"{selector}: {keys!r} took the focus out of the panel"
            hold.focus()
            assert page.evaluate(NOTEBOOK) == before, f"{selector}: {keys!r} reached the notebook"
    assert held


SLIDERS = {
    "meter": ("input[data-name=eps]", "eps", 0.29),
    "lab": ("input[data-name=alpha]", "settings.alpha", 0.95),
    "blocks": ("input[data-name=sigma_add]", "sigma_add", 0.45),
    "gallery": ("input[data-name=severity]", "severity", 2),
    "player": ("input[data-name=frame]", "frame", 3),
    "picture": ("input[data-name=severity]", "severity", 2),
}


@pytest.mark.parametrize("name", SLIDERS)
def test_arrows_move_the_slider_and_nothing_else(opened, name):
    page, _, _ = opened
    selector, expression, value = SLIDERS[name]
    slider = place(page, name).locator(selector)
    node = slider.element_handle()
    ready = "node => node.closest('.nt-root').dataset.answer === 'ready'"
    before = page.evaluate(NOTEBOOK)
    page.wait_for_function(ready, arg=node, timeout=60_000)
    slider.evaluate(
        """(node, value) => {
            node.value = value; node.dispatchEvent(new Event('input'));
            node.dispatchEvent(new Event('change'));
        }""",
        value + float(slider.get_attribute("step")),
    )
    slider.focus()
    page.keyboard.press("ArrowDown")  # the notebook's key for the next cell
    assert float(slider.input_value()) == pytest.approx(value)
    page.wait_for_function(ready, arg=node, timeout=60_000)
    assert page.evaluate(NOTEBOOK) == before
    assert float(in_kernel(page, f"print({name}.{expression})")) == pytest.approx(value)


def test_the_notebook_is_saved_from_inside_a_panel(opened):
    page, _, _ = opened
    place(page, "meter").locator("input[data-name=eps]").focus()
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.context.model.dirty = true; }")
    page.keyboard.press("Control+s")
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")


@pytest.mark.parametrize("name", NAMES)
def test_the_still_is_out_of_the_way_while_the_panel_is_live(opened, name):
    page, _, _ = opened
    output = place(page, name).locator(".jp-OutputArea")
    output.locator(", ".join(HOLDS)).first.wait_for(timeout=60_000)
    assert output.locator(".jp-RenderedImage").is_visible() is False
    shown = output.locator(".jp-OutputArea-child:visible")
    assert shown.count() == 1, shown.all_inner_texts()


@pytest.mark.parametrize("kernel", [True, False], ids=["a new kernel", "no kernel"])
def test_reopened_a_notebook_shows_the_stills(opened, kernel):
    first, address, folder = opened
    first.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    first.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    stored = json.loads((folder / "panels.ipynb").read_text())
    assert "widgets" not in stored["metadata"]
    name = f"copy {kernel}.ipynb"
    page = first.context.browser.new_page(viewport={"width": 1280, "height": 720})
    # Trusted as a notebook is whose cells one has run.
    first.evaluate(
        "async name => { await window.jupyterapp.serviceManager.contents.rename("
        "(await window.jupyterapp.serviceManager.contents.copy('panels.ipynb', '')).path, name); }",
        name,
    )
    if kernel:
        open_notebook(page, address, name)
    else:
        page.goto(f"{address}/lab?reset")
        page.wait_for_function("() => window.jupyterapp?.commands", timeout=60_000)
        page.evaluate("() => window.jupyterapp.restored")
        page.evaluate(
            """async name => {
                const widget = await window.jupyterapp.commands.execute('docmanager:open', {
                    path: name, factory: 'Notebook', kernelPreference: {shouldStart: false},
                });
                await widget.context.ready;
            }""",
            name,
        )
        page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.content?.widgets?.length"
        )
    has_kernel = "() => !!window.jupyterapp.shell.currentWidget.context.sessionContext.session"
    assert page.evaluate(has_kernel) is kernel
    page.evaluate(
        """async () => {
            const {content} = window.jupyterapp.shell.currentWidget;
            for (const cell of content.widgets) cell.model.trusted = true;
        }"""
    )
    for panel in PANELS:
        cell = place(page, panel)
        if panel != "sliders":  # they have no picture
            picture = cell.locator(".jp-RenderedImage img")
            picture.wait_for(state="visible", timeout=30_000)
            assert picture.evaluate("p => p.naturalWidth") > 100
        page.wait_for_timeout(2_500 if panel == NAMES[0] else 100)  # the manager's own patience
        shown = cell.locator(".jp-OutputArea-child:visible")
        assert shown.count() == 1, shown.all_inner_texts()
        assert "Error" not in cell.locator(".jp-OutputArea").inner_text()
    page.close()


def test_after_a_restart_every_live_panel_says_that_its_numbers_are_old(opened):
    page, _, _ = opened
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.sessionContext.restartKernel()"
    )
    for name in SLIDERS:
        root = place(page, name).locator(".nt-root")
        page.wait_for_function(
            "node => node.dataset.answer === 'gone'", arg=root.element_handle(), timeout=30_000
        )
        assert "run this cell again" in root.inner_text()
        # Moving a slider does not bring the old numbers back.
        root.locator("input[type=range]:enabled").first.focus()
        page.keyboard.press("ArrowUp")
        page.wait_for_function(
            "node => node.dataset.answer === 'gone'", arg=root.element_handle(), timeout=30_000
        )


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)], ids=str)
def test_gallery_and_player_fit_the_screen(opened, size):
    first, address, folder = opened
    with_players = folder / f"player {size[0]}.ipynb"
    write_notebook(with_players, [IMPORTS, PANELS["gallery"], PANELS["player"]])
    page = first.context.browser.new_context(
        viewport={"width": size[0], "height": size[1]}, has_touch=size[0] < 500
    ).new_page()
    open_notebook(page, address, with_players.name)
    if size[0] < 500:
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    run_all(page)
    for index in (1, 2):
        panel = page.locator(
            f".jp-Notebook-cell[data-windowed-list-index='{index}'] .jp-OutputArea "
            ".ng-root[data-answer=ready]"
        ).first
        panel.wait_for(timeout=120_000)
        panel.locator("img").evaluate("p => p.decode()")
        box = panel.bounding_box()
        room = page.locator(".jp-NotebookPanel-notebook").bounding_box()
        assert box["height"] <= room["height"], f"{box} does not fit {room}"
        assert box["x"] + box["width"] <= size[0]
        inside = panel.evaluate("p => p.scrollWidth <= p.clientWidth + 1")
        assert inside, "something is wider than the panel"
        picture = panel.locator("img").bounding_box()
        assert picture["width"] >= min(250, 0.6 * box["width"])
    page.close()
