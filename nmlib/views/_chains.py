"""Apply the chains of an AugMix plan to batches of byte images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks, ops
from nmlib._devices import to_device
from nmlib._threads import run_all, thread_count
from nmlib.views._plan import OPERATIONS, AugMixPlan, operation_parameter

# Samples x pixels per piece: limited by the cache on a CPU, and by memory elsewhere.
_CPU_PIXELS = 256 * 1024

_DEVICE_PIXELS = 4096 * 1024

# Smaller pieces do not pay for a second thread: a piece costs many small operations whatever its
# size, and Python runs those on one thread at a time.
_THREAD_PIXELS = 96 * 1024


def in_pieces(x: Tensor, work: Callable[[slice], None]) -> None:
    """Call `work` on slices that cover all samples; on a CPU, in parallel."""
    on_cpu = x.device.type == "cpu"
    pixels = max(1, x.shape[2] * x.shape[3])
    size = max(1, (_CPU_PIXELS if on_cpu else _DEVICE_PIXELS) // pixels)
    if on_cpu and len(x) > 1:
        share = -(-len(x) // thread_count())
        size = min(size, max(share, _THREAD_PIXELS // pixels))
    pieces = [slice(first, first + size) for first in range(0, len(x), size)]
    if on_cpu and len(pieces) > 1:
        run_all(work, pieces)
    else:
        for piece in pieces:
            work(piece)


def check_plan(x: Tensor, plan: AugMixPlan) -> int:
    copies, batch = plan.operation.shape[:2]
    if batch != len(x):
        raise ValueError(f"the plan is for {batch} samples but x has {len(x)}; draw a new plan")
    return copies


_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusted_images() -> Iterator[None]:
    """Skip the range check of images on an accelerator, which would synchronise it.

    Values outside [0, 1] then make the augmented views NaN, and so the loss.
    """
    before = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(before)


def check_images(x: Tensor) -> Tensor:
    x = _checks.image_axes("x", x)
    if x.device.type == "cpu" or not _trusted.get():
        _checks.unit_range("x", x)
    return x.detach()


def rounded_to_bytes(x: Tensor) -> Tensor:
    # Via int16, which is faster than a direct conversion.
    return (x.float() * 255).round_().to(torch.int16).to(torch.uint8)


@torch.no_grad()
def fill_views(views: Tensor, x: Tensor, plan: AugMixPlan, piece: slice) -> None:
    """Write the views of the samples in a piece."""
    copies, _, width, _ = plan.operation.shape
    x = x[piece]
    precise = torch.promote_types(x.dtype, torch.float32)
    clean = x.to(precise)
    chains = run_chains(rounded_to_bytes(clean), plan, piece)
    chains = chains.view(copies, len(x), width, *x.shape[1:])
    mix = plan.mix[:, piece]
    parts = mix[..., None] * plan.weights[:, piece] / 255
    kept = to_device(1 - mix, x.device).to(precise).view(copies, -1, 1, 1, 1)
    share = to_device(parts, x.device).to(precise).view(copies, -1, width, 1, 1, 1)
    if x.device.type != "cpu" and _trusted.get():
        low, high = torch.aminmax(clean)
        inside = (low >= -_checks.ROUNDING) & (high <= 1 + _checks.ROUNDING)
        kept = kept + torch.where(inside, 0.0, torch.nan)
    views[0, piece].copy_(x)
    for a in range(copies):
        mixed = clean * kept[a]
        for i in range(width):
            mixed.addcmul_(chains[a, :, i].to(precise), share[a, :, i])
        views[1 + a, piece].copy_(mixed)


# Each step of the chains batches its operations by kind, in this order. The kinds that move pixels
# are adjacent, so that an accelerator runs them as one batch.
_ORDER = (
    "autocontrast", "equalize", "posterize", "solarize", "translate_x", "translate_y", "shear_x",
    "shear_y", "rotate",
)  # fmt: skip

_KIND = np.array([*(_ORDER.index(name) for name in OPERATIONS), len(_ORDER)])


def run_chains(x: Tensor, plan: AugMixPlan, piece: slice = slice(None)) -> Tensor:
    """Apply every chain of a plan to byte images.

    Args:
        x: (b, C, H, W) uint8, the samples of the piece.
        plan: The plan of the whole batch.
        piece: The position of x in the batch.

    Returns:
        (A * b * width, C, H, W) uint8, in this order.
    """
    operation = plan.operation[:, piece]
    shape = operation.shape
    steps = operation.reshape(-1, shape[3])
    level = plan.level[:, piece].reshape(steps.shape)
    sign = plan.sign[:, piece].reshape(steps.shape)
    value = np.zeros(steps.shape)
    for number, name in enumerate(OPERATIONS):
        if name not in ("autocontrast", "equalize"):
            here = steps == number
            value[here] = operation_parameter(name, level[here], sign[here], *x.shape[2:])
    kind = _KIND[steps]
    # The row of `images` that holds each chain; all chains start at their sample.
    row = np.broadcast_to(np.arange(shape[1])[None, :, None], shape[:3]).reshape(-1).copy()
    # Equal shifts become neighbours, for `ops.translate_groups`.
    order = [np.lexsort((value[:, t], kind[:, t])) for t in range(shape[3])]
    values = [value[chains, t] for t, chains in enumerate(order)]
    kinds = np.arange(len(_ORDER) + 2)
    ends = [np.searchsorted(kind[chains, t], kinds).tolist() for t, chains in enumerate(order)]
    where = _positions(values, ends, x)
    images = x
    for t, chains in enumerate(order):
        images = images.index_select(0, to_device(row[chains], x.device))
        row[chains] = np.arange(len(row))
        images = _one_step(images, values[t], ends[t], where[t])
    return images.index_select(0, to_device(row, x.device))


def _one_step(
    images: Tensor, values: NDArray[np.float64], ends: list[int], where: ops.Positions | Tensor
) -> Tensor:
    """Apply operations to images sorted by kind; kind k is the slice ends[k]:ends[k + 1].

    `where` says how pixels move: on a CPU the positions for shears and rotations, elsewhere the
    matrices for translations, shears and rotations.
    """
    made = []

    def part(name: str, last: str | None = None) -> tuple[Tensor, NDArray[np.float64]]:
        chosen = slice(ends[_ORDER.index(name)], ends[_ORDER.index(last or name) + 1])
        return images[chosen], values[chosen]

    def as_bytes(numbers: NDArray[np.float64]) -> Tensor:
        return to_device(numbers.astype(np.uint8), images.device).view(-1, 1, 1, 1)

    for name, stretch in (("autocontrast", ops.autocontrast), ("equalize", ops.equalize)):
        made.append(stretch(part(name)[0]))
    chosen, bits = part("posterize")
    made.append(chosen & as_bytes(256 - 2.0 ** (8 - bits)))
    chosen, threshold = part("solarize")
    inverted = ops.invert(chosen, as_bytes(np.minimum(threshold, 255)))
    if (threshold > 255).any():  # nothing to invert; only handmade plans have levels this low
        above = to_device(threshold > 255, images.device).view(-1, 1, 1, 1)
        inverted = torch.where(above, chosen, inverted)
    made.append(inverted)
    if isinstance(where, ops.Positions):
        for name, axis in (("translate_x", 3), ("translate_y", 2)):
            chosen, pixels = part(name)
            if len(chosen):
                made.append(ops.translate_groups(chosen, pixels, axis))
        chosen, _ = part("shear_x", "rotate")
        if len(chosen):
            made.append(ops.sample(chosen, where))
    else:
        made.append(ops.affine(part("translate_x", "rotate")[0], where))
    made.append(images[ends[len(_ORDER)] :])
    return torch.cat([images for images in made if len(images)])


def _positions(
    values: list[NDArray[np.float64]], ends: list[list[int]], x: Tensor
) -> list[ops.Positions] | list[Tensor]:
    """Prepare the argument `where` of `_one_step` for every step."""
    size = (x.shape[2], x.shape[3])
    if x.device.type != "cpu":
        found = [_matrices(v, e, size) for v, e in zip(values, ends, strict=True)]
        return list(to_device(np.concatenate(found), x.device).split([len(f) for f in found]))
    # All steps at once: a small batch costs as much as a large one.
    names = ("shear_x", "shear_y", "rotate")
    bounds = [[slice(e[k], e[k + 1]) for e in ends] for k in map(_ORDER.index, names)]
    every = [np.concatenate([v[b] for v, b in zip(values, bs, strict=True)]) for bs in bounds]
    kinds = (
        ops.sheared_positions(every[0], 3, *size),
        ops.sheared_positions(every[1], 2, *size),
        ops.turned_positions(every[2], *size),
    )
    lengths = [[b.stop - b.start for b in bs] for bs in bounds]
    split = [[part.split(n) for part in k] for k, n in zip(kinds, lengths, strict=True)]
    return [
        ops.Positions(*(torch.cat([k[part][t] for k in split]) for part in (0, 1)))
        for t in range(len(values))
    ]


def _matrices(
    values: NDArray[np.float64], ends: list[int], size: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the rows of `ops.affine` for all images whose pixels move."""
    first = ends[_ORDER.index("translate_x")]
    matrices = np.zeros((ends[len(_ORDER)] - first, 6))
    matrices[:, [0, 4]] = 1
    for name, column in (("shear_x", 1), ("shear_y", 3), ("translate_x", 2), ("translate_y", 5)):
        k = _ORDER.index(name)
        matrices[ends[k] - first : ends[k + 1] - first, column] = values[ends[k] : ends[k + 1]]
    for row in range(ends[_ORDER.index("rotate")], ends[len(_ORDER)]):
        matrices[row - first] = ops.rotation(float(values[row]), *size)
    return matrices
