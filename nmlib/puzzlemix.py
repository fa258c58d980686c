r"""PuzzleMix: keep the salient blocks of both images, by a minimum cut, then move patches.

The image is a grid of n x n blocks. Label l = 0 ... L-1 of a block gives the sample the weight
$z = 1 - l/(L-1)$ there, and its partner $1 - z$. The mask minimises

$$E(l) = \sum_i U_i(l_i) + \sum_{(i,j)} w_{ij} \Big(\frac{l_i - l_j}{L-1}\Big)^2,
  \qquad w_{ij} \ge 0,$$

over all labellings. The pairwise term is convex in $l_i - l_j$, so a minimum cut finds the global
minimum (Ishikawa 2003). An optimal assignment then moves each image's salient patches to where the
mask shows that image.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.losses import soft_cross_entropy
from nmlib.mixing import Model, Pair
from nmlib.models.modes import evaluating, logits_of
from nmlib.rng import Rng, checked_rng

__all__ = ["PuzzleMix", "block_energy", "cut_grid", "grid_energy", "saliency", "transport_plan"]

Array = NDArray[np.float64]

# The solver needs 32-bit integers: costs are multiplied by _SCALE, or by less if their sum would
# exceed _LARGEST.
_SCALE = 2.0**22
_LARGEST = 2.0**30
# Images per call: one graph of many disconnected grids is faster than many calls.
_TOGETHER = 16


def saliency(x: Tensor, y: Tensor, model: Model) -> Tensor:
    r"""Return the saliency map: how sensitive the loss is to each pixel.

    $$s_p = \sqrt{\tfrac1C \sum_c \big(\partial\, \ell(f(x), y) / \partial x_{c,p}\big)^2}.$$

    The model runs in evaluation mode; its weights collect no gradient.

    Args:
        x: (B, C, H, W) images in [0, 1].
        y: (B,) classes, or (B, K) distributions over them.
        model: Maps images to logits.

    Returns:
        (B, H, W), >= 0, of the type of x.

    Source: PuzzleMix (arXiv 2009.06962), sec. 4.
    """
    # Autograd needs a fresh leaf, as x may be an inference tensor.
    with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
        leaf = x.detach().clone().requires_grad_()
        logits = logits_of(model(leaf))
        if y.ndim == 1:
            y = _checks.class_labels(y, logits.shape[-1])
        # The training loop reports a diverged network, with step and checkpoint.
        loss = soft_cross_entropy(logits, y, validate=False).sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient.square().mean(1).sqrt()


def _pool(values: Tensor, size: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(values, size) if size > 1 else values


def _enlarged(array: Array, factor: int) -> Array:
    return array.repeat(factor, 1).repeat(factor, 2)


def _share(values: Tensor, blocks: int) -> Array:
    """Return the share of each block in the sum of its image, (B, n, n).

    Blocks have equal shares if the sum is 0 or not finite.
    """
    values = values.to(torch.float64)
    pooled = _pool(values.unsqueeze(1), values.shape[-1] // blocks).squeeze(1)
    total = pooled.sum((1, 2), keepdim=True)
    usable = (total > 0) & total.isfinite()
    share = torch.where(usable, pooled / total.clamp(min=1e-300), 1 / blocks**2)
    return share.numpy()


def _border_differences(a: Tensor, b: Tensor, cells: int) -> Array:
    """Return (B, n-1, n) mean absolute differences between a above and b below block borders."""
    above, below = a[:, :, cells - 1 : -1 : cells], b[:, :, cells::cells]
    difference = (above - below).abs().mean(1)
    return difference.unflatten(-1, (-1, cells)).mean(-1).to(torch.float64).numpy()


def block_energy(
    x: Tensor,
    partner: Tensor,
    share: Array,
    partner_share: Array,
    lam: float,
    *,
    n_labels: int = 3,
    beta: float = 1.2,
    gamma: float = 0.5,
    eta: float = 0.2,
    neigh_size: int = 4,
) -> tuple[Array, Array, Array]:
    r"""Return the costs of `cut_grid` for pairs of images.

    With masks $z_i = 1 - l_i/(L-1)$ and $\beta' = \beta/16n$, up to a constant (exact for masks of
    0 and 1, and interpolated between them):

    $$E = \sum_i \Big[z_i s'_i + (1-z_i) s_i - \frac{\eta}{n^2}\log P(z_i)\Big]
      + \beta' \sum_{(i,j)} \big[(z_i-z_j)^2 + \gamma\, d_{ij}(z_i,z_j)\big],$$

    where s and s' are the saliency shares of the sample and its partner, P is the binomial law of
    $(L-1)z$ with probability $\lambda$, and $d_{ij}$ is the step across the border between two
    blocks, given the images that the masks show on its two sides:
    $z_iz_j d^{xx} + z_i(1-z_j)d^{xx'} + (1-z_i)z_j d^{x'x} + (1-z_i)(1-z_j)d^{x'x'}$.

    Args:
        x: (B, C, H, H) images in [0, 1].
        partner: The partners' images, same shape.
        share: (B, n, n) saliency shares, summing to one.
        partner_share: The same for the partners.
        lam: $\lambda$.
        n_labels: L >= 2.
        beta: Weight of the smoothness of the mask, >= 0.
        gamma: Weight of the smoothness of the image, in [0, 1].
        eta: Weight of the prior, >= 0.
        neigh_size: Side in pixels of the cells that images are averaged over before the steps
            are measured; at most a block.

    Returns:
        (B, n, n, L) costs of the labels, (B, n-1, n) and (B, n, n-1) edge weights >= 0.

    Source: PuzzleMix (arXiv 2009.06962), eq. 4 to 6.
    """
    n = share.shape[-1]
    steps = n_labels - 1
    cell = min(neigh_size, x.shape[-1] // n)
    cells = x.shape[-1] // n // cell
    # The cut runs on the CPU, and so does everything from here on.
    own, other = _pool(x.detach(), cell).cpu(), _pool(partner.detach(), cell).cpu()
    smooth = beta / (16 * n)
    cost_of_own = partner_share.copy()
    weights = []
    for a, b, turn in (
        (own, other, lambda v: v),
        (own.transpose(2, 3), other.transpose(2, 3), lambda v: np.swapaxes(v, 1, 2)),
    ):
        xx, xy = _border_differences(a, a, cells), _border_differences(a, b, cells)
        yx, yy = _border_differences(b, a, cells), _border_differences(b, b, cells)
        # d = c (z_i - z_j)^2 + z_i u_i + z_j u_j + constant, for masks of 0 and 1.
        c = (xy + yx - xx - yy) / 2
        weights.append(turn(smooth * (1 + gamma * c)))
        first, second = (xx + xy - yx - yy) / 2, (xx + yx - xy - yy) / 2
        folded = np.zeros_like(cost_of_own)
        folded[:, :-1] += smooth * gamma * first
        folded[:, 1:] += smooth * gamma * second
        cost_of_own += turn(folded)
    z = 1 - np.arange(n_labels) / steps
    count = np.arange(steps, -1, -1)
    binomial = np.array([math.comb(steps, k) * lam**k * (1 - lam) ** (steps - k) for k in count])
    prior = -eta * np.log(binomial + 1e-8) / n**2
    unary = cost_of_own[..., None] * z + share[..., None] * (1 - z) + prior
    return unary, weights[0], weights[1]


def grid_energy(
    labels: NDArray[np.int64], unary: Array, vertical: Array, horizontal: Array
) -> Array:
    """Return the (B,) energies of (B, h, w) labellings; other arguments as for `cut_grid`."""
    steps = unary.shape[-1] - 1
    own = np.take_along_axis(unary, labels[..., None], -1).sum((1, 2, 3))
    down = vertical * (np.diff(labels, axis=1) / steps) ** 2
    right = horizontal * (np.diff(labels, axis=2) / steps) ** 2
    return own + down.sum((1, 2)) + right.sum((1, 2))


def cut_grid(unary: Array, vertical: Array, horizontal: Array) -> NDArray[np.int64]:
    r"""Return the labellings of minimum energy, by a minimum cut.

    $$E(l) = \sum_i U_i(l_i) + \sum_{(i,j)} w_{ij}\Big(\frac{l_i-l_j}{L-1}\Big)^2.$$

    In the binary variables $x_{it} = [l_i \ge t]$ the energy is quadratic without positive mixed
    terms, so a cut can represent it. Costs are rounded to multiples of 2^-22 (coarser if their sum
    is large): the energy found exceeds the minimum by at most 2^-22 for each cost and edge.

    Args:
        unary: (B, h, w, L) costs of the labels, any sign.
        vertical: (B, h-1, w) weights >= 0 between a block and the one below.
        horizontal: (B, h, w-1) weights >= 0 between a block and the one to its right.

    Returns:
        (B, h, w) labels in 0 ... L-1.

    Raises:
        ValueError: For shapes that do not fit or a negative weight.
        ModuleNotFoundError: Without SciPy.

    Source: Ishikawa 2003 (exact minimum for convex priors); PuzzleMix (arXiv 2009.06962), sec. 4.
    Differs: the released code uses alpha-beta swaps, which can end in a local minimum.

    >>> unary = np.array([[[[0.0, 1.0], [0.6, 0.5]]]])
    >>> cut_grid(unary, np.zeros((1, 0, 2)), np.full((1, 1, 1), 0.2)).tolist()
    [[[0, 0]]]
    """
    batch, height, width, labels = unary.shape
    if labels < 2:
        raise ValueError(f"a cut needs at least 2 labels, got {labels}")
    for name, weight, shape in (
        ("vertical", vertical, (batch, height - 1, width)),
        ("horizontal", horizontal, (batch, height, width - 1)),
    ):
        if weight.shape != shape:
            raise ValueError(f"{name} must have shape {shape} for this unary, got {weight.shape}")
        if weight.size and not weight.min() >= 0:
            raise ValueError(
                f"{name} weights must be >= 0, got {weight.min():.4g}; a cut cannot prefer unequal "
                "neighbours (lower gamma)"
            )
    parts = range(0, batch, _TOGETHER)
    found = [_cut(*(a[i : i + _TOGETHER] for a in (unary, vertical, horizontal))) for i in parts]
    return np.concatenate(found) if found else np.zeros(unary.shape[:3], np.int64)


def _scipy(module: str) -> Any:
    """Import a module of SciPy, which the core does not require."""
    try:
        return importlib.import_module(f"scipy.{module}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"PuzzleMix needs SciPy (scipy.{module}): pip install scipy"
        ) from error


def _cut(unary: Array, vertical: Array, horizontal: Array) -> NDArray[np.int64]:
    sparse, csgraph = _scipy("sparse"), _scipy("sparse.csgraph")
    batch, height, width, labels = unary.shape
    steps = labels - 1
    total = np.abs(np.diff(unary, axis=-1)).sum() + 2 * steps * (vertical.sum() + horizontal.sum())
    if not np.isfinite(total):
        raise ValueError("the costs of a cut must be finite; lower the learning rate")
    scale = min(_SCALE, _LARGEST / max(total, 1e-300))
    down, right = (np.rint(scale * w / steps**2).astype(np.int64) for w in (vertical, horizontal))
    degree = np.zeros((batch, height, width), np.int64)
    degree[:, :-1] += down
    degree[:, 1:] += down
    degree[:, :, :-1] += right
    degree[:, :, 1:] += right
    # (l - m)^2 = #{(t, s): t <= l, s > m, or t > l, s <= m} + l^2 - (L-1) l + m^2 - (L-1) m,
    # with t, s = 1 ... L-1: edges between all layers of neighbours, and the rest on the blocks.
    level = np.arange(labels)
    cost = np.rint(scale * unary).astype(np.int64)
    cost += degree[..., None] * (level * level - steps * level)
    step = np.diff(cost, axis=-1)  # cost of x_t = 1

    node = np.arange(step.size).reshape(step.shape)
    source, sink = step.size, step.size + 1
    dear = step > 0
    edges = [
        (node[dear], np.full(dear.sum(), sink), step[dear]),
        (np.full((~dear).sum(), source), node[~dear], -step[~dear]),
    ]
    # l >= t + 1 implies l >= t: edges too dear to cut.
    uncut = np.abs(step).sum(-1) + 2 * steps * degree + 1
    edges += [(node[..., t + 1], node[..., t], uncut) for t in range(steps - 1)]
    for first, second, weight in (
        (node[:, :-1], node[:, 1:], down),
        (node[:, :, :-1], node[:, :, 1:], right),
    ):
        for t in range(steps):
            for s in range(steps):
                edges.append((first[..., t], second[..., s], weight))
                edges.append((second[..., s], first[..., t], weight))
    rows, columns, capacity = (np.concatenate([e[k].ravel() for e in edges]) for k in range(3))
    shape = (sink + 1, sink + 1)
    graph = sparse.csr_matrix((capacity.astype(np.int32), (rows, columns)), shape=shape)
    residual = graph - csgraph.maximum_flow(graph, source, sink, method="dinic").flow
    residual.eliminate_zeros()
    reached = csgraph.breadth_first_order(residual, source, return_predecessors=False)
    inside = np.zeros(sink + 1, bool)
    inside[reached] = True
    return inside[node].sum(-1)


def transport_plan(share: Array, shown: NDArray[np.bool_], t_eps: float = 0.8) -> NDArray[np.int64]:
    r"""Return the optimal permutation of the patches of each image.

    It minimises $\sum_t \big( t_\epsilon\, |r_{\pi(t)} - r_t|^2/(p-1)^2 - s_{\pi(t)}\,[t\text{ is
    shown}]\big)$ over permutations $\pi$ of the p x p patches at positions r.

    Args:
        share: (B, p, p) saliency shares of the patches.
        shown: (B, p, p), whether the mask shows this image at the patch.
        t_eps: Price of distance, >= 0.

    Returns:
        (B, p * p): entry t is the number, row * p + column, of the patch that moves to t.

    Raises:
        ModuleNotFoundError: Without SciPy.

    Source: PuzzleMix (arXiv 2009.06962), eq. 8.
    Differs: the released code stops after p rounds of conflict resolution, so a patch may appear
        twice or not at all; here the assignment is optimal.

    >>> share = np.array([[[0.7, 0.1], [0.1, 0.1]]])
    >>> transport_plan(share, np.array([[[False, True], [False, False]]]), 0.1).tolist()
    [[1, 0, 2, 3]]
    """
    optimize = _scipy("optimize")
    batch, side = shown.shape[:2]
    place = np.stack(np.divmod(np.arange(side * side), side), -1)
    distance = ((place[:, None] - place[None]) ** 2).sum(-1) / max(side - 1, 1) ** 2
    plans = np.tile(np.arange(side * side), (batch, 1))
    for plan, s, seen in zip(
        plans, share.reshape(batch, -1), shown.reshape(batch, -1), strict=True
    ):
        # All or nothing shown: every permutation shows the same saliency, so nothing moves.
        if seen.any() and not seen.all():
            patch, to = optimize.linear_sum_assignment(t_eps * distance - s[:, None] * seen[None])
            plan[to] = patch
    return plans


def _pixel_sources(plans: NDArray[np.int64], patches: int, size: int) -> NDArray[np.int64]:
    """Turn plans for patches x patches patches into (B, H, H) flat pixel indices."""
    edge = size // patches
    row, column = np.divmod(np.arange(size * size), size)
    patch = (row // edge) * patches + column // edge
    offset = (row % edge) * size + column % edge
    corner = np.divmod(np.arange(patches**2), patches)
    corner_index = corner[0] * edge * size + corner[1] * edge
    return (corner_index[plans[:, patch]] + offset).reshape(-1, size, size)


@dataclass(frozen=True)
class PuzzleMix:
    r"""PuzzleMix: masks that keep the salient blocks of both images, and transported patches.

    A batch has one $\lambda \sim Beta(\alpha, \alpha)$, one permutation and one number n of blocks
    per side; each pair has its own mask and transport. The label weight is the mean of the mask.
    The defaults, and the names of the arguments, are those of the authors' CIFAR runs.

    Args:
        alpha: Beta parameter, > 0.
        n_labels: Number L of mask values 0, 1/(L-1), ..., 1; at least 2.
        beta: Weight of the smoothness of the mask, >= 0.
        gamma: Weight of the smoothness of the mixed image, in [0, 1].
        eta: Weight of the binomial prior on the mask values, >= 0.
        neigh_size: Side in pixels of the cells over which the image is averaged before its
            smoothness is measured.
        blocks: Numbers of blocks per side, of which each batch draws one that divides the image's
            side.
        transport: Whether patches move.
        t_size: Side of the patches in pixels. If it does not divide the block, a patch is a block.
        t_eps: Price of moving, >= 0.
        prob: Probability that a batch is mixed at all.

    Source: arXiv 2009.06962; the paper's comparison row.
    Differs: minima are exact where the released code's are local (`cut_grid`, `transport_plan`);
        it trains with a binary cross-entropy averaged over the classes, we with the cross-entropy,
        as for all schemes; it pads crops by 2 pixels, we by 4, as for all schemes.

    >>> from nmlib.models import build_model
    >>> x = torch.rand(4, 3, 32, 32, generator=Rng(0).torch())
    >>> model = build_model("preact_resnet_small")
    >>> pair = PuzzleMix().draw(x, torch.arange(4), model, Rng(0))
    >>> pair.weight.shape, pair.lam.shape, pair.source.shape
    (torch.Size([4, 1, 32, 32]), torch.Size([4]), torch.Size([4, 32, 32]))
    """

    alpha: float = 1.0
    n_labels: int = 3
    beta: float = 1.2
    gamma: float = 0.5
    eta: float = 0.2
    neigh_size: int = 4
    blocks: tuple[int, ...] = (2, 4, 8, 16)
    transport: bool = True
    t_size: int = 4
    t_eps: float = 0.8
    prob: float = 1.0
    spatial = True

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.positive, "alpha", remedy="for no mixing use mix=None")
        _checks.keep(self, _checks.non_negative, "beta", "eta", "t_eps")
        _checks.keep(self, _checks.number, "gamma", "prob", low=0, high=1)
        _checks.keep(self, _checks.integer, "n_labels", least=2)
        _checks.keep(self, _checks.integer, "neigh_size", "t_size", least=1)
        _checks.keep(self, _checks.integers, "blocks", least=2)
        _checks.keep(self, _checks.truth, "transport")

    def draw(self, x: Tensor, y: Tensor | None, model: Model | None, rng: Rng) -> Pair:
        """Draw the pairing of a batch, its masks and its transports.

        Args:
            x: (B, C, H, H) images in [0, 1].
            y: (B,) classes, or (B, K) distributions over them.
            model: Maps images to logits; the gradient of its loss gives the saliency.
            rng: The stream.

        Raises:
            ValueError: Without labels or model, for images that are not square or not in [0, 1],
                or if no number of blocks divides their side.
        """
        x, rng = _checks.image_axes("x", x), checked_rng(rng)
        size = x.shape[-1]
        if size != x.shape[-2]:
            raise ValueError(
                f"PuzzleMix needs square images (B, C, H, H), got shape {tuple(x.shape)}"
            )
        if y is None or model is None:
            missing = "labels" if y is None else "a model"
            raise ValueError(f"PuzzleMix needs {missing} for its saliency; pass both y and model")
        y = _checks.labels_of_samples(y, x)
        _checks.unit_range("x", x)
        choose = rng.fold("blocks").numpy()
        if choose.random() >= self.prob or not len(x):
            return Pair.identity(len(x), x.device)
        fitting = self._fitting_blocks(size)
        n = int(choose.choice(fitting))
        lam = float(rng.fold("lam").numpy().beta(self.alpha, self.alpha))
        order = rng.fold("partner").numpy().permutation(len(x))
        partner = to_device(order, x.device)
        salient = saliency(x, y, model).cpu()
        share = _share(salient, n)
        costs = block_energy(
            x, x[partner], share, share[order], lam, n_labels=self.n_labels, beta=self.beta,
            gamma=self.gamma, eta=self.eta, neigh_size=self.neigh_size,
        )  # fmt: skip
        mask = 1 - cut_grid(*costs) / (self.n_labels - 1)
        moves = self._moves(salient, order, mask, size) if self.transport else ()
        kind = torch.promote_types(x.dtype, torch.float32)
        return Pair(
            partner,
            to_device(_enlarged(mask, size // n)[:, None], x.device).to(kind),
            to_device(mask.mean((1, 2)), x.device).to(kind),
            *(to_device(move, x.device) for move in moves),
        )

    def _fitting_blocks(self, size: int) -> list[int]:
        """Return the numbers of blocks per side that fit images of `size` pixels."""
        dividing = [n for n in self.blocks if size % n == 0]
        if not dividing:
            raise ValueError(
                f"none of blocks={self.blocks} divides the side of the images, {size} pixels; use "
                "divisors"
            )
        fitting = [n for n in dividing if not (size // n) % min(self.neigh_size, size // n)]
        if not fitting:
            edges = [size // n for n in dividing]
            raise ValueError(
                f"neigh_size={self.neigh_size} divides none of the blocks of "
                f"{', '.join(map(str, edges))} pixels; use neigh_size={math.gcd(*edges)}"
            )
        return fitting

    def _moves(
        self, salient: Tensor, order: NDArray[np.int64], mask: Array, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the sources of the sample's and of the partner's pixels, (B, H, H) each."""
        block = size // mask.shape[-1]
        edge = self.t_size if block % self.t_size == 0 else block
        patches = size // edge
        share, finer = _share(salient, patches), _enlarged(mask, block // edge)
        own = transport_plan(share, finer > 0, self.t_eps)
        other = transport_plan(share[order], finer < 1, self.t_eps)
        return _pixel_sources(own, patches, size), _pixel_sources(other, patches, size)
