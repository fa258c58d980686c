"""What `corrupt` promises: keyed per image, any split, any layout, clear errors."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from rounding import same_images

import nmlib as nm
from nmlib.corruptions import (
    CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    FAMILIES,
    FROST_PHOTOGRAPHS,
    SEVERITIES,
    Corruption,
    FieldDraw,
    FrostDraw,
    apply_corruption,
    corrupt,
    draw_corruption,
    draw_frost_textures,
    read_frost_photographs,
)
from nmlib.corruptions._api import REGISTRY
from nmlib.data.corrupted import write_corrupted_set
from nmlib.evaluation import evaluate_corruptions

BENCHMARKS = ("cifar", "imagenet")
ALL = (*CORRUPTIONS, *EXTRA_CORRUPTIONS)
RANDOM = [name for name in ALL if REGISTRY[name].draw is not None]


@pytest.fixture(scope="module")
def images():
    return nm.load("fashion-mini", "test").images[:150]


def test_names_and_tables():
    assert len(CORRUPTIONS) == 15
    assert CORRUPTIONS[0] == "gaussian_noise" and CORRUPTIONS[-1] == "jpeg_compression"
    assert set(SEVERITIES) == set(ALL) == {n for names in FAMILIES.values() for n in names}
    for cifar, imagenet in SEVERITIES.values():
        assert len(cifar) == len(imagenet) == 5


@pytest.mark.parametrize("benchmark", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", ALL)
def test_splits_order_and_threads_do_not_matter(images, name, benchmark):
    whole = corrupt(images, name, 4, benchmark=benchmark, seed=3)
    assert whole.dtype == torch.uint8 and whole.shape == images.shape
    pieces = []
    for start, stop in ((0, 1), (1, 8), (8, 105), (105, 150)):
        part = images[start:stop]
        pieces.append(corrupt(part, name, 4, benchmark=benchmark, seed=3, first_index=start))
    same_images(name, torch.cat(pieces), whole)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = corrupt(images[:40], name, 4, benchmark=benchmark, seed=3)
    finally:
        torch.set_num_threads(threads)
    same_images(name, alone, whole[:40])
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("name", ALL)
def test_layouts_and_kinds(images, name):
    x = images[:3]
    before = x.clone()
    last = corrupt(x, name, 2, seed=1)
    first = corrupt(x.permute(0, 3, 1, 2).contiguous(), name, 2, seed=1)
    assert first.shape == (3, 3, 32, 32) and first.is_contiguous()
    assert torch.equal(first.permute(0, 2, 3, 1), last)
    array = corrupt(x.numpy(), name, 2, seed=1)
    assert isinstance(array, np.ndarray) and (array == last.numpy()).all()
    assert torch.equal(x, before)
    strided = corrupt(x.flip(0)[:, :, ::1], name, 2, seed=1)
    assert strided.shape == x.shape
    if name != "saturate":  # grey clothes have nothing to saturate
        assert not torch.equal(last, x)


@pytest.mark.parametrize("name", RANDOM)
def test_keys(images, name):
    x = images[:1].expand(4, -1, -1, -1)
    one = corrupt(x, name, 3, seed=0)
    assert torch.equal(one, corrupt(x, name, 3, seed=0))
    assert not torch.equal(one, corrupt(x, name, 3, seed=1))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one, corrupt(x, name, 3, seed=0, first_index=7))


@pytest.mark.parametrize("name", ["motion_blur", "gaussian_noise", "shot_noise"])
def test_severities_have_streams_of_their_own(images, name):
    x = images[:2]
    a, b = (draw_corruption(x, name, s, seed=0) for s in (1, 2))
    assert not torch.equal(next(iter(vars(a).values())), next(iter(vars(b).values())))


def test_large_and_oblong_images():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 300, 420, 3), dtype=np.uint8)
    for name in ALL:
        for benchmark in ("cifar", "imagenet"):
            out = corrupt(x, name, 5, benchmark=benchmark)
            assert out.shape == x.shape and (out != x).any(), (name, benchmark)


def test_large_images_take_the_same_values_as_the_sparse_path(monkeypatch):
    """Above a size the whole-image matrices are replaced; the pixels stay."""
    from nmlib.corruptions import _blur

    x = nm.load("fashion-mini", "test").images[:2]
    expected = corrupt(x, "zoom_blur", 4)
    monkeypatch.setattr(_blur, "_SPARSE_PIXELS", 0)
    same_images("zoom_blur", corrupt(x, "zoom_blur", 4), expected)


def test_grey_images_through_the_colour_corruptions():
    x = torch.arange(256, dtype=torch.uint8).repeat(12)[: 32 * 32].reshape(1, 32, 32, 1)
    x = x.expand(-1, -1, -1, 3)
    for name in ("brightness", "contrast"):
        out = corrupt(x, name, 3)
        assert torch.equal(out[..., 0], out[..., 2])
    red = corrupt(x, "saturate", 5).to(int)  # hue 0 is red: the definition's quirk
    assert (red[..., 0] >= red[..., 1]).all() and (red[..., 0] > red[..., 1]).any()


@pytest.mark.parametrize("name", ALL)
def test_black_white_and_flat_images(name):
    for value in (0, 255, 77):
        x = torch.full((2, 32, 32, 3), value, dtype=torch.uint8)
        for severity in (1, 5):
            out = corrupt(x, name, severity)
            assert out.dtype == torch.uint8
            flat = (
                "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "contrast",
                "elastic_transform", "pixelate", "jpeg_compression", "gaussian_blur",
            )  # fmt: skip
            if name in flat:
                assert (out.int() - value).abs().max() <= 1


def test_frost_photographs_are_checked(tmp_path):
    with pytest.raises(FileNotFoundError, match="fetch_frost_photographs"):
        read_frost_photographs(tmp_path)
    (tmp_path / "frost1.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=FROST_PHOTOGRAPHS["frost1.png"]):
        read_frost_photographs(tmp_path)


def test_frost_adds_the_crop_it_names():
    textures = draw_frost_textures()
    x = torch.full((2, 224, 224, 3), 50, dtype=torch.uint8)
    draw = FrostDraw(torch.tensor([1, 4]), torch.tensor([[3, 10], [100, 200]]))
    out = apply_corruption(x, "frost", 1, draw, benchmark="imagenet", frost=textures)
    for i, (k, (row, column)) in enumerate(zip((1, 4), ((3, 10), (100, 200)), strict=True)):
        crop = textures[k][row : row + 224, column : column + 224]
        assert (out[i].numpy() == np.minimum(50 + 0.4 * crop + 1e-3, 255).astype(np.uint8)).all()
    small = torch.full((1, 32, 32, 3), 0, dtype=torch.uint8)
    draw = FrostDraw(torch.tensor([2]), torch.tensor([[5, 6]]))
    out = apply_corruption(small, "frost", 5, draw, frost=textures)
    crop = textures[2][2::5, 2::5][5:37, 6:38]
    assert (out[0].numpy() == (0.45 * crop + 1e-3).astype(np.uint8)).all()


def test_drawn_frost_looks_like_the_photographs():
    """Mean colour and contrast as measured on the benchmark's photographs."""
    means = [(78, 149, 166), (201, 205, 214), (201, 205, 214), (138, 153, 165), (112, 123, 135)]
    deviations = [18.0, 22.0, 22.0, 28.9, 43.1]
    for texture, mean, deviation in zip(draw_frost_textures(), means, deviations, strict=True):
        assert np.abs(texture.mean((0, 1)) - mean).max() < 3
        assert abs(texture.mean(2).std() - deviation) < 2


