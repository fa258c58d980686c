"""One of several processes that train, with gloo: `shared.py OUT SCHEME-PARTS-NORM ...`."""

import sys
from pathlib import Path

from training.small import network, quick

from nmlib.training import Recipe


def main(out, *words):
    for word in words:
        scheme, parts, norm = word.split("-")
        recipe = Recipe(epochs=3, batch_size=16, parts=int(parts))
        folder = Path(out) / word
        # Saved often, so that the files of a run under way are written by one process alone.
        quick(
            network(norm=norm, dropout=0.2), scheme=scheme, recipe=recipe, out=folder, log_every=2,
            checkpoint_seconds=0,
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
