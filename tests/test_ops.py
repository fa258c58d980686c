"""The nine operations of AugMix against Pillow, on every pixel."""

import numpy as np
import pytest
import torch
from oracles.augmix import NAMES, with_pillow
from PIL import Image
from rounding import same_levels

from nmlib import ops

SIZES = [(32, 32), (1, 1), (1, 7), (5, 1), (15, 45), (33, 20), (96, 64)]


def pictures(height, width):
    """Noise, and what an operation may stumble over: flat, two-valued, striped, a single dot."""
    rng = np.random.default_rng(height * 1000 + width)
    shape = (height, width, 3)
    dot = np.zeros(shape)
    dot[0, 0] = 255
    stripes = np.broadcast_to((np.arange(width) % 2 * 255)[:, None], shape)
    ramp = np.broadcast_to(np.linspace(0, 255, height)[:, None, None], shape)
    channels = np.stack([rng.integers(0, 256, shape[:2]), *np.full((2, *shape[:2]), 7)], -1)
    made = [
        rng.integers(0, 256, shape), np.full(shape, 131), np.full(shape, 255),
        rng.integers(0, 2, shape) * 255, stripes, ramp, rng.integers(100, 103, shape), dot,
        255 - dot, channels,
    ]  # fmt: skip
    return np.stack(made).astype(np.uint8)


def difference(name, images, values):
    """Levels between ours and Pillow's, over all images with all values, in one batch."""
    batch = torch.from_numpy(np.repeat(images, len(values), 0)).permute(0, 3, 1, 2).contiguous()
    every = np.tile(np.array(values, dtype=np.float64), len(images))
    before = batch.clone()
    operation = getattr(ops, name)
    ours = operation(batch) if values[0] is None else operation(batch, every)
    assert torch.equal(batch, before)
    assert ours.dtype == torch.uint8 and ours.shape == batch.shape
    pillow = np.stack(
        [np.asarray(with_pillow(name, Image.fromarray(i), v)) for i in images for v in values]
    )
    return np.abs(ours.permute(0, 2, 3, 1).numpy().astype(int) - pillow)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_histogram_operations_equal_pillow(name, size):
    assert difference(name, pictures(*size), [None]).max() == 0


def test_autocontrast_equals_pillow_for_every_range():
    """All pairs of darkest and brightest value: the rounding of 255 / (high - low) matters."""
    low, high = np.triu_indices(256)
    levels = np.arange(256).clip(low[:, None], high[:, None]).astype(np.uint8)
    ours = ops.autocontrast(torch.from_numpy(levels).view(-1, 1, 1, 256)).view(-1, 256)
    for k in np.random.default_rng(0).choice(len(low), 3000, replace=False):
        line = Image.fromarray(levels[k][None])
        pillow = np.asarray(with_pillow("autocontrast", line, None))[0]
        assert (ours[k].numpy() == pillow).all(), (low[k], high[k])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_posterize_and_solarize_equal_pillow(size):
    assert difference("posterize", pictures(*size), list(range(1, 9))).max() == 0
    thresholds = [0, 1, 100, 127, 128, 131, 132, 254, 255, 256]
    assert difference("solarize", pictures(*size), thresholds).max() == 0


RNG = np.random.default_rng(5)
GEOMETRY = {
    "rotate": [*range(-30, 31), 45, 90, 180, 270, -90, 360, 0.1, 1e-7, *RNG.uniform(-30, 30, 5)],
    "shear": [
        0, 0.3, -0.3, 0.25, -0.25, 0.5, -0.5, 1, -1, 1 / 3, -1 / 3, 0.1, -0.1, 2 / 45, 7, 1e-9,
        -1e-9, *RNG.uniform(-0.3, 0.3, 9),
    ],
    "translate": [*range(-7, 8), 0.5, -0.5, 0.3, 31, 32, -32, 1000, -1e6],
}  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_geometry_equals_pillow_to_one_grey_level(name, size):
    found = difference(name, pictures(*size), GEOMETRY[name.split("_")[0]])
    assert found.max() <= 1


@pytest.mark.parametrize("name", ["translate_x", "translate_y"])
def test_whole_pixels_are_moved_exactly(name):
    assert difference(name, pictures(33, 20), list(range(-40, 41))).max() == 0


