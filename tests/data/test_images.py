"""The record of images and labels, and how one's own become one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import nmlib as nm

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 40, 3), np.uint8)
LABELS = [0, 2, 1, 0, 2, 2]


def test_arrays_and_tensors_in_both_layouts_become_the_same_data():
    data = nm.ImageData.of(PIXELS, LABELS, label="mine")
    channels_first = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).contiguous()
    same = nm.ImageData.of(channels_first, np.array(LABELS, np.int32), label="mine")
    assert data.fingerprint == same.fingerprint
    assert torch.equal(data.images, same.images)
    assert data.labels.dtype == torch.int64
    assert data.classes == ("0", "1", "2")
    assert (data.label, data.split) == ("mine", "train")
    assert len(data) == 6


def test_the_fingerprint_follows_images_and_labels():
    data = nm.ImageData.of(PIXELS, LABELS)
    others = nm.ImageData.of(PIXELS // 2, LABELS), nm.ImageData.of(PIXELS, LABELS[::-1])
    first, taken = data.first(3), data.take([0, 1, 2])
    prints = {data.fingerprint, first.fingerprint, *(other.fingerprint for other in others)}
    assert len(prints) == 4
    assert first.fingerprint == taken.fingerprint
    by_hand = nm.ImageData("x", "test", data.images, data.labels, ("a", "b", "c"), "x", "")
    assert by_hand.fingerprint == data.fingerprint


def test_own_images_are_trained_and_evaluated_on():
    data = nm.ImageData.of(PIXELS[:, :, :32], LABELS)
    model = nm.build_model("preact_resnet_small", 3)
    recipe = nm.Recipe(epochs=1, batch_size=3)
    run = nm.fit(model, data, nm.get_scheme("noisymix"), recipe, device="cpu", progress=False)
    assert run.finished
    assert run.data["label"] == "own images"
    assert len(nm.evaluate(model, data)) == 6


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (PIXELS / 255, LABELS, TypeError, r"must be uint8.*got float64.*\* 255"),
        (PIXELS[0], LABELS, ValueError, r"got \(32, 40, 3\)"),
        (PIXELS[..., :2], LABELS, ValueError, r"got \(6, 32, 40, 2\)"),
        (PIXELS, LABELS[:4], ValueError, r"6 images, but labels of shape \(4,\)"),
        (
            PIXELS,
            np.array(LABELS) + 0.7,
            TypeError,
            r"torch\.float64; .* not all whole",
        ),
        (PIXELS, [0, -1, 0, 0, 0, 0], ValueError, "label -1 is negative"),
        (PIXELS[:0], [], ValueError, "no images"),
    ],
)
def test_wrong_arrays_are_named(images, labels, error, message):
    with pytest.raises(error, match=message):
        nm.ImageData.of(images, np.array(labels, np.int64) if len(labels) == 0 else labels)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="did you mean 'train'"):
        nm.ImageData.of(PIXELS, LABELS, split="trian")
    with pytest.raises(ValueError, match="label 2 has no name among 2 classes"):
        nm.ImageData.of(PIXELS, LABELS, classes=("cat", "dog"))


def test_wrong_records_are_named():
    data = nm.ImageData.of(PIXELS, LABELS)
    with pytest.raises(TypeError, match=r"uint8 .*got torch\.float32"):
        dataclasses.replace(data, images=data.images.float())
    with pytest.raises(TypeError, match=r"integers, got dtype torch\.float32"):
        dataclasses.replace(data, labels=data.labels.float())
    with pytest.raises(ValueError, match=r"6 images, but labels of shape \(5,\)"):
        dataclasses.replace(data, labels=data.labels[:-1])
