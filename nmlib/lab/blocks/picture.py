"""The panel of the building blocks as one picture, for pages without a kernel."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmlib.lab.blocks.bench import Reading
from nmlib.lab.blocks.displays.pixels import MAP_COLOURS, pillow_font

__all__ = ["paint_panel"]

# Grids of 4 x 4 maps are 140 pixels wide, or a half or a quarter of it: whole factors stay sharp.
WIDTH, STATE, TILE = 760, 140, 84
INK, SOFT, LINE, ACCENT = (22, 25, 29), (85, 92, 101), (217, 221, 226), (0, 99, 158)
BARS = ((0, 114, 178), (230, 159, 0), (0, 158, 115))


def _resized(pixels: NDArray[np.uint8], side: int) -> Any:
    from PIL import Image

    return Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)


def _bars(draw: Any, p: NDArray[np.float64], left: int, base: int, colour: Any) -> None:
    width, height = 100, 60
    step = width / len(p)
    for k, value in enumerate(p):
        x = left + k * step
        draw.rectangle((x + 1, base - height * float(value), x + step - 2, base), fill=colour)
    draw.line((left, base, left + width, base), fill=LINE)


def paint_panel(reading: Reading) -> bytes:
    """Paint images, feature maps, labels, views and divergences as a PNG.

    Args:
        reading: From `Bench.read`.
    """
    from PIL import Image, ImageDraw

    mixing, views = reading.mixing, reading.views
    image = Image.new("RGB", (WIDTH, 572), "white")
    draw = ImageDraw.Draw(image)

    def write(x: float, y: float, text: str, size: int = 12, fill: Any = INK) -> None:
        draw.text((x, y), text, fill, pillow_font(size))

    for b, (left, role) in enumerate(((12, "sample"), (122, "partner"))):
        image.paste(_resized(mixing.images[b], TILE), (left, 12))
        write(left, 100, mixing.names[b])
        write(left, 115, role, 11, SOFT)
    write(240, 12, f"mixed label: {mixing.label_words}")
    edge = 240 + 500 * mixing.lam
    draw.rectangle((240, 32, edge, 52), fill=BARS[0])
    draw.rectangle((edge, 32, 740, 52), fill=BARS[1])
    write(
        240, 60, f"λ = {mixing.lam:.2f} from Beta({reading.alpha:g}, {reading.alpha:g})", 12, SOFT
    )
    write(240, 78, mixing.noise, 12, SOFT)
    parts = reading.parts
    write(
        240, 98,
        f"cross-entropy {float(parts.ce):.2f} + {parts.stability:g} × JSD {float(parts.jsd):.3f} "
        f"= {float(parts.total):.2f}",
        13,
    )  # fmt: skip
    what = "the normalised images"
    if mixing.point:
        shape = mixing.maps.shape
        what = f"{len(mixing.channels)} of {shape[1]} feature maps of {shape[2]} × {shape[3]}"
        for row, (text, colour) in enumerate(
            (
                ("below zero", MAP_COLOURS[0]),
                ("zero", MAP_COLOURS[128]),
                ("above", MAP_COLOURS[255]),
            )
        ):
            y = 166 + 24 * row
            draw.rectangle((650, y, 664, y + 14), fill=tuple(colour.tolist()), outline=LINE)
            write(672, y, text, 11, SOFT)
    write(12, 142, f"At mix point {mixing.point}: {what}", 12, SOFT)
    names = ("sample", "partner", "mixture", "mixture with noise")
    for k, (grid, name) in enumerate(zip(mixing.grids(), names, strict=True)):
        image.paste(_resized(grid, STATE), (12 + k * (STATE + 18), 162))
        write(12 + k * (STATE + 18), 162 + STATE + 3, name, 12, SOFT)
    for b in range(2):
        top = 338 + b * 116
        for v in range(3):
            left = 12 + v * 204
            image.paste(_resized(views.views[v, b], TILE), (left, top))
            p = views.probs[v, b]
            _bars(draw, p, left + TILE + 6, top + TILE, BARS[v])
            best = int(p.argmax())
            view = "clean" if v == 0 else f"view {v}"
            write(left, top + TILE + 4, f"{view}: {views.classes[best]} {p[best]:.2f}", 11, SOFT)
        for row, (text, value) in enumerate(
            (("JSD of the views", views.jsd[b]), ("mixed, with noise", reading.step_jsd[b]))
        ):
            y = top + 8 + 42 * row
            write(628, y, text, 11, SOFT)
            write(628, y + 14, f"{value:.3f}", 14)
            draw.rectangle((678, y + 18, 746, y + 27), outline=SOFT)
            draw.rectangle((678, y + 18, 678 + 68 * value / views.limit, y + 27), fill=ACCENT)
    file = io.BytesIO()
    # The octree keeps vermilion and orange apart; the median cut does not.
    small = image.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    small.save(file, "png")
    return file.getvalue()
