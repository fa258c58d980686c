"""Take pictures of the live explorer in JupyterLab: `python tools/explorer_pictures.py [FOLDER]`.

There are four, each about 1200 pixels wide: one scheme, all six, the dark theme, and the page
without a kernel. Needs Chromium and playwright.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser")]

from lab_server import (
    chromium,
    in_kernel,
    jupyter_lab,
    open_notebook,
    run_all,
    write_notebook,
)

from nmlib._files import rename_into

CELLS = ["from nmlib.lab.toy import explore\nexplorer = explore(sigma_add=0)\nexplorer"]
TRAINED = """(wanted) => {
    const d = document.querySelector('.nm-root')?.dataset;
    return d && d.settled === 'true' && d.shown === d.gen && d.step === d.total
        && Object.entries(wanted).every(([name, value]) => d[name] === value);
}"""


def settle(page: Any, **wanted: str) -> None:
    """Wait until the explorer shows a trained picture with these data attributes."""
    page.wait_for_function(TRAINED, arg=wanted, timeout=120_000)
    page.wait_for_timeout(2000)  # the sentence below the picture follows a moment later


def flatten(image: Any) -> Any:
    """Reduce an image to 256 colours, keeping rare ones (thin lines, chart legends)."""
    rgb = np.asarray(image.convert("RGB"))
    colours, counts = np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)
    # Weight by the cube root of the count: a large plain area must not use up the palette.
    sample = np.repeat(colours, np.ceil(np.cbrt(counts)).astype(int), axis=0)
    palette = Image.fromarray(sample[None]).quantize(256, kmeans=4)
    return Image.fromarray(rgb).quantize(palette=palette, dither=Image.Dither.NONE)


def take(page: Any, path: Path, what: str = ".nm-root") -> None:
    """Save the explorer as a PNG with a palette."""
    page.mouse.move(2, 2)
    root = page.locator(what)
    root.scroll_into_view_if_needed()
    with Image.open(io.BytesIO(root.screenshot())) as image:
        flat = flatten(image)
    with rename_into(path) as temporary:
        flat.save(temporary, format="png", optimize=True)
    print(f"{path}: {flat.width} x {flat.height}, {path.stat().st_size / 1000:.0f} kB")


def main(folder: Path) -> None:
    """Take the four pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1232, "height": 1000})
        page.goto((ROOT / "figures" / "explorer.html").as_uri())
        settle(page)
        page.locator("input[data-name=sigma_add]").press("ArrowLeft")
        settle(page, sigmaAdd="0.1")
        take(page, folder / "explorer_page.png", ".page")
    with tempfile.TemporaryDirectory() as private:
        write_notebook(Path(private) / "x.ipynb", CELLS)
        with jupyter_lab(Path(private)) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1380, "height": 1400})
            open_notebook(page, address, "x.ipynb")
            page.evaluate(
                "() => window.jupyterapp.commands.execute('application:toggle-left-area')"
            )
            run_all(page)
            page.locator(".nm-root").wait_for(timeout=120_000)
            settle(page, gen="0")
            in_kernel(page, "explorer.race = True")
            settle(page, race="true")
            in_kernel(page, "explorer.sigma_add = 0.15")
            settle(page, sigmaAdd="0.15")
            take(page, folder / "explorer_race.png")
            in_kernel(page, "explorer.race = False")
            settle(page, race="false")
            take(page, folder / "explorer_light.png")
            page.evaluate(
                """() => window.jupyterapp.commands.execute(
                    'apputils:change-theme', {theme: 'JupyterLab Dark'})"""
            )
            page.wait_for_selector(".nm-root[data-theme=dark]", timeout=30_000)
            settle(page, race="false")
            take(page, folder / "explorer_dark.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "figures")
