"""A training from a Dataset in two workers, also run as a script: `any_data.py OUT START`."""

import multiprocessing
import sys

from data.sets import Pictures, pixels, shaken
from training.small import network, quick

import nmlib as nm

EPOCHS, STEPS = 8, 5


def train(out, start="fork", workers=2):
    multiprocessing.set_start_method(start, force=True)
    data = nm.LazyImages(Pictures(pixels(72), shaken), num_workers=workers)
    recipe = nm.Recipe(epochs=EPOCHS, batch_size=16, validation=6)
    return quick(network(norm="batch", dropout=0.2), data, recipe=recipe, out=out, log_every=1,
                 checkpoint_seconds=0)  # fmt: skip


if __name__ == "__main__":
    train(*sys.argv[1:])
