"""The counter-based generator: its arithmetic, its independence of splits, its statistics."""

import numpy as np
import pytest
import torch
from scipy import stats

from nmlib.corruptions._noise import draw_poisson
from nmlib.corruptions._streams import image_stream


def lowbias(x, key=None):
    """The mixing steps on Python integers."""
    x ^= x >> 16
    x = x * 0x7FEB352D & 0xFFFFFFFF
    if key is not None:
        x ^= key
    x ^= x >> 15
    x = x * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def test_words_by_hand():
    import zlib

    stream = image_stream(5, ("a",), 2, 3)
    words = stream.words("field", 50)
    for i in range(3):
        k1, k2 = (int(k) & 0xFFFFFFFF for k in stream.keys[i])
        for j in (0, 1, 17, 49):
            start = (j + zlib.crc32(b"field") - (1 << 31)) & 0xFFFFFFFF
            assert int(words[i, j]) & 0xFFFFFFFF == lowbias(lowbias(start) ^ k1, k2)


def test_an_image_keeps_its_numbers():
    whole = image_stream(1, ("x", 2), 0, 100)
    part = image_stream(1, ("x", 2), 60, 10)
    assert torch.equal(whole.keys[60:70], part.keys)
    # Logarithm and cosine in double precision: the last bit of a float, once in 10^8 numbers.
    torch.testing.assert_close(whole.normal("n", 7, 3)[60:70], part.normal("n", 7, 3))
    assert not torch.equal(whole.words("n", 9), whole.words("m", 9))
    for other in (image_stream(2, ("x", 2), 0, 100), image_stream(1, ("x", 3), 0, 100)):
        assert not (other.keys == whole.keys).any(1).all()


def test_keys_do_not_collide():
    keys = image_stream(0, ("gaussian_noise", 1), 0, 300_000).keys.numpy()
    assert len(np.unique(keys.view(np.int64))) == 300_000


def test_bits_are_fair_and_independent():
    words = image_stream(3, ("bits",), 0, 500).words("w", 3072).numpy().view(np.uint32)
    bits = (words[..., None] >> np.arange(32, dtype=np.uint32)) & 1
    n = words.size
    assert np.abs(bits.mean((0, 1)) - 0.5).max() < 5 * 0.5 / np.sqrt(n)
    # Between neighbouring elements, between images, and between bits of a word.
    signs = bits.astype(np.int8) * 2 - 1
    bound = 5.5 / np.sqrt(n)
    assert np.abs((signs[:, 1:] * signs[:, :-1]).mean((0, 1))).max() < bound
    assert np.abs((signs[1:] * signs[:-1]).mean((0, 1))).max() < bound
    flat = signs.reshape(n, 32).astype(np.float32)
    correlation = flat.T @ flat / n - np.eye(32)
    assert np.abs(correlation).max() < bound


def test_uniform_and_integers():
    stream = image_stream(8, ("u",), 0, 400)
    values = stream.uniform("u", 1000, low=-45, high=45).numpy().ravel()
    assert values.min() > -45 and values.max() < 45
    assert stats.kstest(values, "uniform", (-45, 90)).pvalue > 1e-3
    assert (
        stats.kstest(stream.symmetric("s", 1000).numpy().ravel(), "uniform", (-1, 2)).pvalue > 1e-3
    )
    counts = np.bincount(stream.integers("i", 5, 1000).numpy().ravel(), minlength=5)
    assert len(counts) == 5 and stats.chisquare(counts).pvalue > 1e-3


def test_normal():
    values = image_stream(4, ("n",), 0, 300).normal("n", 32, 32, 3)
    assert values.dtype == torch.float32
    flat = values.numpy().ravel()
    assert stats.kstest(flat, "norm").pvalue > 1e-3
    n = flat.size
    assert abs(flat.mean()) < 5 / np.sqrt(n)
    assert abs(flat.var() - 1) < 5 * np.sqrt(2 / n)
    assert abs(stats.kurtosis(flat)) < 5 * np.sqrt(24 / n)
    assert np.abs(flat).max() > 4.4
    image = values.numpy()
    for axis in (1, 2, 3):
        a = np.moveaxis(image, axis, 0)
        assert abs((a[1:] * a[:-1]).mean()) < 6 / np.sqrt(n)
    halves = values.reshape(300, 2, -1)  # cosine and sine of one pair
    assert abs((halves[:, 0] * halves[:, 1]).mean()) < 6 / np.sqrt(n / 2)
    assert abs((halves[:, 0] ** 2 * halves[:, 1] ** 2).mean() - 1) < 12 / np.sqrt(n / 2)


@pytest.mark.parametrize("scale", [500, 60, 3])
@pytest.mark.parametrize("value", [0, 1, 40, 128, 255])
def test_poisson(scale, value):
    x = torch.full((150, 32, 32, 3), value, dtype=torch.uint8)
    counts = draw_poisson(x, image_stream(6, ("p",), 0, 150), scale).values.numpy().ravel()
    rate = scale * value / 255
    if value == 0:
        assert (counts == 0).all()
        return
    n = counts.size
    assert abs(counts.mean() - rate) < 5 * np.sqrt(rate / n)
    assert abs(counts.var() - rate) < 5 * np.sqrt((rate + 2 * rate**2) / n)
    low, high = stats.poisson.ppf([1e-4, 1 - 1e-4], rate).astype(int)
    edges = np.arange(low, high + 1)
    expected = stats.poisson.pmf(edges, rate) * n
    found = np.bincount(counts, minlength=high + 1)[low : high + 1]
    keep = expected > 10
    z = (found[keep] - expected[keep]) / np.sqrt(expected[keep])
    assert stats.chi2.sf((z**2).sum(), keep.sum()) > 1e-4
