"""Chains of operations on bytes, batched: what a plan does to images."""

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

# Samples x pixels that are worked on at once: on a CPU what stays in its cache, elsewhere what
# fits into memory.
_CPU_PIXELS = 256 * 1024

_DEVICE_PIXELS = 4096 * 1024

# Fewer are not worth a second thread: the many small operations of a piece cost the same for any
# number of samples, and Python runs those of one thread at a time.
_THREAD_PIXELS = 96 * 1024


def in_pieces(x: Tensor, work: Callable[[slice], None]) -> None:
    """Call `work` for all samples, some at a time; on a CPU, by all threads."""
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
        raise ValueError(f"the plan is for {batch} samples but x has {len(x)}; draw it anew")
    return copies


_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusted_images() -> Iterator[None]:
    """Leave out the look at the values of images on an accelerator, which would wait for it.

    What lies outside [0, 1] then makes the augmented views NaN, and so the loss.
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
    # By way of int16, which is faster than straight to bytes.
    return (x.float() * 255).round_().to(torch.int16).to(torch.uint8)


@torch.no_grad()
def fill_views(views: Tensor, x: Tensor, plan: AugMixPlan, piece: slice) -> None:
    """Write the views of some samples."""
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


# In one step of the chains, those of a kind are done together. The kinds that move pixels follow
# one another, so that an accelerator takes them in one go; -1 is no operation.
_ORDER = (
    "autocontrast", "equalize", "posterize", "solarize", "translate_x", "translate_y", "shear_x",
    "shear_y", "rotate",
)  # fmt: skip

_KIND = np.array([*(_ORDER.index(name) for name in OPERATIONS), len(_ORDER)])


def run_chains(x: Tensor, plan: AugMixPlan, piece: slice = slice(None)) -> Tensor:
    """Run every chain of a plan on bytes.

    Args:
        x: (b, C, H, W) uint8, the samples of the piece.
        plan: The plan of the whole batch.
        piece: Which samples of the batch x holds.

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
    # The row of `images` that holds each chain; all begin at their sample.
    row = np.broadcast_to(np.arange(shape[1])[None, :, None], shape[:3]).reshape(-1).copy()
    # Those that are moved alike next to each other, for `ops.translate_groups`.
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
    """Apply operations to images that are sorted by kind; kind k is ends[k] ... ends[k + 1].

    `where` is what moves pixels: on a CPU the positions of the shears and rotations, elsewhere
    the matrices of the translations too.
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
    if (threshold > 255).any():  # only in plans made by hand: no grey level is that high
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
    """Prepare for every step what moves its pixels; see `_one_step`."""
    size = (x.shape[2], x.shape[3])
    if x.device.type != "cpu":
        found = [_matrices(v, e, size) for v, e in zip(values, ends, strict=True)]
        return list(to_device(np.concatenate(found), x.device).split([len(f) for f in found]))
    # All steps in one go: small pieces cost as much as large ones.
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
    """Return the numbers of `ops.affine` for all images whose pixels are moved."""
    first = ends[_ORDER.index("translate_x")]
    matrices = np.zeros((ends[len(_ORDER)] - first, 6))
    matrices[:, [0, 4]] = 1
    for name, column in (("shear_x", 1), ("shear_y", 3), ("translate_x", 2), ("translate_y", 5)):
        k = _ORDER.index(name)
        matrices[ends[k] - first : ends[k + 1] - first, column] = values[ends[k] : ends[k + 1]]
    for row in range(ends[_ORDER.index("rotate")], ends[len(_ORDER)]):
        matrices[row - first] = ops.rotation(float(values[row]), *size)
    return matrices
