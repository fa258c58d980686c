"""Slow, obvious corruptions on one (h, w, 3) uint8 image, from the definitions."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import gaussian


def cut(x):
    """Clip values in [0, 1] and truncate to bytes."""
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)


def gaussian_noise(x, sigma, normal):
    return cut(x / 255.0 + sigma * normal)


def speckle_noise(x, sigma, normal):
    return cut(x / 255.0 + x / 255.0 * sigma * normal)


def shot_noise(x, scale, counts):
    return cut(counts / float(scale))


def impulse_noise(x, amount, state):
    out = x / 255.0
    out[state > 0] = 1
    out[state < 0] = 0
    return cut(out)


def defocus_blur(x, params):
    radius, alias = params
    line = np.arange(-8, 9) if radius <= 8 else np.arange(-radius, radius + 1)
    size = 3 if radius <= 8 else 5
    disk = np.array([[float(a * a + b * b <= radius * radius) for a in line] for b in line])
    disk /= disk.sum()
    near = np.arange(size) - size // 2
    weights = np.exp(-(near**2) / (2 * alias**2))
    weights /= weights.sum()
    kernel = ndimage.convolve(disk, np.outer(weights, weights), mode="mirror")
    planes = [ndimage.correlate(x[..., c] / 255.0, kernel, mode="mirror") for c in range(3)]
    return cut(np.stack(planes, -1))


def gaussian_blur(x, sigma):
    return cut(gaussian(x / 255.0, sigma=sigma, channel_axis=-1))


def glass_blur(x, params, shifts):
    """Visit pixels from the last to the first and copy, one at a time."""
    sigma, delta, iterations = params
    h, w, _ = x.shape
    x = (gaussian(x / 255.0, sigma=sigma, channel_axis=-1) * 255).astype(np.uint8)
    for i in range(iterations):
        for row in range(h - delta, delta, -1):
            for column in range(w - delta, delta, -1):
                dy, dx = shifts[i, row, column]
                x[row, column] = x[row + dy, column + dx]
    return cut(gaussian(x / 255.0, sigma=sigma, channel_axis=-1))


def motion(x, radius, sigma, degrees):
    """One-sided half Gaussian along an angle, whole-pixel steps, edge pixels repeated."""
    h, w = x.shape[:2]
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    out = np.zeros(x.shape)
    rows, columns = np.mgrid[:h, :w]
    for k, weight in enumerate(weights):
        dy = math.ceil(k * math.sin(math.radians(degrees)) - 0.5)
        dx = math.ceil(k * math.cos(math.radians(degrees)) - 0.5)
        out += weight * x[np.clip(rows + dy, 0, h - 1), np.clip(columns + dx, 0, w - 1)]
    return np.floor(out + 1e-9)


def motion_blur(x, params, degrees):
    return motion(x, *params, degrees).astype(np.uint8)


def clipped_zoom(x, factor):
    h, w = x.shape[:2]
    crop = [math.ceil(s / factor) for s in (h, w)]
    start = [(s - c) // 2 for s, c in zip((h, w), crop, strict=True)]
    middle = x[start[0] : start[0] + crop[0], start[1] : start[1] + crop[1]]
    large = ndimage.zoom(middle, (factor, factor) + (1,) * (x.ndim - 2), order=1)
    trim = [(a - b) // 2 for a, b in zip(large.shape, (h, w), strict=False)]
    return large[trim[0] : trim[0] + h, trim[1] : trim[1] + w]


def zoom_blur(x, params):
    unit = x / 255.0
    factors = np.arange(1, *params)
    return cut((unit + sum(clipped_zoom(unit, f) for f in factors)) / (len(factors) + 1))


def snow(x, params, normal, degrees):
    location, deviation, zoom, threshold, radius, sigma, mix = params
    layer = clipped_zoom(location + deviation * normal, zoom)
    layer = np.where(layer < threshold, 0, layer)
    layer = motion(cut(layer).astype(float), radius, sigma, degrees)[..., None] / 255
    unit = x / 255.0
    grey = (unit * (0.299, 0.587, 0.114)).sum(-1, keepdims=True)
    unit = mix * unit + (1 - mix) * np.maximum(unit, grey * 1.5 + 0.5)
    return cut(unit + layer + np.rot90(layer, 2))


def plasma(side, fields, decay):
    """Diamond-square clouds, point by point."""
    cloud = np.zeros((side, side))
    step, wobble = side, 100.0
    for square, drop, left in fields:
        half = step // 2
        for i in range(side // step):
            for j in range(side // step):
                y, x = i * step, j * step
                corners = [(y, x), (y + step, x), (y, x + step), (y + step, x + step)]
                mean = np.mean([cloud[a % side, b % side] for a, b in corners])
                cloud[y + half, x + half] = mean + wobble * wobble * square[i, j]
        for i in range(side // step):
            for j in range(side // step):
                y, x = i * step, j * step
                for a, b, noise in ((y, x + half, drop[i, j]), (y + half, x, left[i, j])):
                    around = [(a - half, b), (a + half, b), (a, b - half), (a, b + half)]
                    mean = np.mean([cloud[c % side, d % side] for c, d in around])
                    cloud[a, b] = mean + wobble * wobble * noise
        step, wobble = half, wobble / decay
    cloud -= cloud.min()
    return cloud / cloud.max()


def fog(x, params, fields):
    intensity, decay = params
    h, w, _ = x.shape
    side = 1 << (max(h, w) - 1).bit_length()
    unit = x / 255.0
    top = unit.max()
    unit = unit + intensity * plasma(side, fields, decay)[:h, :w, None]
    return cut(unit * top / (top + intensity))


def brightness(x, shift):
    hsv = rgb2hsv(x / 255.0)
    hsv[..., 2] = np.clip(hsv[..., 2] + shift, 0, 1)
    return cut(hsv2rgb(hsv))


def contrast(x, share):
    unit = x / 255.0
    mean = unit.mean((0, 1), keepdims=True)
    return cut((unit - mean) * share + mean)


def elastic_transform(x, params, corners, columns, rows):
    amplitude, sigma, jitter = params
    h, w, _ = x.shape
    middle, reach = np.array([h // 2, w // 2]), min(h, w) // 3
    before = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + jitter * corners
    # Output position (u, v) = (x, y) comes from input position [u v 1] @ m.
    m = np.linalg.solve(np.c_[after, np.ones(3)], before.astype(float))
    v, u = np.mgrid[:h, :w].astype(float)
    source = np.stack([u, v, np.ones_like(u)], -1) @ m
    warped = [
        ndimage.map_coordinates(x[..., c] / 255.0, source[..., ::-1].transpose(2, 0, 1), order=1,
                                mode="mirror")
        for c in range(3)
    ]  # fmt: skip
    if amplitude:
        dx, dy = (
            amplitude * ndimage.gaussian_filter(f, sigma, mode="reflect", truncate=3)
            for f in (columns, rows)
        )
        warped = [
            ndimage.map_coordinates(p, [v + dy, u + dx], order=1, mode="reflect") for p in warped
        ]
    return cut(np.stack(warped, -1))


def pixelate(x, share):
    h, w, _ = x.shape
    small = Image.fromarray(x).resize((int(w * share), int(h * share)), Image.Resampling.BOX)
    return np.asarray(small.resize((w, h), Image.Resampling.BOX))


def jpeg_compression(x, quality):
    file = io.BytesIO()
    Image.fromarray(x).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def saturate(x, params):
    hsv = rgb2hsv(x / 255.0)
    hsv[..., 1] = np.clip(hsv[..., 1] * params[0] + params[1], 0, 1)
    return cut(hsv2rgb(hsv))


def moved(x, matrix):
    """Pillow's affine map of an image, bilinear, outside black; the map is from output to input."""
    size = (x.shape[1], x.shape[0])
    return np.asarray(
        Image.fromarray(x).transform(
            size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
    )


def scaled(x, factor):
    """Magnified about the centre."""
    h, w = x.shape[:2]
    inverse = 1 / factor
    return moved(x, (inverse, 0, w / 2 * (1 - inverse), 0, inverse, h / 2 * (1 - inverse)))


def turned(x, degrees):
    """Turned clockwise: the point (a, b) right of and below the centre comes from R^-1 (a, b)."""
    h, w = x.shape[:2]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    a, b = w / 2, h / 2
    return moved(x, (c, s, a - c * a - s * b, -s, c, b + s * a - c * b))


def shifted(x, pixels):
    """Moved to the right by whole pixels."""
    return moved(x, (1, 0, -pixels, 0, 1, 0))


def zoom_sequence(x, count=31):
    """Frame i averages the first i + 1 of the image and its magnifications by 1 + 0.004 j."""
    total = np.float32(x) / np.float32(255)
    frames = [x]
    for i in range(1, count):
        total = total + np.float32(scaled(x, 1 + 0.004 * i)) / np.float32(255)
        frames.append((total / np.float32(i + 1) * np.float32(255)).astype(np.uint8))
    return np.stack(frames)


def sequence(x, name, benchmark):
    """Every frame of a sequence that nothing random is in, but `tilt`."""
    large = benchmark == "imagenet"
    if name == "motion_blur":
        radius, sigma, step, last = (10, 3.0, 4, 30) if large else (6, 1.8, 9, 20)
        frames = [motion(x, radius, sigma, step * (i - last)) for i in range(last + 1)]
    elif name == "zoom_blur":
        frames = zoom_sequence(x)
    elif name == "brightness":
        frames = [brightness(x, (0.02 if large else 0.015) * (i - 15)) for i in range(31)]
    elif name == "translate":
        frames = [shifted(x, k) for k in (range(-20, 21) if large else range(-7, 9))]
    elif name == "rotate":
        frames = [turned(x, i - 15) for i in range(31)]
    else:
        assert name == "scale"
        percent = (2.5 * i + 40 if large else 2 * i + 70 for i in range(31))
        frames = [scaled(x, p / 100) for p in percent]
    return np.stack([np.asarray(frame, np.uint8) for frame in frames])
