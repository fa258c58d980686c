"""Against slow NumPy, SciPy, Pillow and scikit-image code, on other images and sizes."""

import numpy as np
import pytest
import torch
from oracles import corruptions as oracle
from rounding import same_images
from sklearn.datasets import load_sample_images

from nmlib.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    SEVERITIES,
    apply_corruption,
    corrupt,
    draw_corruption,
)
from nmlib.corruptions._api import REGISTRY
from nmlib.corruptions._blur import glass_sources
from nmlib.corruptions._jpeg import _by_arithmetic
from nmlib.data import load

DETERMINISTIC = [
    "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression",
    "gaussian_blur", "saturate",
]  # fmt: skip


def picture(h, w, seed=0):
    """Smooth colours with hard edges, flat black and white parts and a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] / max(h, w)
    base = np.stack([np.sin(9 * x + 3 * y), np.cos(7 * y - x), np.sin(12 * x * y)], -1)
    image = 127 + 120 * base + rng.normal(0, 6, (h, w, 3))
    image[h // 4 : h // 2, w // 8 : w // 3] = 255
    image[h // 2 : 3 * h // 4, w // 2 : 5 * w // 6] = (0, 200, 40)
    image[-h // 6 :, -w // 5 :] = 0
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clothes():
    return load("fashion-mini", "test").images[:3].numpy()


@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic(clothes, name, severity, benchmark):
    params = REGISTRY[name].parameters(benchmark, severity, 32)
    images = [*clothes[:2], picture(32, 32)]
    if benchmark == "imagenet":
        # Any size, odd ones too; 64 x 96 has no flat parts to lose at the borders.
        images = [picture(45, 61), picture(96, 64, 1), picture(33, 32, 2)]
    for image in images:
        ours = corrupt(image[None], name, severity, benchmark=benchmark)[0]
        theirs = getattr(oracle, name)(image.copy(), params)
        assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("quality_of", [("cifar", 1), ("cifar", 5), ("imagenet", 5)])
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (40, 33), (224, 224), (63, 129)])
def test_jpeg_is_libjpeg_byte_for_byte(size, quality_of):
    benchmark, severity = quality_of
    quality = SEVERITIES["jpeg_compression"][benchmark == "imagenet"][severity - 1]
    rng = np.random.default_rng(3)
    for image in (picture(*size), rng.integers(0, 256, (*size, 3), dtype=np.uint8)):
        wanted = oracle.jpeg_compression(image, quality)
        ours = corrupt(image[None], "jpeg_compression", severity, benchmark=benchmark)[0]
        assert (ours == wanted).all()
        # What runs on a GPU, on small images, and where Pillow is missing.
        assert (_by_arithmetic(torch.from_numpy(image[None]), quality).numpy() == wanted).all()


def record_of(draw, i):
    """One image's numbers as plain arrays, in the order the oracle takes them."""
    values = []
    for field in vars(draw).values():
        if isinstance(field, tuple):
            values.append([[np.asarray(f[i], dtype=float) for f in level] for level in field])
        else:
            values.append(np.asarray(field[i]))
    return values


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize(
    "name",
    [
        "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur",
        "motion_blur", "snow", "fog", "elastic_transform",
    ],
)  # fmt: skip
@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
def test_random_with_the_same_draws(clothes, name, severity, benchmark):
    images = np.stack([clothes[0], picture(32, 32)]) if benchmark == "cifar" else None
    if images is None:
        images = picture(48, 64)[None]
    params = REGISTRY[name].parameters(benchmark, severity, min(images.shape[1:3]))
    draw = draw_corruption(torch.from_numpy(images), name, severity, benchmark=benchmark, seed=9)
    ours = apply_corruption(images, name, severity, draw, benchmark=benchmark)
    same_images(name, ours, corrupt(images, name, severity, benchmark=benchmark, seed=9))
    for i, image in enumerate(images):
        theirs = getattr(oracle, name)(image.copy(), params, *record_of(draw, i))
        difference = np.abs(ours[i].astype(int) - theirs)
        if name == "elastic_transform":
            # The definition samples the affine map at 1/32 pixel, the oracle does not.
            assert difference.mean() < 0.6
            assert np.percentile(difference, 90) <= 2
        else:
            assert difference.max() <= 1


