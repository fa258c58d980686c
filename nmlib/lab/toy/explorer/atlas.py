r"""The explorer as one HTML page without a kernel: an atlas of pictures computed in advance.

    python -m nmlib.lab.toy.explorer.atlas              # computes and writes figures/explorer.html
    python -m nmlib.lab.toy.explorer.atlas --page-only  # new front end around the same pictures

The page holds, for each scheme, $P(\text{class } 1)$ on a grid at every setting of the axes that
the scheme depends on, after several numbers of steps. `AtlasTransport` in static/transport.js is
the reader. The same inputs on the same machine give the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import itertools
import json
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nmlib._files import path_option, write_text
from nmlib.lab.toy.explorer.controls import TOY_CONTROLS
from nmlib.lab.toy.explorer.session import Session
from nmlib.lab.toy.lab import Settings, ToyLab
from nmlib.provenance import provenance

__all__ = [
    "Atlas",
    "Plan",
    "compute_atlas",
    "decode_grids",
    "difference_code",
    "page_text",
    "read_page",
]

STATIC = Path(__file__).parent / "static"
COLUMNS = (
    "loss",
    "train_accuracy",
    "test_accuracy",
    "noisy_accuracy",
    "errors",
    "boundary_length",
    "confidence",
    "collapsed",
)
LARGEST_PAGE = 2_000_000  # bytes


def _axes() -> dict[str, tuple[float, ...]]:
    return {
        "alpha": (0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
        "sigma_add": (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.4),
        "sigma_mult": (0.0, 0.1, 0.2, 0.4),
    }


@dataclass(frozen=True)
class Plan:
    """What an atlas holds.

    Args:
        axes: Values of each setting that has a slider.
        steps: Optimiser steps after which pictures are taken, ascending; the last ends training.
        size: Pixels along a side.
        levels: Grey levels of a pixel, 2 to 256.
        settings: All other settings.

    >>> plan = Plan()
    >>> plan.uses["manifold_mixup"], plan.cells["noisymix"]
    (('alpha',), 168)
    """

    axes: Mapping[str, Sequence[float]] = field(default_factory=_axes)
    steps: tuple[int, ...] = (10, 25, 50, 100, 200, 500)
    size: int = 56
    levels: int = 64
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if list(self.steps) != sorted(set(self.steps)) or not self.steps or self.steps[0] < 1:
            raise ValueError(f"steps must ascend from at least 1, got {self.steps}")
        if not 2 <= self.levels <= 256:
            raise ValueError(f"levels must be 2 to 256, got {self.levels}")
        for name, values in self.axes.items():
            if list(values) != sorted(set(values)):
                raise ValueError(f"values of {name} must ascend, got {values}")

    @property
    def uses(self) -> dict[str, tuple[str, ...]]:
        """The axes that each scheme depends on: those that change its definition."""

        def schemes(name: str, value: Any) -> dict[str, Any]:
            return replace(self.settings, **{name: value}).schemes()

        return {
            lane: tuple(
                name
                for name, values in self.axes.items()
                if schemes(name, values[0])[lane] != schemes(name, values[-1])[lane]
            )
            for lane in ToyLab.lanes
        }

    @property
    def cells(self) -> dict[str, int]:
        """Number of settings at which each scheme is kept."""
        return {
            lane: int(np.prod([len(self.axes[name]) for name in used], dtype=int))
            for lane, used in self.uses.items()
        }

    @property
    def offsets(self) -> dict[str, int]:
        """Number of the first grid of each scheme; snapshots come first, then cells."""
        counts = [cells * len(self.steps) for cells in self.cells.values()]
        starts = [0, *itertools.accumulate(counts)]
        return dict(zip(self.cells, starts, strict=False))

    def cell(self, lane: str, params: Mapping[str, float]) -> int:
        """Return the cell of a scheme nearest to the settings; ties go to the smaller value."""
        index = 0
        for name in self.uses[lane]:
            values = self.axes[name]
            nearest = min(range(len(values)), key=lambda i: abs(values[i] - params[name]))
            index = index * len(values) + nearest
        return index

    def inputs(self) -> dict[str, Any]:
        """Return everything that decides the pictures, as JSON-ready data."""
        return {
            "axes": {name: list(values) for name, values in self.axes.items()},
            "steps": list(self.steps),
            "size": self.size,
            "levels": self.levels,
            "settings": asdict(self.settings),
            "columns": list(COLUMNS),
        }

    def digest(self) -> str:
        """Return a hash of `inputs`."""
        text = json.dumps(self.inputs(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Atlas:
    """Pictures and numbers.

    Attributes:
        head: What the browser needs beside the pictures, JSON-ready.
        packed: The difference-coded grids, deflated.
    """

    head: dict[str, Any]
    packed: bytes


def difference_code(levels: ArrayLike) -> NDArray[np.uint8]:
    """Code grids as differences from the left neighbour (in column 0: the upper), modulo 256.

    >>> difference_code([[[3, 4], [2, 2]]]).tolist()
    [[[3, 1], [255, 0]]]
    """
    q = np.asarray(levels, dtype=np.uint8)
    coded = np.diff(q, axis=-1, prepend=np.uint8(0))
    coded[..., 0] = np.diff(q[..., 0], axis=-1, prepend=np.uint8(0))
    return coded


def decode_grids(atlas: Atlas) -> NDArray[np.uint8]:
    """Return all (n, size, size) grids in levels: the inverse of `difference_code`."""
    size = atlas.head["size"]
    coded = np.frombuffer(zlib.decompress(atlas.packed), np.uint8).reshape(-1, size, size).copy()
    coded[..., 0] = np.cumsum(coded[..., 0], axis=-1, dtype=np.uint8)
    return np.cumsum(coded, axis=-1, dtype=np.uint8)


def snapshot(lab: ToyLab, lane: str, plan: Plan) -> tuple[NDArray[np.uint8], list[float | None]]:
    """Return the picture in levels and the numbers (in the order of COLUMNS) of a lab now."""
    probability = lab.probability(lane, plan.size)
    picture = np.rint(probability.astype(np.float64) * (plan.levels - 1)).astype(np.uint8)
    metrics = lab.metrics(lane)
    row = [metrics[name] for name in COLUMNS]
    return picture, [None if v is None else float(f"{float(v):.4g}") for v in row]


def compute_atlas(plan: Plan, report: Callable[[int, int], None] | None = None) -> Atlas:
    """Train at every setting and keep the pictures.

    Args:
        plan: What to keep.
        report: Called with the settings done and their number.
    """
    uses, cells, offsets = plan.uses, plan.cells, plan.offsets
    count = len(plan.steps)
    grids = np.zeros((sum(cells.values()) * count, plan.size, plan.size), np.uint8)
    metrics: dict[str, list[list[Any]]] = {
        lane: [[None] * count for _ in range(n)] for lane, n in cells.items()
    }
    settings = list(itertools.product(*plan.axes.values()))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny networks: more threads only wait for each other
    try:
        for done, values in enumerate(settings):
            params = dict(zip(plan.axes, values, strict=True))
            # A scheme that does not depend on an axis is taken at the axis' first value.
            lanes = [
                lane
                for lane, used in uses.items()
                if all(params[name] == plan.axes[name][0] for name in plan.axes if name not in used)
            ]
            lab = ToyLab(plan.settings, **params)
            for k, goal in enumerate(plan.steps):
                lab.step(goal - lab.steps_done)
                for lane in lanes:
                    cell = plan.cell(lane, params)
                    picture, row = snapshot(lab, lane, plan)
                    grids[offsets[lane] + k * cells[lane] + cell] = picture
                    metrics[lane][cell][k] = row
            if report:
                report(done + 1, len(settings))
    finally:
        torch.set_num_threads(threads)
    made = provenance()["provenance"]
    head = {
        **plan.inputs(),
        "uses": {lane: list(used) for lane, used in uses.items()},
        "cells": cells,
        "offsets": offsets,
        "metrics": metrics,
        "digest": plan.digest(),
        "made": {name: made[name] for name in ("commit", "torch", "numpy")},
    }
    return Atlas(head, zlib.compress(difference_code(grids).tobytes(), 9))


# -- the page -----------------------------------------------------------------------------------


def hello(plan: Plan) -> dict[str, Any]:
    """Return the first answer to the browser: what a kernel would say, for the axes alone."""
    reply, _ = Session(ToyLab(plan.settings)).answer({"kind": "hello"})
    controls = []
    for control in TOY_CONTROLS:
        if control.name not in plan.axes:
            continue
        values = list(plan.axes[control.name])
        digits = max(len(f"{v:g}".partition(".")[2]) for v in values)
        stops = ", ".join(f"{v:g}" for v in values)
        about = f"{control.help}; stops at {stops}"
        controls.append({**control.spec(), "values": values, "digits": digits, "help": about})
    start = {}
    for name, offered in plan.axes.items():
        wanted = getattr(plan.settings, name)
        start[name] = min(offered, key=lambda v: abs(v - wanted))
    return {
        **reply,
        "controls": controls,
        "params": {**reply["params"], **start},
        "atlas": True,
        "chip": "no kernel: computed in advance",
        "note": (
            "Nothing is trained in this page: the sliders stop at the settings that were computed, "
            f"and Replay shows the pictures after {', '.join(map(str, plan.steps))} steps. The "
            "notebook trains live, at any setting."
        ),
        "total": plan.steps[-1],
        "link": {},  # the page knows its own address, and none of this machine's
    }


def _json(data: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c")


def footer(atlas: Atlas) -> str:
    """Say in words where the pictures come from."""
    head = atlas.head
    fixed = ", ".join(
        f"{name}={value}" for name, value in head["settings"].items() if name not in head["axes"]
    )
    made = head["made"]
    commit = made["commit"].replace("+", " plus uncommitted changes,")
    grids = sum(head["cells"].values()) * len(head["steps"])
    return (
        f"{grids} pictures of {head['size']} × {head['size']} pixels in {head['levels']} levels, "
        f"computed at commit {commit} with torch {made['torch']} and NumPy "
        f"{made['numpy']}; {fixed}; inputs {head['digest']}."
    )


def page_text(atlas: Atlas, plan: Plan) -> str:
    """Return the page: one file, nothing loaded from elsewhere."""
    from nmlib.lab.toy.explorer.live import front_end

    script, style = front_end(), (STATIC / "explorer.css").read_text(encoding="utf-8")
    if "</script" in script.lower() or "</style" in style.lower():
        raise ValueError("the front end must not contain a closing script or style tag")
    head = {**atlas.head, "hello": hello(plan)}
    parts = {
        "STYLE": style,
        "SCRIPT": script,
        "HEAD": _json(head),
        "BYTES": base64.b64encode(atlas.packed).decode("ascii"),
        "FOOTER": html.escape(footer(atlas)),
    }
    template = (STATIC / "atlas.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def read_page(text: str) -> Atlas:
    """Return the atlas inside a page.

    Raises:
        ValueError: If the text is no such page.
    """
    found = [
        re.search(rf'<script type="application/[\w-]+" id="{name}">(.*?)</script>', text, re.S)
        for name in ("atlas-head", "atlas-bytes")
    ]
    if found[0] is None or found[1] is None:
        raise ValueError("no atlas in this page; make one: python -m nmlib.lab.toy.explorer.atlas")
    head = json.loads(found[0][1])
    head.pop("hello", None)
    return Atlas(head, base64.b64decode(found[1][1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; see the module's first lines."""
    parser = argparse.ArgumentParser(
        prog="python -m nmlib.lab.toy.explorer.atlas", description=__doc__
    )
    parser.add_argument("--out", type=path_option, default=Path("figures/explorer.html"))
    parser.add_argument(
        "--page-only", action="store_true", help="keep the pictures of the page that exists"
    )
    given = parser.parse_args(arguments)
    plan = Plan()
    if given.page_only:
        atlas = read_page(given.out.read_text(encoding="utf-8"))
        if atlas.head["digest"] != plan.digest():
            parser.error(f"{given.out} holds other settings; compute anew, without --page-only")
    else:

        def report(done: int, of: int) -> None:
            if done % 12 == 0 or done == of:
                print(f"{done} of {of} settings", file=sys.stderr, flush=True)

        atlas = compute_atlas(plan, report)
    text = page_text(atlas, plan)
    size = len(text.encode())
    if size > LARGEST_PAGE:
        parser.error(f"the page has {size} bytes, more than {LARGEST_PAGE}; keep fewer steps")
    write_text(given.out, text)
    print(f"{given.out}: {size} bytes, {len(atlas.packed)} of them pictures before base64")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
