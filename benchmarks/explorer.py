"""Latency of the explorer: `python benchmarks/explorer.py [--rounds N] [--out FILE]`.

In a real JupyterLab and on its page, a Chromium drags each of three sliders over 60 positions, and
moves them one step at a time from rest. Latency of a move: from its input event to the end of the
animation frame that draws the first picture of that setting or a later one. A drag moves on every
16 ms: of its moves, those that got a picture of their own are counted, and all of them. Retraining:
from a move to the picture of the scheme shown, and of all six, trained to the end. Blocked: the
longest task of the page's main thread during a drag. Beside it, steps per second of the engine and
of a plain loop over the same network with objects for nodes and links, the way in which TensorFlow
Playground's published training loop is built (written anew for this comparison).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nmlib._files import write_json
from nmlib.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))

CELLS = ["from nmlib.lab.toy import explore\nexplorer = explore(mode='live')\nexplorer"]
SLIDERS = ("alpha", "sigma_add", "sigma_mult")
MOVES, INTERVAL_MS, SINGLE = 60, 16, 8
# Milliseconds from a one-step move to the last picture of the scheme shown, and of all six.
RETRAIN = """([node, name]) => new Promise((resolve) => {
  const explorer = node.nmExplorer, input = node.querySelector(`input[data-name=${name}]`);
  const start = performance.now(), found = {};
  const look = () => {
    if (!found.shown && explorer.rested) found.shown = performance.now() - start;
    if (explorer.lanes.every((lane) => explorer.arrived(lane))) {
      found.six = performance.now() - start;
      resolve(found);
    } else setTimeout(look, 4);
  };
  input.value = Number(input.value) + Number(input.step);
  input.dispatchEvent(new Event('input', {bubbles: true}));
  look();
})"""
# The longest time that the main thread was not free, from here to `window.longest`.
WATCH = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      window.longest = Math.max(window.longest, entry.duration);
    }
  }).observe({type: 'longtask'});
}"""
# The same network and batch with objects, one for each node and link.
PEER = """() => {
  const layer = (n) => Array.from({length: n}, () => ({bias: 0.1, out: 0, der: 0, acc: 0, in: []}));
  const net = [layer(2), layer(100), layer(2)];
  for (let l = 1; l < 3; l++) for (const node of net[l]) for (const source of net[l - 1]) {
    node.in.push({source, weight: Math.random() - 0.5, acc: 0, m: 0, v: 0});
  }
  const step = (t) => {
    for (let row = 0; row < 150; row++) {
      net[0][0].out = Math.sin(row); net[0][1].out = Math.cos(row);
      for (let l = 1; l < 3; l++) for (const node of net[l]) {
        let sum = node.bias;
        for (const link of node.in) sum += link.weight * link.source.out;
        node.out = l === 1 ? Math.max(0, sum) : sum;
        node.der = 0;
      }
      const p = 1 / (1 + Math.exp(net[2][0].out - net[2][1].out));
      net[2][1].der = p - (row & 1); net[2][0].der = -net[2][1].der;
      for (let l = 2; l >= 1; l--) for (const node of net[l]) {
        const d = l === 1 && node.out <= 0 ? 0 : node.der;
        node.acc += d;
        for (const link of node.in) {
          link.acc += d * link.source.out;
          if (l > 1) link.source.der += d * link.weight;
        }
      }
    }
    for (let l = 1; l < 3; l++) for (const node of net[l]) {
      node.bias -= 0.001 * node.acc; node.acc = 0;
      for (const link of node.in) {
        link.m = 0.9 * link.m + 0.1 * link.acc; link.v = 0.999 * link.v + 0.001 * link.acc ** 2;
        link.weight -= 0.01 * link.m / (Math.sqrt(link.v) + 1e-8); link.acc = 0;
      }
    }
  };
  for (let t = 0; t < 100; t++) step(t);
  const start = performance.now();
  for (let t = 0; t < 300; t++) step(t);
  return 300000 / (performance.now() - start);
}"""
ENGINE = """([node]) => {
  const explorer = node.nmExplorer, {engine} = explorer;
  const settings = {...explorer.settings, epochs: 100};
  const run = () => {
    const lab = new engine.Lab(settings), start = performance.now();
    lab.run('noisymix', 500);
    return 500000 / (performance.now() - start);
  };
  run();
  return run();
}"""


