"""Fine-tune a public CIFAR-10 ResNet by one scheme, with one seed; writes result.json.

    python tools/finetune_cifar.py --weights resnet20-12fca82f.th --images subset.npz --out FOLDER
        --scheme noisymix [--seed 0] [--epochs 30] [--alpha 0.2]

IMAGES holds x_train, y_train, x_test, y_test: exact bytes of CIFAR-10 images. `--scheme none`
evaluates the network as it is. `--held-out` evaluates 1,000 training images at severity 3 instead
of the test images: settings are chosen on those. Stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

import nmlib as nm
from nmlib._files import write_json
from nmlib.lab.cifar.cell import _measured
from nmlib.models.cifar_resnet import CifarResNet
from nmlib.models.norm import Normalise

LABEL = "cifar10-lossless"


class Mean(nn.Module):
    def forward(self, h):
        return h.mean((2, 3))


def network(path: Path) -> nm.StagedModel:
    depth = int(re.search(r"resnet(\d+)", path.name)[1])
    net = CifarResNet(depth)
    state = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    first = nn.Sequential(net.conv1, net.bn1, nn.ReLU(), net.layer1)
    stages = [first, net.layer2, nn.Sequential(net.layer3, Mean(), net.linear)]
    return nm.StagedModel(stages, Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def images(path: Path, held_out: bool) -> tuple[nm.ImageData, nm.ImageData]:
    z = np.load(path)
    options = {"classes": [str(c) for c in z["classes"]]}
    x, y, label = z["x_train"], z["y_train"], LABEL
    if not held_out:
        test = nm.ImageData.of(z["x_test"], z["y_test"], split="test", label=label, **options)
        return nm.ImageData.of(x, y, label=label, **options), test
    order = np.random.default_rng(0).permutation(len(x))
    few, rest = order[:1000], order[1000:]
    test = nm.ImageData.of(x[few], y[few], split="test", label=f"{label}, held out", **options)
    return nm.ImageData.of(x[rest], y[rest], label=label, **options), test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--alpha", type=float, help="of mixup's Beta law")
    parser.add_argument("--held-out", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(1)
    name = a.scheme if a.alpha is None else f"{a.scheme}_alpha{a.alpha}"
    depth = re.search(r"resnet\d+", a.weights.name)[0]
    size = f"finetune-{a.epochs}" + (f"-rate{a.rate}" if a.rate != 0.05 else "")
    out = a.out / depth / (size + "-held-out" * a.held_out) / name / f"seed-{a.seed}"
    if (out / "result.json").exists():
        print(f"{out}: done")
        return
    train, test = images(a.images, a.held_out)
    model = network(a.weights)
    start, run = time.perf_counter(), None
    if a.scheme != "none":
        scheme = nm.get_scheme(a.scheme)
        scheme = replace(scheme, points=tuple(p for p in scheme.points if p < model.num_points))
        if a.alpha is not None:
            scheme = replace(scheme, mix=replace(scheme.mix, alpha=a.alpha))
        recipe = nm.Recipe(epochs=a.epochs, learning_rate=a.rate, precision="bf16")
        run = nm.fit(
            model, train, scheme, recipe, seed=a.seed, out=out / "training", device="cpu",
            progress=False, details={"model": depth, "num_classes": 10},
        )  # fmt: skip
    model.eval()
    shared = {"out": out / "evaluation", "precision": "bf16", "key": {"scheme": name}}
    levels = [3] if a.held_out else range(1, 6)
    report = nm.evaluate_corruptions(model, test, severities=levels, **shared)
    flips = None
    if not a.held_out:
        steady = nm.evaluate_perturbations(model, test.first(200), **shared)
        flips = {row["perturbation"]: row["flip_probability"] for row in steady.rows}
    made = report.provenance if run is None else run.provenance
    result = {
        "dataset": LABEL,
        "model": depth,
        "scheme": name,
        "switches": [False] * 4 if run is None else list(run.scheme.switches),
        "seed": a.seed,
        "budget": size,
        "precision": "bf16",
        "learning_rate": a.rate,
        **_measured(report),
        "flip_probability": flips,
        "sequence_images": 200 if flips else None,
        "sequences": nm.corruptions.SEQUENCES if flips else None,
        "train_images": len(train),
        "test_images": len(test),
        "train_fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
        "weights_sha256": hashlib.sha256(a.weights.read_bytes()).hexdigest(),
        "epochs": []
        if run is None
        else [{k: r.get(k) for k in ("epoch", "loss", "ce", "jsd")} for r in run.epochs],
        "training_seconds": None if run is None else round(run.seconds, 1),
        "provenance": made,
    }
    write_json(out / "result.json", result)
    noise = np.mean(
        [result["accuracy"][f"{kind}_noise"] for kind in ("gaussian", "shot", "impulse")]
    )
    print(
        f"{out}: clean {100 * report.clean.accuracy:.1f} robust {100 * report.robust_accuracy:.1f} "
        f"noise {100 * noise:.1f}, {time.perf_counter() - start:.0f} s", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
