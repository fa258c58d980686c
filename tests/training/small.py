"""A small task for the tests of training, also run as a script: `python small.py OUT [KILL_AT]`."""

import os
import signal
import sys
from dataclasses import fields

import torch
from torch import nn

import nmlib as nm
from nmlib.data.images import fingerprint
from nmlib.models.norm import StreamDropout
from nmlib.training import Execution, Recipe, checkpoints, fit

SCHEMES = {
    "baseline": nm.Scheme("baseline"),
    "mixup": nm.Scheme("mixup", mix=nm.Mixup(1.0)),
    "noisymix": nm.Scheme(
        "noisymix",
        views=nm.Plain(3),
        mix=nm.Mixup(1.0),
        noise=nm.Noise.released(),
        points=(0, 1, 2),
        stability=2.0,
    ),
}


def images(count=72, classes=3, seed=5, side=8):
    """Squares of three brightnesses with noise: learnt within a few epochs."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    level = (labels * 80 + 40).view(-1, 1, 1, 1)
    noise = torch.randint(-30, 31, (count, side, side, 3), generator=g)
    pixels = (level + noise).clamp(0, 255).to(torch.uint8)
    names = tuple("abcdefghij"[:classes])
    return nm.ImageData("squares", "train", pixels, labels, names, "squares",
                        fingerprint(pixels, labels))  # fmt: skip


def network(seed=0, norm="group", dropout=0.0, width=8, outputs=3):
    """Three stages; the only randomness is the seed's."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        normalise = {
            "group": lambda: nn.GroupNorm(2, width),
            "batch": lambda: nn.BatchNorm2d(width),
            "running mean": lambda: nn.BatchNorm2d(width, momentum=None),
        }[norm]()
        return nm.StagedModel(
            [
                nn.Sequential(nn.Conv2d(3, width, 3, padding=1), normalise, nn.ReLU()),
                nn.Sequential(
                    nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU(),
                    StreamDropout(dropout), nn.Dropout(dropout),
                ),
                nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, outputs)),
            ],
            nm.models.norm.Normalise(0.5, 0.5),
        )  # fmt: skip


def quick(model, data=None, scheme="noisymix", *, recipe=None, **options):
    """Train in silence on the CPU; takes the fields of `Execution`, too."""
    recipe = recipe or Recipe(epochs=3, batch_size=16)
    scheme = SCHEMES[scheme] if isinstance(scheme, str) else scheme
    names = {f.name for f in fields(Execution)} & options.keys()
    execution = Execution(**{name: options.pop(name) for name in names})
    options = {"device": "cpu", "progress": False, "execution": execution} | options
    data = images() if data is None else data
    return fit(model, data, scheme, recipe, **options)


def equal(a, b):
    """Whether two state dicts are the same, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def kill_in_the_middle_of_writing(step):
    """Die by SIGKILL when the checkpoint of `step` is written but has no name yet."""
    sync = os.fsync
    seen = []

    def dying(handle):
        sync(handle)
        seen.append(handle)
        if len(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoints.os.fsync = dying


LAST = 80
"""Steps of the training below."""


def main(out, kill_at=None):
    if kill_at is not None:
        kill_in_the_middle_of_writing(int(kill_at))
    quick(
        network(norm="batch", dropout=0.2),
        recipe=Recipe(epochs=LAST // 5, batch_size=16),
        out=out, log_every=1, checkpoint_seconds=0,
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
