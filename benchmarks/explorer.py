"""Latency of the live explorer in a real JupyterLab: `python benchmarks/explorer.py [--out FILE]`.

A Chromium drags each of three sliders over 60 positions, and moves them one step at a time from
rest. The latency of a move is the time from its input event to the end of the animation frame that
draws the first picture of that setting or a later one. A drag moves every 16 ms, faster than
pictures arrive. We report its latencies twice: for the moves that got their own picture, and for
all moves, including those that a later one overtook. Retraining is the time from a move to the
picture of all six schemes trained to the end. Server, kernel and browser share the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nmlib._files import write_json
from nmlib.lab.toy.lab import ToyLab
from nmlib.provenance import provenance

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))

CELLS = ["from nmlib.lab.toy import explore\nexplorer = explore(mode='live')\nexplorer"]
SLIDERS = ("alpha", "sigma_add", "sigma_mult")
MOVES, INTERVAL_MS, SINGLE = 60, 16, 8
SETTLED = """() => {
    const d = document.querySelector('.nm-root')?.dataset;
    return d && d.settled === 'true' && d.shown === d.gen && d.step === d.total;
}"""
# Resolves with the milliseconds from a one-step move to the last picture of the training.
RETRAIN = """(name) => new Promise((resolve) => {
    const root = document.querySelector('.nm-root');
    const input = root.querySelector(`input[data-name=${name}]`);
    const start = performance.now();
    const watch = new MutationObserver(() => {
        const d = root.dataset;
        if (d.step !== d.total || d.shown !== d.gen) return;
        watch.disconnect();
        resolve(performance.now() - start);
    });
    input.value = Number(input.value) + Number(input.step);
    input.dispatchEvent(new Event('input', {bubbles: true}));
    watch.observe(root, {attributes: true, attributeFilter: ['data-step', 'data-shown']});
})"""


def latencies(page: Any) -> list[tuple[float, bool]]:
    """Take the explorer's measurements: ms, and whether the move got its own picture."""
    return page.evaluate("() => document.querySelector('.nm-root').nmLatencies.splice(0)")


def settle(page: Any) -> None:
    page.wait_for_function(SETTLED, timeout=60_000)
    page.wait_for_timeout(200)


def drag(page: Any, name: str) -> list[tuple[float, bool]]:
    """Drag a slider over 60 positions and return the latency of each move."""
    slider = page.locator(f"input[type=range][data-name={name}]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y, left, width = box["y"] + box["height"] / 2, box["x"] + 9, box["width"] - 18
    page.mouse.move(left + 0.1 * width, y)
    page.mouse.down()
    for i in range(MOVES):
        page.mouse.move(left + (0.1 + 0.5 * (i + 1) / MOVES) * width, y)
        page.wait_for_timeout(INTERVAL_MS)
    page.mouse.up()
    settle(page)
    return latencies(page)


def measure(rounds: int) -> dict[str, Any]:
    """Run the browser and return the percentiles."""
    from lab_server import chromium, jupyter_lab, open_notebook, run_all, write_notebook

    dragged: list[float] = []
    drawn: list[float] = []
    single: list[float] = []
    retrained: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        write_notebook(Path(folder) / "x.ipynb", CELLS)
        with jupyter_lab(Path(folder)) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            open_notebook(page, address, "x.ipynb")
            run_all(page)
            page.locator(".nm-root").wait_for(timeout=90_000)
            settle(page)
            for _ in range(rounds):
                for name in SLIDERS:
                    moves = drag(page, name)
                    dragged += [ms for ms, _ in moves]
                    drawn += [ms for ms, own in moves if own]
                    for _ in range(SINGLE):
                        retrained.append(page.evaluate(RETRAIN, name))
                        settle(page)
                    single += [ms for ms, _ in latencies(page)]
            most = int(
                page.evaluate("() => document.querySelector('.nm-root').dataset.maxInflight")
            )
            version = browser.version
    start = time.perf_counter()
    for seed in range(3):
        lab = ToyLab(seed=seed)
        lab.step(lab.total_steps)
    kernel_only = (time.perf_counter() - start) / 3

    def percentile(values: list[float], q: int) -> float:
        return round(float(np.percentile(values, q)), 1)

    return {
        "drag_p50_ms": percentile(dragged, 50),
        "drag_p95_ms": percentile(dragged, 95),
        "drag_moves": len(dragged),
        "drawn_p50_ms": percentile(drawn, 50),
        "drawn_p95_ms": percentile(drawn, 95),
        "drawn_moves": len(drawn),
        "single_p50_ms": percentile(single, 50),
        "single_p95_ms": percentile(single, 95),
        "single_moves": len(single),
        "retrain_p50_ms": percentile(retrained, 50),
        "retrain_p95_ms": percentile(retrained, 95),
        "retrain_kernel_only_ms": round(1e3 * kernel_only, 1),
        "most_requests_in_flight": most,
        "chromium": version,
    }


def main() -> None:
    """Print the table; write it as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    try:
        from lab_server import chromium_path
    except ModuleNotFoundError:
        chromium_path = None
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        chromium_path = None
    if chromium_path is None or chromium_path() is None:
        print("Not measured: needs a Chromium and `pip install playwright`.")
        return
    load = os.getloadavg()[0]
    result = measure(arguments.rounds)
    conditions = (
        f"{os.cpu_count()} CPUs shared by server, kernel and headless Chromium "
        f"{result['chromium']}, load {load:.1f} before the start, torch {torch.__version__}, "
        f"{platform.machine()}"
    )
    print(f"Live explorer in JupyterLab ({conditions})")
    for name, words in (
        ("single", f"slider to first changed frame, {result['single_moves']} moves from rest"),
        ("drawn", f"the same, {result['drawn_moves']} moves of drags, drawn themselves"),
        ("drag", f"the same, {result['drag_moves']} moves of drags, overtaken ones too"),
        ("retrain", "slider to six schemes fully retrained"),
    ):
        print(f"  {words:<55} p50 {result[f'{name}_p50_ms']:6.0f} ms", end="")
        print(f"   p95 {result[f'{name}_p95_ms']:6.0f} ms")
    print(
        f"  {'training alone, without browser':<55}     {result['retrain_kernel_only_ms']:6.0f} ms"
    )
    print(f"  requests in flight at most: {result['most_requests_in_flight']}")
    if arguments.out:
        write_json(arguments.out, {"conditions": conditions, **result, **provenance()})


if __name__ == "__main__":
    main()
