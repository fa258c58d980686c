"""The -P sequences: frame counts, single frames against other code, keys."""

import math

import numpy as np
import pytest
import torch
from oracles import corruptions as oracle
from rounding import same_levels

from nmlib import load
from nmlib.corruptions import PERTURBATIONS, frame_count, perturbation_sequence

FRAMES = {
    "cifar": dict.fromkeys(PERTURBATIONS, 31) | {"motion_blur": 21, "translate": 16},
    "imagenet": dict.fromkeys(PERTURBATIONS, 31) | {"translate": 41},
}


@pytest.fixture(scope="module")
def images():
    return load("fashion-mini", "test").images[:5].numpy()


def worst(a, b):
    return int(np.abs(a.astype(int) - np.asarray(b).astype(int)).max())


def test_the_ten_in_order():
    assert PERTURBATIONS == (
        "gaussian_noise", "shot_noise", "motion_blur", "zoom_blur", "snow",
        "brightness", "translate", "rotate", "tilt", "scale",
    )  # fmt: skip


@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", PERTURBATIONS)
def test_frames_splits_and_layouts(images, name, benchmark):
    whole = perturbation_sequence(images, name, benchmark=benchmark, seed=2)
    count = FRAMES[benchmark][name]
    assert whole.shape == (5, count, 32, 32, 3) and whole.dtype == np.uint8
    assert frame_count(name, benchmark) == count
    later = perturbation_sequence(images[3:], name, benchmark=benchmark, seed=2, first_index=3)
    # Look-ups and moves are the same in any batch; sums of floats may be rounded otherwise.
    share = 0 if name in ("shot_noise", "brightness", "translate") else 1e-3
    same_levels(later, whole[3:], share=share)
    first = torch.from_numpy(images).permute(0, 3, 1, 2)
    channels_first = perturbation_sequence(first, name, benchmark=benchmark, seed=2)
    assert (channels_first.permute(0, 1, 3, 4, 2).numpy() == whole).all()


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_middle_is_cut_out_when_the_generator_cuts(images, name):
    """ImageNet-P moves pixels of the whole picture, and blurs and whitens what is left of it."""
    large = np.tile(images[:2], (1, 2, 2, 1))[:, :45, :50]
    options = dict(name=name, benchmark="imagenet", seed=2)
    cut = perturbation_sequence(large, crop=34, **options)
    # torchvision's middle: 5.5 and 8 pixels from the edge, halves to even.
    middle = (slice(None), slice(6, 40), slice(8, 42))
    if name in ("zoom_blur", "translate", "rotate", "tilt", "scale"):
        whole = perturbation_sequence(large, **options)
        assert (cut == whole[:, :, middle[1], middle[2]]).all()
    else:
        assert (cut == perturbation_sequence(large[middle], **options)).all()


def test_noise_starts_clean_and_frames_are_independent(images):
    for name, scale in (("gaussian_noise", 0.02 * 255), ("shot_noise", None)):
        frames = perturbation_sequence(np.full((30, 32, 32, 3), 128, np.uint8), name)
        assert (frames[:, 0] == 128).all()
        change = frames[:, 1:].astype(float) - 128
        expected = scale or 255 * math.sqrt(128 / 255 / 700)
        # Truncation adds the variance of a uniform grey level and shifts by half of one.
        assert abs(change.std() - math.sqrt(expected**2 + 1 / 12)) < 0.1
        a, b = change[:, 3].ravel() - change.mean(), change[:, 4].ravel() - change.mean()
        assert abs((a * b).mean() / change.var()) < 5 / math.sqrt(a.size)
    hard = perturbation_sequence(np.full((4, 32, 32, 3), 128, np.uint8), "gaussian_noise",
                                 difficulty=3)  # fmt: skip
    assert abs((hard[:, 1:].astype(float) - 128).std() - 0.06 * 255) < 0.3


FIXED = ("motion_blur", "zoom_blur", "brightness", "translate", "rotate", "scale")


@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", FIXED)
def test_every_frame_follows_the_definition(images, name, benchmark):
    for pictures in (images, np.pad(images, ((0, 0), (0, 5), (3, 10), (0, 0)), "reflect")):
        ours = perturbation_sequence(pictures, name, benchmark=benchmark)
        for mine, picture in zip(ours, pictures, strict=True):
            theirs = oracle.sequence(picture, name, benchmark)
            assert mine.shape == theirs.shape
            assert worst(mine, theirs) <= (0 if name == "translate" else 1)
            assert (mine != theirs).mean() < 0.01