@pytest.mark.parametrize("name", ["fog", "jpeg_compression"])
def test_a_single_image_of_any_kind_is_corrupted_as_its_batch(images, name):
    wanted = corrupt(images, name, 3, seed=2)[1].numpy()
    one, options = images[1], dict(seed=2, first_index=1)
    pillow = corrupt(Image.fromarray(one.numpy()), name, 3, **options)
    assert isinstance(pillow, Image.Image) and (np.asarray(pillow) == wanted).all()
    assert (corrupt(one, name, 3, **options).numpy() == wanted).all()
    array = corrupt(one.permute(2, 0, 1).numpy(), name, 3, **options)
    assert type(array) is np.ndarray and (array.transpose(1, 2, 0) == wanted).all()
    draw = draw_corruption(one, name, 3, **options)
    assert (apply_corruption(one, name, 3, draw).numpy() == wanted).all()


def test_bad_input(images):
    with pytest.raises(ValueError, match="did you mean 'gaussian_noise'"):
        corrupt(images, "gausian_noise", 1)
    for severity in (0, 6, 2.5, True, "3"):
        with pytest.raises(ValueError, match="severity must be an integer from 1 to 5"):
            corrupt(images, "fog", severity)
    with pytest.raises(ValueError, match="benchmark"):
        corrupt(images, "fog", 1, benchmark="cifar10")
    with pytest.raises(TypeError, match=r"uint8.*float32.*\* 255"):
        corrupt(images.float() / 255, "fog", 1)
    with pytest.raises(TypeError, match="uint8"):
        corrupt(images.numpy().astype(np.float64), "fog", 1)
    with pytest.raises(TypeError, match="tensor or an array"):
        corrupt([1, 2, 3], "fog", 1)
    with pytest.raises(ValueError, match="3 channels"):
        corrupt(images[..., :1], "fog", 1)
    with pytest.raises(ValueError, match="four axes"):
        corrupt(images[0, ..., 0], "fog", 1)
    with pytest.raises(TypeError, match=r"got 'L'; use image.convert\('RGB'\)"):
        corrupt(Image.new("L", (32, 32)), "fog", 1)
    with pytest.raises(ValueError, match="too small"):
        corrupt(images[:, :28, :28].contiguous(), "fog", 1)
    with pytest.raises(ValueError, match="first_index"):
        corrupt(images, "fog", 1, first_index=-1)
    with pytest.raises(ValueError, match="draw_corruption"):
        apply_corruption(images, "fog", 1)
    with pytest.raises(ValueError, match="seed"):
        corrupt(images, "fog", 1, seed=-1)


