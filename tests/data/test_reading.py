"""Images that a Dataset reads: batches as from memory, draws by key, errors with a name."""

import itertools
import multiprocessing
import random

import numpy as np
import pytest
import torch
from data.sets import (
    Broken,
    Pictures,
    Stream,
    normalised,
    pixels,
    shaken,
    to_tensor,
    with_a_generator_of_its_own,
)
from PIL import Image
from torch.utils.data import Subset

import nmlib as nm
from nmlib.data.loader import Batches
from nmlib.data.reading import LazyImages, as_images
from nmlib.data.samples import batch_of, sample_of

IMAGE = pixels(1)[0]
GREY = np.repeat(IMAGE[..., :1], 3, 2)
X = torch.from_numpy(IMAGE)

# -- one sample -----------------------------------------------------------------------------------

PICTURE = Image.fromarray(IMAGE)
PALETTE = PICTURE.convert("P")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (PICTURE, IMAGE),
        (Image.merge("RGBA", [*PICTURE.split(), Image.new("L", (8, 8), 7)]), IMAGE),
        (PALETTE, np.asarray(PALETTE.convert("RGB"))),
        (Image.fromarray(IMAGE[..., 0]), GREY),
        (IMAGE, IMAGE),
        (X, IMAGE),
        (X.permute(2, 0, 1), IMAGE),
        (X[..., 0], GREY),
        (X[None, ..., 0], GREY),
        (X.permute(2, 0, 1) / 255, IMAGE / 255),
        (X[..., 0].double() / 255, GREY / 255),
    ],
)
def test_an_image_of_any_kind_becomes_three_channels(given, wanted):
    image, label = sample_of((given, np.int64(2)))
    assert label == 2
    assert image.dtype == (torch.uint8 if wanted.dtype == np.uint8 else torch.float32)
    np.testing.assert_allclose(image, wanted, rtol=1e-7)


@pytest.mark.parametrize("names", itertools.product(["image", "img", "pixel_values"],
                                                    ["label", "labels"]))  # fmt: skip
def test_dictionaries_as_hugging_face_names_them(names):
    image, label = sample_of(dict(zip(names, (PICTURE, torch.tensor([1])), strict=True)))
    assert torch.equal(image, X) and label == 1
    images, labels = batch_of(dict(zip(names, (X.permute(2, 0, 1)[None], [1]), strict=True)))
    assert torch.equal(images[0], X) and labels.tolist() == [1]


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        ((PICTURE, 1.0), TypeError, r"labels? must be integers.*\.long\(\)"),
        ((PICTURE, -1), ValueError, "label -1 is negative"),
        ((PICTURE, [0, 1]), ValueError, "give one class, e.g. by argmax"),
        ((PICTURE, "cat"), TypeError, "label must be numbers, got 'cat'"),
        ((Image.fromarray(IMAGE[..., 0].astype(np.uint16)), 0), TypeError, "mode 'I;16'"),
        (("a.png", 0), TypeError, r"it is 'a.png'; a Dataset gives \(image, label\)"),
        (PICTURE, TypeError, r"a Dataset gives \(image, label\)"),
        ((PICTURE, 0, 0), TypeError, "it is 3 parts"),
        ((X[None], 0), ValueError, "it has shape"),
        ((torch.zeros(4, 8, 8), 0), ValueError, "one or three channels.*alpha"),
        ((X.int(), 0), TypeError, "uint8 .* or floats"),
        ((normalised(PICTURE), 0), ValueError, "leave it by .*take Normalize out"),
        ((X / 255 * torch.nan, 0), ValueError, "leave it by nan"),
        ({"image": PICTURE, "fine_label": 0}, TypeError, "'image', 'fine_label'; name its image"),
    ],
)
def test_other_samples_are_refused_with_a_remedy(item, error, message):
    with pytest.raises(error, match=message):
        sample_of(item)


# -- batches --------------------------------------------------------------------------------------


@pytest.fixture(params=["fork", "spawn"])
def start(request):
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield request.param
    multiprocessing.set_start_method(before, force=True)


def in_memory(images):
    return nm.ImageData.of(images, np.arange(len(images)) % 3, classes="abc")


@pytest.mark.parametrize("transform", [None, to_tensor])
@pytest.mark.parametrize("options", [{}, dict(subset=[3, 1, 8, 9, 2]), dict(rank=1, world_size=2)])
def test_batches_are_those_of_the_same_images_in_memory(transform, options):
    images = pixels()
    lazy = LazyImages(Pictures(images, transform))
    mine, plain = (Batches(data, 4, rng=nm.Rng(3), **options) for data in (lazy, in_memory(images)))
    # In order, and the same one again, and one before.
    for epoch, step in [(0, 0), (0, len(mine) - 1), (1, 0), (1, 0), (0, 0)]:
        for a, b in zip(mine.at(epoch, step), plain.at(epoch, step), strict=True):
            assert torch.equal(a, b)
    mine.close()