def test_zoom_blur_moves_from_the_first_step_and_in_small_ones(images):
    """Whole-pixel crops repeat the first frames and jump later; the warps do neither."""
    frames = perturbation_sequence(images, "zoom_blur").astype(float)
    assert (frames[:, 0] == images).all()
    steps = np.abs(np.diff(frames, axis=1)).mean((0, 2, 3, 4))
    assert steps.min() > 0 and steps.max() < 2.5 * np.median(steps)


@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
def test_directions(benchmark):
    """A dot above the centre: clockwise turns and translation take it to the right."""
    dot = np.zeros((1, 33, 33, 3), np.uint8)
    dot[0, 3:6, 15:18] = 255

    def column(name, i):
        frame = perturbation_sequence(dot, name, benchmark=benchmark)[0, i].astype(float)
        return (frame.sum((0, 2)) * np.arange(33)).sum() / frame.sum()

    assert column("rotate", 0) < 13.5 and column("rotate", 30) > 18.5
    assert column("rotate", 15) == pytest.approx(16)
    still = 20 if benchmark == "imagenet" else 7
    for pixels in (-5, 0, 5):
        assert column("translate", still + pixels) == pytest.approx(16 + pixels)


def test_cifar_translation_runs_from_minus_seven_to_eight(images):
    frames = perturbation_sequence(images, "translate")
    assert (frames[:, 7] == images).all()
    assert (frames[:, 0, :, :-7] == images[:, :, 7:]).all()
    assert (frames[:, 15, :, 8:] == images[:, :, :-8]).all()


@pytest.mark.parametrize("i", [0, 9, 15, 28])
def test_tilt_by_a_pinhole_camera(images, i):
    """Intersect rays with the turned image plane; OpenCV's 1/32 pixel and black outside."""
    h = w = 32
    angle = math.radians(0.75 * (i - 15))
    focal = math.hypot(h, w)
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.array(
        [[c, 0, -s], [0, 1, 0], [s, 0, c]]
    )
    # A point (X, Y) of the plane lies at turn @ (X, Y, 1) + (0, 0, focal).
    frames = perturbation_sequence(images, "tilt")[:, i]
    image = np.pad(images[0].astype(float), ((1, 1), (1, 1), (0, 0)))
    for v in range(0, h, 3):
        for u in range(0, w, 3):
            ray = np.array([(u - w / 2) / focal, (v - h / 2) / focal, 1.0])
            # turn @ (X, Y, 1) + (0, 0, focal) = depth * ray
            system = np.c_[turn[:, :2], -ray]
            x, y, _ = np.linalg.solve(system, -turn[:, 2] - [0, 0, focal])
            x, y = round((x + w / 2) * 32) / 32, round((y + h / 2) * 32) / 32
            if not (-1 < x < w and -1 < y < h):
                expected = np.zeros(3)
            else:
                a, b = math.floor(x), math.floor(y)
                fx, fy = x - a, y - b
                four = image[b + 1 : b + 3, a + 1 : a + 3]
                expected = np.einsum("i,j,ijc->c", [1 - fy, fy], [1 - fx, fx], four)
            assert np.abs(frames[0, v, u] - expected).max() <= 0.51


def test_snow_keeps_its_layer(images):
    frames = perturbation_sequence(images, "snow", seed=1).astype(float)
    gaps = np.abs(np.diff(frames, axis=1)).mean((0, 2, 3, 4))
    assert gaps.max() < np.abs(frames[:, 0] - frames[:, 15]).mean() < 40
    assert not (frames[:, 0] == perturbation_sequence(images, "snow", seed=2)[:, 0]).all()


def test_bad_input(images):
    with pytest.raises(ValueError, match="did you mean 'rotate'"):
        perturbation_sequence(images, "rotation")
    with pytest.raises(ValueError, match="difficulty must be"):
        perturbation_sequence(images, "snow", difficulty=4)
    with pytest.raises(ValueError, match="stride=2"):
        perturbation_sequence(images, "snow", difficulty=2)
    with pytest.raises(ValueError, match="crop"):
        perturbation_sequence(images, "snow", crop=33)
    with pytest.raises(TypeError, match="uint8"):
        perturbation_sequence(images / 255, "snow")
