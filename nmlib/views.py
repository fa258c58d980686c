r"""View makers: (B, ...) samples in, (V, B, ...) views out."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nmlib import _checks, ops
from nmlib._threads import run_all, thread_count
from nmlib.mixing import Model
from nmlib.rng import Rng

__all__ = [
    "OPERATIONS",
    "AugMax",
    "AugMaxDraw",
    "AugMix",
    "AugMixPlan",
    "Augmented",
    "Plain",
    "hardest_mixture",
    "operation_parameter",
    "run_chains",
]


@dataclass(frozen=True)
class Plain:
    """Identical copies of the clean samples.

    Args:
        copies: V >= 1. With 1 there is nothing to compare, so the stability weight must be 0.

    >>> import torch
    >>> Plain(3).make(torch.zeros(5, 2), None, None, Rng(0)).shape
    torch.Size([3, 5, 2])
    """

    copies: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"copies must be >= 1, got {self.copies}")

    @property
    def count(self) -> int:
        """Number of views V."""
        return self.copies

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return x repeated as (V, B, ...), without copying memory."""
        return x.unsqueeze(0).expand(self.copies, *x.shape)


# -- AugMix ---------------------------------------------------------------------------------------

OPERATIONS: tuple[str, ...] = (
    "autocontrast",
    "equalize",
    "posterize",
    "rotate",
    "solarize",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""The nine operations of AugMix that do not overlap the test corruptions."""

NONE = -1
"""Stands in a plan for 'no operation'."""


def operation_parameter(
    operation: str,
    level: float | NDArray[np.float64],
    sign: float | NDArray[np.float64],
    height: int,
    width: int,
) -> NDArray[np.float64]:
    r"""Return what an operation is given at a level l in (0, 10].

    posterize: $4 - \lfloor 4l/10 \rfloor$ bits; rotate: $\pm\lfloor 30l/10 \rfloor$ degrees;
    solarize: threshold $256 - \lfloor 256l/10 \rfloor$; shear: $\pm 0.3l/10$; translate:
    $\pm\lfloor (S/3)\,l/10 \rfloor$ pixels, S the side along which it moves. The others have no
    parameter (0).

    Args:
        operation: One of `OPERATIONS`.
        level: l, any shape.
        sign: 1 or -1, like `level`.
        height: Of the image, pixels.
        width: Of the image, pixels.

    Source: AugMix (arXiv 1912.02781) as released, with which the authors train.

    >>> [float(operation_parameter("rotate", l, -1, 32, 32)) for l in (0.3, 2.9)]
    [-0.0, -8.0]
    """
    _checks.choice("operation", operation, OPERATIONS)
    level = np.asarray(level, dtype=np.float64)
    if operation == "posterize":
        return 4 - np.floor(level * 4 / 10)
    if operation == "solarize":
        return 256 - np.floor(level * 256 / 10)
    if operation == "rotate":
        return sign * np.floor(level * 30 / 10)
    if operation.startswith("shear"):
        return sign * (level * 0.3 / 10)
    if operation.startswith("translate"):
        side = width if operation == "translate_x" else height
        return sign * np.floor(level * (side / 3) / 10)
    return np.zeros_like(level)


@dataclass(frozen=True)
class AugMixPlan:
    r"""All random decisions of AugMix for one batch: `AugMix.draw` makes it, or a hand.

    Attributes:
        operation: (A, B, width, depth) integers: the index in `OPERATIONS` of each step of each
            chain of each of A augmented views, -1 for none (the chain is shorter).
        level: Levels l, same shape.
        sign: 1 or -1, same shape.
        weights: (A, B, width), $w$ of each chain; they sum to one.
        mix: (A, B), $m$ in [0, 1]: how much of the augmentations; 0 is the clean image.

    >>> plan = AugMixPlan.same(2, [("rotate", "solarize"), ("equalize",)], level=3, mix=0.5)
    >>> plan.operation.shape, plan.depth[0, 0].tolist()
    ((1, 2, 2, 2), [2, 1])
    """

    operation: NDArray[np.int64]
    level: NDArray[np.float64]
    sign: NDArray[np.float64]
    weights: NDArray[np.float64]
    mix: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = self.operation.shape
        if len(shape) != 4:
            raise ValueError(f"operation must have axes (A, B, width, depth), got shape {shape}")
        for name, wanted in (
            ("level", shape),
            ("sign", shape),
            ("weights", shape[:3]),
            ("mix", shape[:2]),
        ):
            found = np.shape(getattr(self, name))
            if found != wanted:
                raise ValueError(f"{name} must have shape {wanted} as operation has, got {found}")
        if self.operation.size and not (
            self.operation.min() >= NONE and self.operation.max() < len(OPERATIONS)
        ):
            raise ValueError(
                f"operation holds {self.operation.min()} ... {self.operation.max()}; use the "
                f"indices 0 ... {len(OPERATIONS) - 1} of OPERATIONS, or {NONE} for none"
            )

    @property
    def depth(self) -> NDArray[np.int64]:
        """(A, B, width) lengths of the chains."""
        return (self.operation != NONE).sum(-1)

    def view(self, copy: int) -> AugMixPlan:
        """Return the plan of one of the augmented views."""
        one = slice(copy, copy + 1)
        return AugMixPlan(
            self.operation[one], self.level[one], self.sign[one], self.weights[one], self.mix[one]
        )

    @classmethod
    def same(
        cls,
        batch: int,
        chains: Sequence[Sequence[str]],
        *,
        level: float = 3.0,
        sign: float = 1.0,
        weights: Sequence[float] | None = None,
        mix: float = 1.0,
        copies: int = 1,
    ) -> AugMixPlan:
        """Return the plan that does the same to every image.

        Args:
            batch: B.
            chains: Names of the operations, chain by chain; () leaves the image as it is.
            level: l in (0, 10].
            sign: 1 or -1.
            weights: One for each chain; None: equal.
            mix: m in [0, 1].
            copies: A.
        """
        for name in (name for chain in chains for name in chain):
            _checks.choice("operation", name, OPERATIONS)
        steps = max(1, *(len(chain) for chain in chains)) if chains else 1
        table = np.full((len(chains), steps), NONE)
        for row, chain in zip(table, chains, strict=True):
            row[: len(chain)] = [OPERATIONS.index(name) for name in chain]
        shape = (copies, batch, *table.shape)
        parts = np.ones(len(chains)) / max(1, len(chains)) if weights is None else weights
        return cls(
            np.broadcast_to(table, shape),
            np.full(shape, float(level)),
            np.full(shape, float(sign)),
            np.broadcast_to(np.asarray(parts, dtype=np.float64), shape[:3]),
            np.full(shape[:2], float(mix)),
        )

    def chains(
        self, copy: int, sample: int, *, height: int = 32, width: int = 32
    ) -> tuple[tuple[tuple[str, float], ...], ...]:
        """Return the chains of one view of one sample as (operation, parameter) pairs."""

        def step(index: tuple[int, ...]) -> tuple[str, float]:
            name = OPERATIONS[self.operation[index]]
            found = operation_parameter(name, self.level[index], self.sign[index], height, width)
            return name, float(found)

        shape = self.operation.shape
        return tuple(
            tuple(
                step((copy, sample, i, t))
                for t in range(shape[3])
                if self.operation[copy, sample, i, t] != NONE
            )
            for i in range(shape[2])
        )


# Samples x pixels that are worked on at once: on a CPU what stays in its cache, elsewhere what
# fits into memory.
_CPU_PIXELS = 256 * 1024
_DEVICE_PIXELS = 4096 * 1024


@dataclass(frozen=True)
class AugMix:
    r"""The clean samples and `copies` augmented ones.

    $$A(x) = (1-m)\,x + m \sum_{j=1}^{J} w_j\,C_j(x),\qquad
      w \sim \mathrm{Dirichlet}(\alpha, \dots, \alpha),\quad m \sim \mathrm{Beta}(\alpha, \alpha)$$

    with chains $C_j = op_{L_j} \circ \dots \circ op_1$, operations uniform on `OPERATIONS`, levels
    uniform on [0.1, severity], each for each sample. The chains work on bytes, as the released
    code's do on Pillow images; the mixture is taken in floating point and not rounded. The
    released code mixes normalised images, here the model normalises: as the weights
    $(1-m), m w_1, \dots, m w_J$ sum to one, an affine map such as the normalisation commutes with
    the mixture, so that the network sees the same.

    `make` is `draw`, all chance, then `apply`, none.

    Args:
        severity: Highest level, 0.1 to 10.
        width: J, the number of chains.
        depth: L, the length of each chain; -1 draws it for each, uniformly from 1, 2, 3.
        alpha: Of the Dirichlet and the Beta law, > 0.
        copies: Number A of augmented views; V = 1 + A.

    Source: paper eq. 1; AugMix (arXiv 1912.02781).

    >>> x = torch.rand(4, 3, 32, 32, generator=Rng(0).torch())
    >>> views = AugMix().make(x, None, None, Rng(0))
    >>> views.shape, bool((views[0] == x).all())
    (torch.Size([3, 4, 3, 32, 32]), True)
    """

    severity: float = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1
    copies: int = 2

    def __post_init__(self) -> None:
        if not 0.1 <= self.severity <= 10:
            raise ValueError(f"severity must lie in [0.1, 10], got {self.severity}")
        _checks.positive("alpha", self.alpha, "1 is the uniform law")
        if self.width < 1:
            raise ValueError(f"width must be >= 1, got {self.width}")
        if self.copies < 1:
            raise ValueError(f"copies must be >= 1, got {self.copies}; use Plain for clean views")
        if self.depth < 1 and self.depth != -1:
            raise ValueError(
                f"depth must be >= 1, or -1 for a random one of 1 to 3, got {self.depth}"
            )

    @property
    def count(self) -> int:
        """Number of views V."""
        return 1 + self.copies

    def draw(self, batch: int, rng: Rng) -> AugMixPlan:
        """Draw the plan for `batch` samples; the same on every device."""
        draws = rng.numpy()
        views = (self.copies, batch)
        chains = (*views, self.width)
        shape = (*chains, 3 if self.depth == -1 else self.depth)
        operation = draws.integers(len(OPERATIONS), size=shape)
        level: NDArray[np.float64] = draws.uniform(0.1, self.severity, size=shape)
        sign = np.where(draws.integers(2, size=shape) == 1, 1.0, -1.0)
        weights: NDArray[np.float64] = draws.dirichlet([self.alpha] * self.width, size=views)
        mix = draws.beta(self.alpha, self.alpha, size=views)
        if self.depth == -1:
            length = draws.integers(1, 4, size=chains)
            operation = np.where(np.arange(3) < length[..., None], operation, NONE)
        return AugMixPlan(operation, level, sign, weights, mix)

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (1 + copies, B, C, H, W) views; view 0 is x itself.

        Args:
            x: (B, C, H, W) in [0, 1].
            y: Not used.
            model: Not used.
            rng: Stream of the plan.

        Raises:
            ValueError: If x is not a batch of images in [0, 1] (values are checked on a CPU only).
        """
        return self.apply(x, self.draw(len(x), rng))

    def apply(self, x: Tensor, plan: AugMixPlan) -> Tensor:
        """Return the views that a plan makes of x; no chance is left.

        Args:
            x: (B, C, H, W) in [0, 1]. It is rounded to bytes for the chains.
            plan: Of the same batch size.

        Returns:
            (1 + A, B, C, H, W), A the plan's number of augmented views, of the type of x.
        """
        _check_images(x)
        copies = _check_plan(x, plan)
        x = x.detach()
        # Worker threads write into it, which they may not if it is an inference tensor.
        with torch.inference_mode(False):
            views = torch.empty((1 + copies, *x.shape), dtype=x.dtype, device=x.device)
        _in_pieces(x, functools.partial(_fill_views, views, x, plan))
        return views

    def chains(self, x: Tensor, plan: AugMixPlan) -> Tensor:
        """Return the ends of all chains, (A, B, width, C, H, W) uint8; arguments as of `apply`."""
        _check_images(x)
        copies = _check_plan(x, plan)
        x = x.detach()
        with torch.inference_mode(False):
            shape = (copies, len(x), plan.operation.shape[2], *x.shape[1:])
            ends = torch.empty(shape, dtype=torch.uint8, device=x.device)

        def fill(piece: slice) -> None:
            made = run_chains(_bytes(x[piece]), plan, piece)
            ends[:, piece].copy_(made.view_as(ends[:, piece]))

        _in_pieces(x, fill)
        return ends


@dataclass(frozen=True)
class Augmented:
    r"""One augmented view and no clean one: AugMix without its divergence.

    The view is view 1 of `augmix` on the same stream, so that schemes with and without the
    divergence train on the same augmented images.

    Args:
        augmix: How views are augmented.

    Source: AugMix (arXiv 1912.02781) as released, trained without the divergence.

    >>> x, rng = torch.rand(2, 3, 32, 32, generator=Rng(0).torch()), Rng(1)
    >>> torch.equal(Augmented().make(x, None, None, rng)[0], AugMix().make(x, None, None, rng)[1])
    True
    """

    augmix: AugMix = AugMix()

    @property
    def count(self) -> int:
        """Number of views V = 1."""
        return 1

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (1, B, C, H, W): x augmented."""
        plan = self.augmix.draw(len(x), rng)
        return self.augmix.apply(x, plan.view(0))[1:]


def _in_pieces(x: Tensor, work: Callable[[slice], None]) -> None:
    """Call `work` for all samples, some at a time; on a CPU, by all threads."""
    on_cpu = x.device.type == "cpu"
    pixels = max(1, x.shape[2] * x.shape[3])
    size = max(1, (_CPU_PIXELS if on_cpu else _DEVICE_PIXELS) // pixels)
    if on_cpu and len(x) > 1:
        size = min(size, -(-len(x) // thread_count()))
    pieces = [slice(first, first + size) for first in range(0, len(x), size)]
    if on_cpu and len(pieces) > 1:
        run_all(work, pieces)
    else:
        for piece in pieces:
            work(piece)


def _check_plan(x: Tensor, plan: AugMixPlan) -> int:
    copies, batch = plan.operation.shape[:2]
    if batch != len(x):
        raise ValueError(f"the plan is for {batch} samples but x has {len(x)}; draw it anew")
    return copies


def _check_images(x: Tensor) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"x must be images in [0, 1] of shape (B, C, H, W), got {x.dtype} of shape "
            f"{tuple(x.shape)}; bytes are divided by 255 first"
        )
    # Elsewhere the check would wait for the device.
    if x.device.type == "cpu" and x.numel():
        low, high = (float(v) for v in torch.aminmax(x.detach()))
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"x must lie in [0, 1], got {low:.4g} ... {high:.4g}; views are made before the "
                "normalisation, which is the model's first step"
            )


def _on(array: NDArray, x: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(x.device)


def _bytes(x: Tensor) -> Tensor:
    # By way of int16, which is faster than straight to bytes.
    return (x.float() * 255).round_().to(torch.int16).to(torch.uint8)


@torch.no_grad()
def _fill_views(views: Tensor, x: Tensor, plan: AugMixPlan, piece: slice) -> None:
    """Write the views of some samples."""
    copies, _, width, _ = plan.operation.shape
    x = x[piece]
    precise = torch.promote_types(x.dtype, torch.float32)
    clean = x.to(precise)
    chains = run_chains(_bytes(clean), plan, piece)
    chains = chains.view(copies, len(x), width, *x.shape[1:])
    mix = plan.mix[:, piece]
    parts = mix[..., None] * plan.weights[:, piece] / 255
    kept = _on(1 - mix, x).to(precise).view(copies, -1, 1, 1, 1)
    share = _on(parts, x).to(precise).view(copies, -1, width, 1, 1, 1)
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
        images = images.index_select(0, _on(row[chains], x))
        row[chains] = np.arange(len(row))
        images = _one_step(images, values[t], ends[t], where[t])
    return images.index_select(0, _on(row, x))


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
        return _on(numbers.astype(np.uint8), images).view(-1, 1, 1, 1)

    for name, stretch in (("autocontrast", ops.autocontrast), ("equalize", ops.equalize)):
        made.append(stretch(part(name)[0]))
    chosen, bits = part("posterize")
    made.append(chosen & as_bytes(256 - 2.0 ** (8 - bits)))
    chosen, threshold = part("solarize")
    made.append(ops.invert(chosen, as_bytes(threshold)))
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
        return list(_on(np.concatenate(found), x).split([len(f) for f in found]))
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


# -- AugMax ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AugMaxDraw:
    """All random decisions of AugMax for one batch.

    Attributes:
        plan: Two augmented views: the AugMix view, and the chains that the adversary mixes.
        mix: (B,) where the adversary starts, m in [0, 1].
        scores: (B, width), its q; the weights of the chains are their softmax.
    """

    plan: AugMixPlan
    mix: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        copies, batch, width, _ = self.plan.operation.shape
        if copies != 2:
            raise ValueError(f"plan must make 2 augmented views, got {copies}")
        for name, wanted in (("mix", (batch,)), ("scores", (batch, width))):
            found = np.shape(getattr(self, name))
            if found != wanted:
                raise ValueError(f"{name} must have shape {wanted} as the plan has, got {found}")


@dataclass(frozen=True)
class AugMax:
    r"""The clean samples, an AugMix view, and one whose mixture the model finds hard.

    $$\max_{m \in [0,1],\; q \in R^J} \ell\Big(f\big((1-m)\,x + m \sum_j
      \mathrm{softmax}(q)_j\,C_j(x)\big),\; y\Big)$$

    by steps along the sign of the gradient, from m and q uniform in [0, 1). The chains are drawn
    as in `AugMix`, anew for each of the two views. A sample stops `extra_steps` steps after the
    step at which it is first misclassified; its last point counts, also where an earlier one was
    harder, as in the released code.

    The model is in evaluation mode meanwhile and its weights get no gradient. If it has a method
    `adversarial_norm()`, that is entered: a model with dual normalisation layers sends these
    samples through the adversarial half. In training, `routes` sends the last view there.

    Args:
        severity: See `AugMix`; also the next three.
        width: J.
        depth: Of each chain, or -1.
        alpha: Of the AugMix view.
        steps: Of the adversary. Its authors use 10 on CIFAR; their script's default is 5.
        step_size: Of each step in m and q.
        extra_steps: Steps after the first misclassification.

    Source: AugMax (arXiv 2110.13771), a comparison row of the paper's Table 2.
    Differs: the authors do not normalise images; here the model's first step does.
    """

    severity: float = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1
    steps: int = 10
    step_size: float = 0.1
    extra_steps: int = 1

    def __post_init__(self) -> None:
        self.augmix  # noqa: B018 (checks its four fields)
        for name in ("steps", "extra_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        _checks.positive("step_size", self.step_size)

    @property
    def augmix(self) -> AugMix:
        """The law of the chains."""
        return AugMix(self.severity, self.width, self.depth, self.alpha)

    @property
    def count(self) -> int:
        """Number of views V."""
        return 3

    @property
    def routes(self) -> tuple[bool, ...]:
        """For each view, whether it belongs to the adversarial half of dual normalisation."""
        return (False, False, True)

    def draw(self, batch: int, rng: Rng) -> AugMaxDraw:
        """Draw what is random for `batch` samples; the same on every device."""
        start = rng.fold("adversary").numpy()
        plan = self.augmix.draw(batch, rng)
        return AugMaxDraw(plan, start.random(batch), start.random((batch, self.width)))

    def make(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Tensor:
        """Return (3, B, C, H, W) views: clean, AugMix, AugMax.

        Args:
            x: (B, C, H, W) in [0, 1].
            y: (B,) classes.
            model: Images to logits.
            rng: Stream of the draws.

        Raises:
            ValueError: Without labels or model, or if x is not a batch of images in [0, 1].
        """
        return self.apply(x, y, model, self.draw(len(x), rng))

    def apply(self, x: Tensor, y: Tensor | None, model: Model | None, draws: AugMaxDraw) -> Tensor:
        """Return the views for given draws; they depend on the model too."""
        if y is None or model is None:
            missing = "labels y" if y is None else "a model"
            raise ValueError(f"AugMax looks for hard mixtures, so that make needs {missing}")
        if y.shape != (len(x),):
            raise ValueError(f"y must have shape ({len(x)},), one class a sample, got {y.shape}")
        first = self.augmix.apply(x, draws.plan.view(0))
        chains = self.augmix.chains(x, draws.plan.view(1))[0]
        with torch.inference_mode(False), torch.no_grad():
            # What was made in inference mode cannot take part in a gradient.
            clean = x.clone() if x.is_inference() else x.detach()
            clean = clean.to(torch.promote_types(x.dtype, torch.float32))
            found = hardest_mixture(
                model,
                clean,
                chains.to(clean.dtype).div_(255),
                y,
                _on(draws.mix, x).to(clean.dtype),
                _on(draws.scores, x).to(clean.dtype),
                steps=self.steps,
                step_size=self.step_size,
                extra_steps=self.extra_steps,
            )
        return torch.cat((first, found.to(x.dtype).unsqueeze(0)))


def hardest_mixture(
    model: Model,
    x: Tensor,
    chains: Tensor,
    y: Tensor,
    mix: Tensor,
    scores: Tensor,
    *,
    steps: int,
    step_size: float,
    extra_steps: int,
) -> Tensor:
    """Return the mixtures of x and its chains that `AugMax` ends at.

    Args:
        model: Images to logits.
        x: (B, C, H, W).
        chains: (B, J, C, H, W), the images to mix in.
        y: (B,) classes.
        mix: (B,), where m starts.
        scores: (B, J), where q starts.
        steps: Of gradient ascent.
        step_size: See `AugMax`.
        extra_steps: See `AugMax`.

    Returns:
        (B, C, H, W).
    """

    def mixture(rows: Tensor | slice, m: Tensor, q: Tensor) -> Tensor:
        weights = m.unsqueeze(1) * q.softmax(1)
        # Not einsum, which autocast would take in half precision.
        parts = (weights.view(*weights.shape, 1, 1, 1) * chains[rows]).sum(1)
        return (1 - m).view(-1, 1, 1, 1) * x[rows] + parts

    mix, scores = mix.clone(), scores.clone()
    active = torch.arange(len(x), device=x.device)
    left = torch.full_like(active, extra_steps)
    with _frozen(model), torch.enable_grad():
        for _ in range(steps):
            if not len(active):
                break
            m, q = mix[active].requires_grad_(), scores[active].requires_grad_()
            logits = model(mixture(active, m, q))
            loss = functional.cross_entropy(logits.float(), y[active], reduction="sum")
            up_m, up_q = torch.autograd.grad(loss, (m, q))
            left[active] -= (logits.argmax(1) != y[active]).to(left.dtype)
            go = left[active] >= 0
            active = active[go]
            mix[active] = (m.detach() + step_size * up_m.sign()).clamp_(0, 1)[go]
            scores[active] = (q.detach() + step_size * up_q.sign())[go]
    return mixture(slice(None), mix, scores)


@contextlib.contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Put a model into evaluation mode and onto the adversarial route, then back."""
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    before = [module.training for module in modules]
    route = getattr(model, "adversarial_norm", contextlib.nullcontext)
    try:
        for module in modules:
            module.training = False
        with route():
            yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training