def test_no_images_gives_none(images):
    for name in ALL:
        assert corrupt(images[:0], name, 1).shape == (0, 32, 32, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", ALL)
def test_gpu_agrees(images, name):
    here, there = corrupt(images, name, 3), corrupt(images.cuda(), name, 3)
    assert there.device.type == "cuda"
    difference = (here.int() - there.cpu().int()).abs()
    assert difference.max() <= 1 and (difference > 0).float().mean() < 1e-3


# -- corruptions of one's own ---------------------------------------------------------------------


def speckled(x, level, draw):
    return (x + level * draw.values).clamp(0, 255).to(torch.uint8)


def draw_speckles(x, stream, level):
    return FieldDraw(stream.normal("speckles", *x.shape[1:]))


SPECKLES = Corruption("speckles", speckled, ((1, 2, 3, 4, 5), (2, 4, 6, 8, 10)), draw_speckles)


def test_a_corruption_of_ones_own_goes_wherever_a_name_goes(tmp_path):
    x = torch.full((6, 32, 32, 3), 128, dtype=torch.uint8)
    out = corrupt(x, SPECKLES, 4, seed=2)
    spread = [float(corrupt(x, SPECKLES, 4, benchmark=b).float().std()) for b in BENCHMARKS]
    assert spread == [pytest.approx(4, rel=0.05), pytest.approx(8, rel=0.05)]
    # Its draws are those of the image, whatever the batch.
    assert torch.equal(corrupt(x[3:], SPECKLES, 4, seed=2, first_index=3), out[3:])
    draw = draw_corruption(x, SPECKLES, 4, seed=2)
    assert torch.equal(apply_corruption(x, SPECKLES, 4, draw), out)
    labels = torch.arange(6) % 2
    write_corrupted_set(x, labels, tmp_path, names=[SPECKLES, "fog"], severities=[4], seed=2)
    assert np.array_equal(np.load(tmp_path / "speckles.npy"), out.numpy())
    net = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())
    report = evaluate_corruptions(net, (x, labels), corruptions=["fog", SPECKLES], severities=4)
    assert [(r["corruption"], r["family"]) for r in report.rows[1:]] == [
        ("fog", "weather"), ("speckles", "own"),
    ]  # fmt: skip


def test_lengths_grow_with_the_image():
    wide = Corruption("wide", speckled, ((0.25,) * 5, ((1, 0.5),) * 5), side_lengths=(1, 0.5))
    assert wide.parameters("cifar", 1, 64) == 16
    assert wide.parameters("imagenet", 1, 64) == (32, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"severities": ((1, 2), (1, 2))}, "five severities for each of cifar, imagenet"),
        ({"name": "fog"}, "needs a name of its own; 'fog' is one of nmlib's"),
        ({"apply": lambda x, level, draw: x.float()}, r"'speckles' must return images .*float32"),
        ({"apply": lambda x, level, draw: None}, "'speckles' must return images .* got None"),
    ],
)
def test_what_a_corruption_of_ones_own_must_be(change, message):
    x = torch.zeros(2, 32, 32, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match=message):
        corrupt(x, dataclasses.replace(SPECKLES, **change), 1)
