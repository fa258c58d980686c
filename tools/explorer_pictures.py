"""Pictures of the explorer: `python tools/explorer_pictures.py [FOLDER]`.

In a real JupyterLab, light and dark, all six schemes, and the page without a kernel, each about
1200 pixels wide; needs Chromium and playwright.
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

from explorers import Hand
from lab_server import chromium, in_kernel, jupyter_lab, open_notebook, run_all, write_notebook

from nmlib._files import rename_into

CELLS = ["from nmlib.lab.toy import explore\nexplorer = explore()\nexplorer"]


def flatten(image: Any) -> Any:
    """Give an image a palette of 256 colours that keeps rare ones (thin lines, keys of charts)."""
    rgb = np.asarray(image.convert("RGB"))
    colours, counts = np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)
    # The cube root of the count: a large plain area must not use up the palette.
    sample = np.repeat(colours, np.ceil(np.cbrt(counts)).astype(int), axis=0)
    palette = Image.fromarray(sample[None]).quantize(256, kmeans=4)
    return Image.fromarray(rgb).quantize(palette=palette, dither=Image.Dither.NONE)


def take(hand: Hand, path: Path, what: str = ".nm-root") -> None:
    """Save the explorer at rest as a PNG with a palette."""
    hand.every()
    hand.until("node => Object.keys(node.nmExplorer.edges).length >= 4", seconds=90)
    page = hand.page
    page.mouse.move(2, 2)
    root = page.locator(what)
    root.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
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
        hand = Hand(page)
        hand.settle()
        hand.set("sigma_add", 0.2)
        take(hand, folder / "explorer_page.png", ".page")
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
            hand = Hand(page)
            hand.settle()
            hand.set("alpha", 0.4)
            take(hand, folder / "explorer_light.png")
            in_kernel(page, "explorer.view = 'six'")
            hand.until("node => node.dataset.view === 'six'")
            take(hand, folder / "explorer_race.png")
            in_kernel(page, "explorer.view = 'pair'")
            page.evaluate(
                """() => window.jupyterapp.commands.execute(
                    'apputils:change-theme', {theme: 'JupyterLab Dark'})"""
            )
            page.wait_for_selector(".nm-root[data-theme=dark]", timeout=30_000)
            take(hand, folder / "explorer_dark.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "figures")