@pytest.mark.parametrize("delta", [1, 2, 3, 4])
def test_glass_sources_follow_the_sequential_copy(delta):
    rng = np.random.default_rng(delta)
    h, w = 33, 40
    shifts = rng.integers(-delta, delta, (3, h, w, 2))
    found = glass_sources(torch.from_numpy(shifts), delta)
    for i in range(3):
        number = np.arange(h * w).reshape(h, w)
        for row in range(h - delta, delta, -1):
            for column in range(w - delta, delta, -1):
                dy, dx = shifts[i, row, column]
                number[row, column] = number[row + dy, column + dx]
        assert (found[i].numpy() == number.ravel()).all()


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize(
    "name",
    [
        "defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression",
        "gaussian_blur", "saturate",
    ],
)  # fmt: skip
def test_imagecorruptions_where_definitions_agree(name, severity, recwarn):
    package = pytest.importorskip("imagecorruptions")
    image = picture(96, 96)
    theirs = package.corrupt(image.copy(), corruption_name=name, severity=severity)
    ours = corrupt(image[None], name, severity, benchmark="imagenet")[0]
    if name == "pixelate":  # the package enlarges with NEAREST: same blocks up to their rims
        assert (np.abs(ours.astype(int) - theirs) <= 1).mean() > 0.5
    else:
        assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"])
def test_imagecorruptions_in_distribution(name, recwarn):
    package = pytest.importorskip("imagecorruptions")
    image = np.full((96, 96, 3), 120, np.uint8)
    np.random.seed(0)  # noqa: NPY002 - the package knows no other way
    theirs = package.corrupt(image.copy(), corruption_name=name, severity=3).astype(float)
    ours = corrupt(image[None], name, 3, benchmark="imagenet")[0].astype(float)
    scale = theirs.std() / np.sqrt(theirs.size)
    assert abs(ours.mean() - theirs.mean()) < 6 * scale
    assert abs(ours.std() / theirs.std() - 1) < 0.03


# Severities s whose successor s + 1 is, by the definition's parameters, not farther from the clean
# image: glass blur trades sigma for passes, motion blur (6, 2) and (8, 2) are the same kernel,
# frost keeps its weights nearly, elastic transform trades the affine part for the wavy one,
# spatter turns from water to mud, saturation falls before it rises, the ImageNet snow and fog
# trade their parameters.
NOT_MONOTONIC = {
    "cifar": {
        "glass_blur": {1, 2, 4}, "motion_blur": {3}, "frost": {3, 4},
        "elastic_transform": {1, 2, 3, 4}, "spatter": {3}, "saturate": {2},
    },
    "imagenet": {
        "glass_blur": {1, 3}, "snow": {2}, "frost": {1, 3}, "fog": {3},
        "elastic_transform": {2, 3}, "saturate": {2},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def photographs():
    corners = [(a, b) for a in range(20, 340, 80) for b in range(20, 560, 120)]
    return np.stack(
        [i[a : a + 64, b : b + 64] for i in load_sample_images().images for a, b in corners]
    )


@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", [*CORRUPTIONS, *EXTRA_CORRUPTIONS])
def test_severity_raises_the_distance(photographs, name, benchmark):
    images = photographs
    if benchmark == "cifar":
        images = load("fashion-mini", "test").images[:150].numpy()
    distance = [
        np.abs(corrupt(images, name, s, benchmark=benchmark).astype(int) - images).mean()
        for s in range(1, 6)
    ]
    falls = {s for s in range(1, 5) if distance[s] < distance[s - 1]}
    assert falls <= NOT_MONOTONIC[benchmark].get(name, set()), distance


def test_official_files_if_they_are_here():
    """CIFAR-10 and CIFAR-10-C on disk (NMLIB_CIFAR_C): deterministic sets within a grey level."""
    import os

    folder = os.environ.get("NMLIB_CIFAR_C")
    if not folder:
        pytest.skip("NMLIB_CIFAR_C does not name a folder with CIFAR-10-C")
    from nmlib.data.cifar import read_cifar_c

    clean = load("cifar10", "test").images[:500].numpy()
    for name in DETERMINISTIC:
        for severity in range(1, 6):
            theirs, _ = read_cifar_c(folder, name, severity)
            ours = corrupt(clean, name, severity)
            assert np.abs(ours.astype(int) - theirs[:500]).max() <= 1
