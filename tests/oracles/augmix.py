"""AugMix with Pillow, one image and one operation after the other, from a plan."""

import numpy as np
from PIL import Image, ImageOps

NAMES = (
    "autocontrast", "equalize", "posterize", "rotate", "solarize", "shear_x", "shear_y",
    "translate_x", "translate_y",
)  # fmt: skip


def with_pillow(name, image, value):
    """One operation on a Pillow image; `value` as Pillow takes it."""

    def affine(*six):
        return image.transform(image.size, Image.AFFINE, six, resample=Image.BILINEAR)

    match name:
        case "autocontrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "posterize":
            return ImageOps.posterize(image, int(value))
        case "rotate":
            return image.rotate(value, resample=Image.BILINEAR)
        case "solarize":
            return ImageOps.solarize(image, int(value))
        case "shear_x":
            return affine(1, value, 0, 0, 1, 0)
        case "shear_y":
            return affine(1, 0, 0, value, 1, 0)
        case "translate_x":
            return affine(1, 0, value, 0, 1, 0)
        case "translate_y":
            return affine(1, 0, 0, 0, 1, value)
    raise KeyError(name)


def value_at(name, level, sign, size):
    """The parameter at a level, from the table of facts; size is (width, height)."""
    if name == "posterize":
        return 4 - int(4 * level / 10)
    if name == "rotate":
        return sign * int(30 * level / 10)
    if name == "solarize":
        return 256 - int(256 * level / 10)
    if name in ("shear_x", "shear_y"):
        return sign * 0.3 * level / 10
    if name in ("translate_x", "translate_y"):
        return sign * int(level * (size[0 if name == "translate_x" else 1] / 3) / 10)
    return None


def run_chain(image, operations, levels, signs):
    """One chain on a Pillow image."""
    for number, level, sign in zip(operations, levels, signs, strict=True):
        if number >= 0:
            name = NAMES[number]
            image = with_pillow(name, image, value_at(name, level, sign, image.size))
    return image


def augmix(images, plan, mean=0.0, std=1.0):
    """Views (A, B, H, W, C), normalised before they are mixed, from uint8 (B, H, W, C)."""

    def normalised(image):
        return (np.asarray(image, dtype=np.float64) / 255 - mean) / std

    copies, batch, width, _ = plan.operation.shape
    views = np.empty((copies, *images.shape))
    for a in range(copies):
        for b in range(batch):
            mixed = np.zeros(images.shape[1:])
            for i in range(width):
                chain = run_chain(
                    Image.fromarray(images[b]),
                    plan.operation[a, b, i],
                    plan.level[a, b, i],
                    plan.sign[a, b, i],
                )
                mixed += plan.weights[a, b, i] * normalised(chain)
            m = plan.mix[a, b]
            views[a, b] = (1 - m) * normalised(images[b]) + m * mixed
    return views
