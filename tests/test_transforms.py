"""Transforms: the kind that comes in goes out, with the library's pixels; draws never repeat."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as v1
from torchvision import tv_tensors
from torchvision.transforms import v2

import nmlib as nm
from nmlib.transforms import AugMix, Corrupt

BYTES = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (32, 40, 3), dtype=np.uint8))
FIRST = BYTES.permute(2, 0, 1).contiguous()
EVERY = [AugMix(), AugMix(views=3), Corrupt("fog", 3), Corrupt(["fog", "snow"]), Corrupt()]

# A way to give the image, and the way back to bytes (32, 40, 3).
IMAGE = tv_tensors.Image(FIRST)
KINDS = {
    "pillow": (Image.fromarray(BYTES.numpy()), lambda x: torch.from_numpy(np.array(x))),
    "bytes": (FIRST, lambda x: x.permute(1, 2, 0)),
    "floats": (FIRST / 255, lambda x: (x * 255).round().byte().permute(1, 2, 0)),
    "doubles": (FIRST.double() / 255, lambda x: (x * 255).round().byte().permute(1, 2, 0)),
    "channels last": (BYTES, lambda x: x),
    "array": (BYTES.numpy(), torch.from_numpy),
    "array of floats": (BYTES.numpy() / 255, lambda x: torch.from_numpy(x * 255).round().byte()),
    "batch": (FIRST[None], lambda x: x[0].permute(1, 2, 0)),
    "torchvision": (IMAGE, lambda x: x.permute(1, 2, 0).as_subclass(torch.Tensor)),
}  # fmt: skip


def as_tuple(found):
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("transform", EVERY, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_stays_and_the_pixels_do_not_depend_on_it(kind, transform):
    given, back = KINDS[kind]
    before = back(given).clone()
    wanted = as_tuple(transform(FIRST, index=4))
    found = as_tuple(transform(given, index=4))
    assert len(found) == len(wanted) == getattr(transform, "views", 1)
    for mine, plain in zip(found, wanted, strict=True):
        assert type(mine) is type(given)
        if kind != "pillow":
            assert mine.dtype == given.dtype and mine.shape == given.shape
        # The mixture of floats is rounded once more.
        difference = back(mine).int() - plain.permute(1, 2, 0).int()
        assert difference.abs().max() <= (0 if isinstance(transform, Corrupt) else 1)
    assert torch.equal(back(given), before)


def test_augmix_is_the_view_makers():
    x = FIRST[None] / 255
    maker, stream = nm.AugMix(severity=5, width=2), nm.Rng(6).fold(9, "augmix")
    wanted = maker.apply(x, maker.draw(1, stream))[:, 0]
    found = AugMix(views=3, severity=5, width=2, seed=6)(x[0], index=9)
    assert torch.equal(torch.stack(found), wanted)
    assert torch.equal(AugMix(severity=5, width=2, seed=6)(x[0], index=9), wanted[1])
    assert torch.equal(torch.stack(AugMix(2, 5, 2, seed=6)(x[0], index=9)), wanted[:2])


def test_corrupt_is_the_librarys():
    found = Corrupt("glass_blur", 2, benchmark="imagenet", seed=6)(FIRST, index=9)
    wanted = nm.corrupt(FIRST, "glass_blur", 2, benchmark="imagenet", seed=6, first_index=9)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("transform", EVERY, ids=str)
def test_a_batch_is_its_images_one_by_one(transform):
    batch = torch.stack([FIRST, FIRST.flip(2), FIRST])
    found = as_tuple(transform(batch, index=3))
    for k, image in enumerate(batch):
        for mine, one in zip(found, as_tuple(transform(image, index=3 + k)), strict=True):
            assert torch.equal(mine[k], one)


def test_severity_and_corruption_are_drawn_uniformly():
    flat = torch.full((1, 3, 32, 32), 100, dtype=torch.uint8)
    levels = [int(nm.corrupt(flat, "brightness", s)[0, 0, 0, 0]) for s in range(1, 6)]
    found = Corrupt("brightness")(flat.expand(500, 3, 32, 32), index=0)[:, 0, 0, 0].tolist()
    counts = [found.count(level) for level in levels]
    assert sum(counts) == 500
    assert sum((n - 100) ** 2 / 100 for n in counts) < 18.5  # chi-squared, 4 degrees, p = 0.001
    names = ["brightness", "contrast"]
    either = [nm.corrupt(FIRST, name, 5) for name in names]
    several = Corrupt(names, 5)(FIRST.expand(60, *FIRST.shape), index=0)
    share = [sum(torch.equal(x, one) for x in several) for one in either]
    assert sum(share) == 60 and min(share) > 15


class Same(Dataset):
    """One image again and again."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return self.transform(FIRST), 0


@pytest.mark.parametrize("transform", [AugMix(), Corrupt("gaussian_noise", 3)], ids=str)
@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_epochs_never_repeat_each_other(transform, workers):
    def epochs():
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            loader = DataLoader(Same(transform), 1, num_workers=workers)
            return [x[0] for _ in range(2) for x, _ in loader]

    found = epochs()
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(found, 2))
    assert all(torch.equal(a, b) for a, b in zip(found, epochs(), strict=True))


@pytest.mark.parametrize("compose", [v1.Compose, v2.Compose])
@pytest.mark.parametrize("middle", [AugMix(), Corrupt("fog", 3)], ids=str)
def test_in_a_compose_of_torchvision(compose, middle):
    chain = compose([v1.RandomHorizontalFlip(1.0), middle, v1.ToTensor()])
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        found = chain(KINDS["pillow"][0])
        torch.manual_seed(2)
        torch.rand(1)  # the flip's
        wanted = middle(FIRST.flip(2)) / 255
    torch.testing.assert_close(found, wanted)


def test_in_a_compose_labels_pass_through():
    image, label = v2.Compose([AugMix(), Corrupt("fog", 1)])(IMAGE, 7)
    assert type(image) is tv_tensors.Image and label == 7


def test_grey_images():
    grey = Image.fromarray(BYTES[..., 0].numpy())
    found = AugMix()(grey, index=2)
    assert found.mode == "L" and found.size == grey.size
    assert torch.equal(torch.from_numpy(np.array(found)), AugMix()(FIRST[:1], index=2)[0])
    with pytest.raises(ValueError, match="three channels, got a grey image; convert it to RGB"):
        Corrupt("fog", 3)(grey)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (FIRST / 127 - 1, ValueError, r"must lie in \[0, 1\].*before the normalisation"),
        (FIRST.int(), TypeError, "uint8 or floats"),
        (torch.zeros(4, 32, 32), ValueError, r"three channels, got \(4, 32, 32\)"),
        (torch.zeros(32, 32), ValueError, "axes"),
        (Image.new("RGBA", (32, 32)), TypeError, r"got 'RGBA'; use image.convert\('RGB'\)"),
        ("cat.png", TypeError, "image must be numbers"),
    ],
)
@pytest.mark.parametrize("transform", [AugMix(), Corrupt("fog", 3)], ids=str)
def test_other_images_are_refused(transform, image, error, message):
    with pytest.raises(error, match=message):
        transform(image)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AugMix(views=0), "views must be an integer >= 1"),
        (lambda: AugMix(severity=11), "severity"),
        (lambda: Corrupt("fogg"), "did you mean 'fog'"),
        (lambda: Corrupt("fog", 6), "severity must be an integer from 1 to 5"),
        (lambda: Corrupt([]), "no corruption was given"),
        (lambda: Corrupt("fog", benchmark="tiny"), "unknown benchmark"),
        (lambda: AugMix()(FIRST, index=-1), "index must be an integer >= 0"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
