"""Cost of a NoisyMix step over the bare work on the same three-view batch, in one run.

    python benchmarks/training.py [--out figures/data/training_speed.json] [--device cuda]
        [--models preact_resnet_small:128 preact_resnet18:16 ...] [--variants]

A full step is the loop's own: batch from the loader (flip, crop), AugMix views, mixing, noise,
forward, loss, backward, optimiser. The bare step is forward, cross-entropy, backward and optimiser
on a ready batch of 3 x B images, with the same precision, layout and compilation. Both take turns,
so slow moments of the machine hit both.

Training draws the mix point uniformly for each step, and noise costs more on wide activations. So
we measure each point by itself (median over rounds of both sides); the cost is the ratio of the
means over points. CPU seconds (of all threads) depend less than wall time on other load. Both sides
reuse freed memory, as `fit` does. `--variants` adds bf16, channels_last off and torch.compile.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from clock import timed
from torch.nn import functional as F

import nmlib as nm
from nmlib._files import write_json
from nmlib._memory import reused_memory
from nmlib.data.loader import Batches
from nmlib.models import dropout_stream
from nmlib.provenance import provenance
from nmlib.rng import default_device
from nmlib.training.loop import Loop
from nmlib.training.record import Run
from nmlib.training.step import Network, Objective
from nmlib.training.workers import Workers

VARIANTS = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "plain layout": {"channels_last": False},
    "compiled": {"compile": True},
    "bf16, compiled": {"precision": "bf16", "compile": True},
}


class Pair:
    """The full step and the bare step of one setting."""

    def __init__(
        self,
        name: str,
        scheme: nm.Scheme,
        batch: int,
        device: torch.device,
        *,
        precision: str = "fp32",
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        data = nm.load("fashion-mini")
        # A low rate: small batches of the large networks diverge at the paper's.
        recipe = nm.Recipe(
            epochs=1000, batch_size=batch, precision=precision, drop_last=True, learning_rate=1e-3
        )
        self.device, self.batch, self.views = device, batch, scheme.views.count
        models = [nm.build_model(name).to(device) for _ in range(2)]
        if channels_last:
            models = [m.to(memory_format=torch.channels_last) for m in models]
        full, bare = (m.train() for m in models)
        batches = Batches(data, batch, rng=nm.Rng(0), device=device)
        objective = Objective(
            Network(full, precision, compile), scheme, nm.Rng(0, device).fold("training")
        )
        run = Run(full, scheme, recipe, 0, {"label": data.label}, steps=1000 * len(batches))
        self.loop = Loop(
            run, objective, recipe.optimiser(full), batches, Workers(device), images=len(data),
            held_out=None, execution=nm.Execution(checkpoint_seconds=1e9),
        )  # fmt: skip
        x, self.y = batches.at(0, 0)
        views = scheme.views.make(x, self.y, full, nm.Rng(0, device))
        self.x = views.flatten(0, 1).contiguous()
        if channels_last:
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.y = self.y.repeat(self.views)
        self.network, self.optimiser = Network(bare, precision, compile), recipe.optimiser(bare)

    def full_step(self) -> None:
        self.loop.step(*self.loop.batch())

    def bare_step(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        with dropout_stream(self.network, nm.Rng(1)):
            F.cross_entropy(self.network(self.x), self.y).backward()
        self.optimiser.step()

    def timed(self, step: Callable[[], None], steps: int) -> tuple[float, float]:
        """Return wall and CPU seconds of `steps` steps."""

        def work() -> None:
            for _ in range(steps):
                step()
            if self.loop.pending:
                self.loop.flush(False)

        return timed(work, self.device)

    def at_point(self, point: int) -> None:
        """Mix at this point from now on."""
        objective = self.loop.objective
        objective.scheme = replace(objective.scheme, points=(point,))

    def measure(self, points: tuple[int, ...], rounds: int, steps: int) -> dict[str, Any]:
        """Return costs and speeds; the first round of each point is a warm-up."""
        seconds: dict[str, list[tuple[float, float]]] = {"full": [], "bare": []}
        costs = {}
        for point in points:
            self.at_point(point)
            times: dict[str, list[tuple[float, float]]] = {"full": [], "bare": []}
            for _ in range(rounds + 1):
                times["full"].append(self.timed(self.full_step, steps))
                times["bare"].append(self.timed(self.bare_step, steps))
            for side, values in times.items():
                wall, cpu = zip(*values[1:], strict=True)
                seconds[side].append((statistics.median(wall), statistics.median(cpu)))
            full, bare = seconds["full"][-1], seconds["bare"][-1]
            costs[str(point)] = [round(a / b, 3) for a, b in zip(full, bare, strict=True)]
        full_wall, full_cpu = (statistics.fmean(t[i] for t in seconds["full"]) for i in (0, 1))
        bare_wall, bare_cpu = (statistics.fmean(t[i] for t in seconds["bare"]) for i in (0, 1))
        rate = self.batch * steps / full_wall
        return {
            "batch": self.batch,
            "cost_wall": round(full_wall / bare_wall, 3),
            # With a GPU, the CPU only waits.
            "cost_cpu": round(full_cpu / bare_cpu, 3) if self.device.type == "cpu" else None,
            "cost_at_point_wall_cpu": costs,
            "images_per_second": round(rate, 1),
            "bare_images_per_second": round(self.batch * steps / bare_wall, 1),
            "epoch_of_50000_s": round(50_000 / rate, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--models", nargs="+", default=["preact_resnet_small:128"])
    parser.add_argument("--scheme", default="noisymix")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="steps per round; default 1 on a CPU, else 20")
    parser.add_argument("--device", default=None)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--note", default="")
    options = parser.parse_args()
    device = torch.device(options.device) if options.device else default_device()
    steps = options.steps or (1 if device.type == "cpu" else 20)
    scheme = nm.get_scheme(options.scheme)
    torch.backends.cudnn.benchmark = True
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    result: dict[str, Any] = provenance(
        device=name, data="fashion-mini", scheme=options.scheme, rounds=options.rounds,
        steps=steps, note=options.note,
    )  # fmt: skip
    result["target"] = {"cost_cpu": 1.10, "cost_gpu": 1.15}
    result["rows"] = {}
    for words in options.models:
        model, _, batch = words.partition(":")
        for variant in VARIANTS if options.variants else ("fp32",):
            pair = Pair(model, scheme, int(batch or 128), device, **VARIANTS[variant])
            with reused_memory(device):
                row = pair.measure(scheme.points, options.rounds, steps)
            result["rows"][f"{model}, {variant}"] = row
            print(f"{model}, {variant}:", row, flush=True)
            if options.out:
                write_json(options.out, result)


if __name__ == "__main__":
    main()
