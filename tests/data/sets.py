"""Datasets as other people write them; their classes are found by worker processes."""

import random

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset


def pixels(count=12, side=8, seed=5):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


class Pictures(Dataset):
    """Pillow images and classes, with a transform."""

    classes = ("a", "b", "c")

    def __init__(self, images, transform=None):
        self.images, self.transform = images, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index])
        return image if self.transform is None else self.transform(image), index % 3


def to_tensor(image):
    """What torchvision's ToTensor does."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def shaken(image):
    """Draws from all three global generators."""
    x = to_tensor(image) * (0.5 + 0.5 * torch.rand(()))
    if random.random() < 0.5:
        x = x.flip(2)
    return x * np.random.uniform(0.5, 1)  # noqa: NPY002


OWN = np.random.default_rng(0)


def with_a_generator_of_its_own(image):
    return to_tensor(image) * OWN.uniform(0.5, 1)


def normalised(image):
    return (to_tensor(image) - 0.5) / 0.25


class Broken(Pictures):
    """One of its files cannot be read."""

    def __getitem__(self, index):
        if index == 7:
            raise OSError("truncated file")
        return super().__getitem__(index)


class Stream(IterableDataset):
    def __init__(self, images):
        self.images = images

    def __iter__(self):
        for index, image in enumerate(self.images):
            yield to_tensor(image), index % 3


class Counted(Stream):
    """A stream that says how long it is, right or wrong."""

    def __init__(self, images, count):
        super().__init__(images)
        self.count = count

    def __len__(self):
        return self.count