def drag(hand: Any, name: str) -> list[tuple[float, bool]]:
    """Drag a slider over 60 positions; returns the latency of each move."""
    page, slider = hand.page, hand.slider(name)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y, left, width = box["y"] + box["height"] / 2, box["x"] + 9, box["width"] - 18
    page.mouse.move(left + 0.1 * width, y)
    page.mouse.down()
    for i in range(MOVES):
        page.mouse.move(left + (0.1 + 0.5 * (i + 1) / MOVES) * width, y)
        page.wait_for_timeout(INTERVAL_MS)
    page.mouse.up()
    hand.every()
    return hand.root.evaluate("node => node.nmLatencies.splice(0)")


def percentiles(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_p{q}_ms": round(float(np.percentile(values, q)), 1) for q in (50, 95)}


def measured(hand: Any, rounds: int) -> dict[str, Any]:
    """Return the percentiles of one explorer."""
    found: dict[str, list[float]] = {k: [] for k in ("drag", "drawn", "single", "shown", "six")}
    hand.every()
    hand.page.evaluate(WATCH)
    hand.root.evaluate("node => node.nmLatencies.splice(0)")
    for _ in range(rounds):
        for name in SLIDERS:
            moves = drag(hand, name)
            found["drag"] += [ms for ms, _ in moves]
            found["drawn"] += [ms for ms, own in moves if own]
            for _ in range(SINGLE):
                root = hand.root.element_handle()
                trained = hand.page.evaluate(RETRAIN, [root, name])
                found["shown"].append(trained["shown"])
                found["six"].append(trained["six"])
                hand.every()
            single = hand.root.evaluate("node => node.nmLatencies.splice(0)")
            found["single"] += [ms for ms, _ in single]
    result: dict[str, Any] = {f"{name}_moves": len(values) for name, values in found.items()}
    for name, values in found.items():
        result |= percentiles(name, values)
    result["longest_task_ms"] = round(hand.page.evaluate("() => window.longest"), 1)
    return result


def measure(rounds: int) -> dict[str, Any]:
    """Run the browser and return the percentiles of both places."""
    from explorers import Hand
    from lab_server import chromium, jupyter_lab, open_notebook, run_all, write_notebook

    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.goto((ROOT / "figures" / "explorer.html").as_uri())
        hand = Hand(page)
        alone = measured(hand, rounds)
        engine = page.evaluate(ENGINE, [hand.root.element_handle()])
        peer = page.evaluate(PEER)
        version = browser.version
        page.close()
    with tempfile.TemporaryDirectory() as folder:
        write_notebook(Path(folder) / "x.ipynb", CELLS)
        with jupyter_lab(Path(folder)) as address, chromium() as browser:
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            open_notebook(page, address, "x.ipynb")
            run_all(page)
            page.locator(".nm-root").wait_for(timeout=90_000)
            notebook = measured(Hand(page), rounds)
    return {
        "page": alone,
        "jupyterlab": notebook,
        "engine_steps_per_s": round(engine),
        "objects_steps_per_s": round(peer),
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
        from playwright import sync_api  # noqa: F401
    except ModuleNotFoundError:
        print("Not measured: needs `pip install playwright`.")
        return
    if chromium_path() is None:
        print("Not measured: needs a Chromium.")
        return
    load = os.getloadavg()[0]
    result = measure(arguments.rounds)
    conditions = (
        f"{os.cpu_count()} CPUs shared by kernel and headless Chromium {result['chromium']}, load "
        f"{load:.1f} before the start, {platform.machine()}"
    )
    print(f"Explorer ({conditions})")
    for place in ("page", "jupyterlab"):
        print(f"  {place}")
        for name, words in (
            ("single", "slider to first changed frame, from rest"),
            ("drawn", "the same in drags, moves with a picture of their own"),
            ("drag", "the same in drags, all moves"),
            ("shown", "slider to the scheme shown, retrained"),
            ("six", "slider to all six, retrained"),
        ):
            p50, p95 = (result[place][f"{name}_p{q}_ms"] for q in (50, 95))
            moves = result[place][f"{name}_moves"]
            print(f"    {words:<53} p50 {p50:6.0f} ms   p95 {p95:6.0f} ms   ({moves} moves)")
        longest = result[place]["longest_task_ms"]
        print(f"    longest task of the main thread (0: none over 50 ms) {longest:6.0f} ms")
    engine, peer = result["engine_steps_per_s"], result["objects_steps_per_s"]
    print(f"  NoisyMix steps a second: {engine}; objects for nodes and links: {peer}")
    if arguments.out:
        write_json(arguments.out, {"conditions": conditions, **result, **provenance()})


if __name__ == "__main__":
    main()