@pytest.mark.parametrize("name", ["shear_x", "shear_y", "rotate"])
def test_what_is_black_is_exactly_pillows(name):
    """On a white image one grey level cannot hide a wrong border."""
    white = np.full((1, 15, 45, 3), 255, dtype=np.uint8)
    every = GEOMETRY[name.split("_")[0]]
    wide = [2 / 45, -2 / 45, 2 / 15, -2 / 15, 1 / 44.5, 0.5 / 7.5, *every]
    assert difference(name, white, wide).max() <= 1
    assert difference(name, white[:, :, :15], wide).max() <= 1


def test_the_general_map_and_the_short_cuts_agree():
    """Shears, translations and whole degrees take short cuts on a CPU."""
    x = torch.from_numpy(pictures(32, 32)).permute(0, 3, 1, 2).contiguous()
    values = torch.tensor([3.0, -2, 1, 0, 5, -7, 2, 2, -1, 8])
    for name, key in (("shear_x", "b"), ("shear_y", "d"), ("translate_x", "c")):
        v = values / 40 if name.startswith("shear") else values
        general = ops.affine(x, ops.affine_matrix(**{key: v})).int()
        short = getattr(ops, name)(x, v).int()
        assert (general - short).abs().max() <= 1
        assert ((general == 0) == (short == 0)).float().mean() > 0.99
    turns = torch.tensor([ops.rotation(v, 32, 32) for v in values.tolist()], dtype=torch.float64)
    assert torch.equal(ops.affine(x, turns), ops.rotate(x, values))


@pytest.mark.parametrize("name", NAMES)
def test_each_image_has_its_own_parameter(name):
    """A batch is as its images one by one, whatever the neighbours, and for any channels."""
    x = torch.from_numpy(pictures(20, 33)).permute(0, 3, 1, 2)[:, :2]
    values = {
        "posterize": np.arange(10) % 8 + 1, "solarize": np.arange(10) * 25,
        "rotate": np.arange(10) * 3.0 - 9, "shear_x": np.linspace(-0.3, 0.3, 10),
        "shear_y": np.linspace(-0.3, 0.3, 10), "translate_x": np.arange(10)[::-1] % 4 - 2,
        "translate_y": np.arange(10)[::-1] % 4 - 2,
    }.get(name)  # fmt: skip
    operation = getattr(ops, name)
    if values is None:
        whole, parts = operation(x), [operation(x[i : i + 1]) for i in range(10)]
    else:
        whole = operation(x, values)
        parts = [operation(x[i : i + 1], float(values[i])) for i in range(10)]
    # What is interpolated is cut off from floats.
    same_levels(whole, torch.cat(parts), share=1e-3 if name[:5] in ("rotat", "shear") else 0)
    nothing = operation(x[:0]) if values is None else operation(x[:0], values[:0])
    assert nothing.shape == (0, 2, 20, 33)


@pytest.mark.parametrize("name", NAMES)
def test_bad_images_are_named(name):
    arguments = () if name in ("autocontrast", "equalize") else (4,)
    operation = getattr(ops, name)
    with pytest.raises(ValueError, match=r"uint8 .*float32.*round"):
        operation(torch.zeros(1, 3, 4, 4), *arguments)
    with pytest.raises(ValueError, match=r"\(n, c, h, w\).*\(3, 4, 4\)"):
        operation(torch.zeros(3, 4, 4, dtype=torch.uint8), *arguments)


def test_bad_parameters_are_named():
    x = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="bits must be whole numbers from 1 to 8, got 9"):
        ops.posterize(x, 9)
    with pytest.raises(ValueError, match=r"threshold .* from 0 to 256, got 3\.5"):
        ops.solarize(x, 3.5)
    with pytest.raises(ValueError, match=r"degrees must be one number or one for each of the 2"):
        ops.rotate(x, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="slope must be finite, got nan"):
        ops.shear_x(x, float("nan"))
    with pytest.raises(ValueError, match="pixels must be finite, got inf"):
        ops.translate_y(x, float("inf"))
    with pytest.raises(ValueError, match=r"matrix must have shape \(2, 6\)"):
        ops.affine(x, torch.zeros(1, 6))