def test_random_transforms_are_keyed_whatever_the_workers(start):
    """By (seed, epoch, index): not by the worker, the order of reading or the global state."""

    def batches(workers, seed=3):
        data = LazyImages(Pictures(pixels(), shaken), num_workers=workers)
        return Batches(data, 5, rng=nm.Rng(seed), augment=False, drop_last=False)

    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    keys = [(e, s) for e in range(2) for s in range(3)]
    before = states()
    plain = batches(0)
    wanted = [plain.at(*key)[0] for key in keys]
    several = batches(2)
    for key, x in zip(keys, wanted, strict=True):
        assert torch.equal(several.at(*key)[0], x)
    assert states() == before
    if start == "fork":
        assert torch.equal(several.at(*keys[2])[0], wanted[2])
        random.random(), torch.rand(3)
        again = batches(0)
        assert torch.equal(again.at(1, 1)[0], wanted[4])
        # One image in two epochs, and under two seeds.
        first = {e: plain.draw(e, 0).index[0] for e in range(40)}
        epochs = [e for e in first if first[e] == first[0]]
        seen = [plain.at(e, 0)[0][0] for e in epochs[:2]]
        assert not torch.equal(*seen)
        assert not torch.equal(batches(0, seed=4).at(0, 0)[0].sort().values,
                               wanted[0].sort().values)  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_is_named(workers):
    data = LazyImages(Broken(pixels()), num_workers=workers, fingerprint="given")
    batches = Batches(data, 4, rng=nm.Rng(0), shuffle=False)
    assert len(batches.at(0, 0)[1]) == 4
    with pytest.raises(
        RuntimeError, match=r"image 7 of Broken cannot be read \(OSError: truncated"
    ):
        batches.at(0, 1)
    rows = data.take([2, 7])
    with pytest.raises(RuntimeError, match="image 7 of Broken"):
        list(rows.parts(2))


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        ([(X, 0), (X[:5], 0)], ValueError, r"image 1 of list has 5 x 8 pixels, image 0.*8 x 8"),
        ([(X, 0), (X / 255, 1.5)], TypeError, "image 1 of list: label"),
        ([(X, 0), (X / 128, 1)], ValueError, "image 1 of list: its values must lie in"),
    ],
)
def test_a_bad_sample_is_named(dataset, error, message):
    with pytest.raises(error, match=message):
        list(LazyImages(dataset).parts(2))


def test_labels_that_the_model_lacks_are_named():
    batches = Batches(LazyImages([(X, 0), (X, 5)]), 2, rng=nm.Rng(0), shuffle=False)
    batches.num_classes = 5
    with pytest.raises(
        ValueError, match="image 1 of list has label 5, but the model has 5 outputs"
    ):
        batches.at(0, 0)


def test_what_cannot_be_sent_to_a_worker_says_so():
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        data = LazyImages(Pictures(pixels(), lambda image: image), num_workers=1)
        with pytest.raises(TypeError, match=r"worker process .* not as lambda, or use num_workers"):
            next(data.parts(2))
    finally:
        multiprocessing.set_start_method(before, force=True)


# -- data -----------------------------------------------------------------------------------------


def test_it_is_the_same_data_as_in_memory():
    images = pixels()
    data, plain = LazyImages(Pictures(images, to_tensor)), in_memory(images)
    assert (len(data), data.label, data.split, data.classes) == (12, "Pictures", "train", (*"abc",))
    assert torch.equal(data.labels, plain.labels)
    for mine in (data, data.take(range(12)), data.take(range(11, -1, -1)).take(range(11, -1, -1))):
        for (x, y), (u, v) in zip(mine.parts(5), plain.parts(5), strict=True):
            assert torch.equal(x, u) and torch.equal(y, v)
    assert data.take([5, 2]).take([1]).labels.tolist() == [2]


def test_fingerprints_follow_the_images():
    images, changed = pixels(), pixels()
    changed[0, 0, 0, 0] ^= 1
    marks = [
        LazyImages(Pictures(images)).fingerprint,
        LazyImages(Pictures(images, to_tensor)).fingerprint,
        LazyImages(Pictures(images, shaken)).fingerprint,
        LazyImages(Pictures(images[:11])).fingerprint,
        LazyImages(Pictures(changed)).fingerprint,
        LazyImages(Pictures(images)).take(range(12)).fingerprint,
        LazyImages(Pictures(images)).take([0, 2, 1]).fingerprint,
    ]
    assert len(set(marks)) == len(marks)
    assert LazyImages(Pictures(images, shaken), num_workers=2).fingerprint == marks[2]


def test_a_generator_of_ones_own_is_noticed():
    data = LazyImages(Pictures(pixels(), with_a_generator_of_its_own))
    assert not data.repeatable and "a generator of its own" in data.promise
    again = LazyImages(Pictures(pixels(), with_a_generator_of_its_own))
    assert again.fingerprint == data.fingerprint
    assert LazyImages(Pictures(pixels(), shaken)).promise == ""


@pytest.mark.parametrize("mark", [{"train": False}, {"split": "test"}])
def test_test_images_are_known(mark):
    dataset = Pictures(pixels())
    vars(dataset).update(mark)
    assert LazyImages(dataset).split == LazyImages(Subset(dataset, [1])).split == "test"
    assert LazyImages(dataset, split="train").split == "train"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (Stream(pixels()), TypeError, "Stream gives no image by its index.*DataLoader of it"),
        (Pictures(pixels()[:0]), ValueError, "Pictures holds no images"),
        ((X, 0), TypeError, "ImageData, a Dataset or a DataLoader, got tuple"),
        (3, TypeError, "got int"),
    ],
)
def test_what_is_no_data_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        as_images(given)
