r"""The two expected losses of the paper, by enumeration and Gauss quadrature, not Monte Carlo.

All pairs of samples are enumerated. The mixing weight has a Gauss rule for its Beta mixture, the
noise has tensor Gauss rules. Their orders rise until the value converges: for smooth networks it
is correct to about 1e-12, in float64.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmlib import _checks
from nmlib.losses import Weights, jensen_shannon_divergence, soft_cross_entropy
from nmlib.mixing import Pair, mix
from nmlib.noise import NoiseDraw, inject
from nmlib.theory.inputs import (
    AccuracyWarning,
    Data,
    Levels,
    Network,
    as_data,
    as_labels,
    as_levels,
    as_network,
    check_eps,
)
from nmlib.theory.quadrature import beta_rule, gauss_rule, partner_share_rule, unit_noise_rule

__all__ = ["NOISE_LAWS", "nfm_loss_exact", "stability_loss_exact"]

NOISE_LAWS = ("gaussian", "uniform", "released")
"""Laws of the noise entries: two of unit variance, and that of the authors' code."""

ORDERS = (3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 24, 30)
JOINT = 10  # nodes for the law of one class probability at fixed order
MAX_NODES = 40_000  # noise nodes of one view at one mixed point
MAX_ROWS = 2_000_000_000  # network evaluations in total
CHUNK = 150_000  # network evaluations at once, limited by the cache


@dataclass(frozen=True)
class _Law:
    """The law of the noise."""

    name: str
    sparsity: float
    plain: bool = False  # keep the tensor product of both noises instead of reducing their sum

    def nodes(self, order: int, dimension: int, *, shared: bool = False) -> int:
        """Return the number of tensor nodes at one mixed point."""
        both = shared or (self.plain and self.name != "gaussian")
        count = order ** (dimension * 2 if both else dimension)
        return count * order**2 if self.name == "released" else count

    def cloud(self, z: Tensor, add: float, mult: float, order: int) -> tuple[Tensor, Tensor]:
        """Return noise fields (R, N, d) at the points z (R, d), and weights (R or 1, N).

        The levels `add` and `mult` include eps.
        """
        dimension = z.shape[-1]
        if add == 0 and mult == 0:
            return torch.zeros_like(z).unsqueeze(1), z.new_ones(1, 1)
        if self.name == "gaussian":
            # The sum of two independent Gaussians is Gaussian: half the dimensions.
            level = (add**2 + (mult * z) ** 2).sqrt()
            nodes, weights = _tensor_rule(*_tensors(unit_noise_rule("gaussian", order), z))
            nodes, weights = _grid(nodes, weights, dimension)
            return level.unsqueeze(1) * nodes, weights.unsqueeze(0)
        if self.name == "uniform":
            x, w = _tensors(unit_noise_rule("uniform", order), z)
            sums, weights = _sums(mult * z.unsqueeze(-1) * x, add * x.expand(*z.shape, -1), w, w)
            return self._coordinates(sums, weights, order)
        return self._released_cloud(z, add, mult, order)

    def _coordinates(self, sums: Tensor, weights: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """Return the tensor product of the laws (R, d, Q), (Q,) of the coordinates' noise."""
        if self.plain:
            return _product(sums, weights.expand_as(sums))
        return _product(*gauss_rule(sums, weights, order))

    def _released_cloud(
        self, z: Tensor, add: float, mult: float, order: int
    ) -> tuple[Tensor, Tensor]:
        # For given random scales of a view, the entries are independent.
        scale, scale_weight = (torch.from_numpy(a).to(z) for a in beta_rule(2.0, 5.0, order))
        normal, uniform = (_tensors(unit_noise_rule(n, order), z) for n in ("gaussian", "uniform"))
        keep, drop = 1 - self.sparsity, z.new_tensor([self.sparsity])
        zero = z.new_zeros(1)
        g, gw = torch.cat([normal[0], zero]), torch.cat([keep * normal[1], drop])
        u, uw = torch.cat([uniform[0] / 3**0.5, zero]), torch.cat([keep * uniform[1], drop])
        fields, weights = [], []
        for (ca, wa), (cm, wm) in itertools.product(
            zip(scale, scale_weight, strict=True), repeat=2
        ):
            scaled = mult * cm * z.unsqueeze(-1) * u
            sums, w = _sums(scaled, (add * ca * g).expand(*z.shape, -1), uw, gw)
            field, w = self._coordinates(sums, w, order)
            fields.append(field)
            weights.append(wa * wm * w)
        return torch.cat(fields, 1), torch.cat(weights, 1)


def _tensors(rule: tuple[tuple[float, ...], tuple[float, ...]], like: Tensor) -> tuple[Tensor, ...]:
    return tuple(like.new_tensor(part) for part in rule)


def _tensor_rule(x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    # Averaging a symmetric rule with its mirror image makes its odd moments exactly 0.
    return (x - x.flip(0)) / 2, (w + w.flip(0)) / 2


def _grid(x: Tensor, w: Tensor, dimension: int) -> tuple[Tensor, Tensor]:
    """Return the tensor product of one rule: nodes (N, dimension), weights (N,)."""
    nodes = torch.stack(torch.meshgrid(*[x] * dimension, indexing="ij"), -1)
    weights = torch.stack(torch.meshgrid(*[w] * dimension, indexing="ij"), -1)
    return nodes.reshape(-1, dimension), weights.reshape(-1, dimension).prod(-1)


def _sums(a: Tensor, b: Tensor, wa: Tensor, wb: Tensor) -> tuple[Tensor, Tensor]:
    """Return the law of a + b, independent: values (..., A * B), weights (A * B,)."""
    values = (a.unsqueeze(-1) + b.unsqueeze(-2)).flatten(-2)
    return values, (wa.unsqueeze(-1) * wb).flatten()


def _product(nodes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the tensor product of d rules (R, d, q): nodes (R, q^d, d), weights (R, q^d)."""
    dimension, order = nodes.shape[1:]
    index = torch.cartesian_prod(*[torch.arange(order, device=nodes.device)] * dimension)
    index = index.reshape(-1, dimension)
    axis = torch.arange(dimension, device=nodes.device)
    return nodes[:, axis, index], weights[:, axis, index].prod(-1)


def _mixed(x: Tensor, eps: float, share: Tensor) -> Tensor:
    """Return x_i + eps (1 - lam) (x_r - x_i) for all T shares 1 - lam, partners r and samples i.

    The result has shape (T n n, d); i is the fastest index.
    """
    n, count = x.shape[0], len(share)
    tiled = x.repeat(count * n, 1)
    partner = torch.arange(n, device=x.device).repeat_interleave(n).repeat(count)
    weight = (1 - eps * share).repeat_interleave(n * n).unsqueeze(-1)
    return mix(tiled, Pair(partner, weight, 1.0))


def _spread(weight: Tensor, z: Tensor) -> Tensor:
    """Return the weight of each row of z: that of its share, divided among all pairs."""
    each = z.shape[0] // len(weight)
    return weight.repeat_interleave(each) / each


def _settled(value_at: Callable[[int], float], orders: tuple[int, ...], what: str) -> float:
    """Raise the order until the value converges; warn if it does not."""
    values = [value_at(order) for order in orders[:2]]
    for order in orders[2:]:
        values.append(value_at(order))
        changes = [abs(after - before) for before, after in itertools.pairwise(values[-4:])]
        # Convergence is geometric, so the next change shrinks by about the same ratio. Use the
        # worse of two ratios: a single small change may be accidental.
        ratios = [b / a if a > 0 else 1.0 for a, b in itertools.pairwise(changes)]
        ratio = min(1.0, max(*ratios, 0.03))
        if changes[-1] * ratio <= 3e-11 * abs(values[-1]) + 1e-16:
            return values[-1]
    # Before convergence the values oscillate: the last change may be small by accident.
    left = max(abs(values[-1] - value) for value in values[-4:-1])
    if left > 1e-10 * abs(values[-1]) + 1e-13:
        warnings.warn(
            f"{what} settled to {left:.2g} only, not to 1e-10: f is rough on the scale of the "
            "noise (it has kinks or is steep). Use a smaller eps or noise level, or "
            "nfm_loss_monte_carlo / stability_loss_monte_carlo, which give a standard error",
            AccuracyWarning,
            stacklevel=3,
        )
    return values[-1]


def _orders(law: _Law, dimension: int, rows: int, *, shared: bool = False) -> tuple[int, ...]:
    """Return the affordable orders."""
    nodes = {q: law.nodes(q, dimension, shared=shared) for q in ORDERS}
    allowed = tuple(q for q in ORDERS if nodes[q] <= MAX_NODES and rows * q * nodes[q] <= MAX_ROWS)
    if len(allowed) < 3:
        raise ValueError(
            f"{dimension} input dimensions and {rows} points are too many for tensor quadrature "
            f"(order 5 needs {nodes[5]:.3g} noise nodes per point); use nfm_loss_monte_carlo or "
            "stability_loss_monte_carlo, the expansions with probes=, or fewer samples"
        )
    return allowed


def _law(law: str, sparsity: float, *, shared: bool = False, plain: bool = False) -> _Law:
    _checks.choice("noise law", law, NOISE_LAWS)
    sparsity = _checks.number("sparsity", sparsity, 0, 1, ends="[)")
    if sparsity and law != "released":
        raise ValueError(
            f"sparsity={sparsity} belongs to law='released'; for law={law!r} multiply the levels "
            "by sqrt(1 - sparsity)"
        )
    if shared and law == "released":
        raise ValueError(
            "the released law draws the noise of each view independently; use shared_noise=False "
            "or law='gaussian'"
        )
    return _Law(law, float(sparsity), plain)


def _two_orders(order: Sequence[int]) -> tuple[int, int]:
    found = _checks.integers("order", order, 1)
    if len(found) != 2:
        raise ValueError(f"order must be two numbers of nodes, (q, m), got {found}")
    return found[0], found[1]


def nfm_loss_exact(
    f: Network,
    X: Data,
    y: Data,
    *,
    eps: float = 1.0,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: float,
    sigma_mult: float,
    law: str = "gaussian",
    sparsity: float = 0.0,
    order: tuple[int, int] | None = None,
) -> float:
    r"""Return the expected NFM loss over pairs, mixing weight and noise, all scaled by eps.

    $$L^{NFM}_n(\epsilon) = \frac1n\sum_i E_{\lambda\sim\tilde{\mathcal D}_\lambda} E_{x_r} E_\xi\,
      \ell\big(f(x_i + \delta_i^\epsilon), y_i\big),$$
    $$\delta_i^\epsilon = \epsilon(1-\lambda)(x_r-x_i)
      + \epsilon\sigma_{mult}\,\xi^{mult}\odot\big(x_i+\epsilon(1-\lambda)(x_r-x_i)\big)
      + \epsilon\sigma_{add}\,\xi^{add}.$$

    At eps = 1 this is the training loss, mixed labels included (Lemma 1). It is computed with
    `nmlib.soft_cross_entropy`, `nmlib.mix` and `nmlib.inject`.

    Args:
        f: Map from (B, ...) to a scalar logit (B,), the binary form, or to (B, K) logits. It must
            treat samples independently. A module is copied, cast to float64 and put into
            evaluation mode.
        X: (n, ...) samples of low dimension (2 or 3; up to 6 with few nodes).
        y: (n,) classes, 0 or 1 in the binary form, or (n, K) distributions.
        eps: $\epsilon \in [0, 1]$.
        alpha: First Beta parameter, > 0; None for no mixing ($\lambda = 1$).
        beta: Second Beta parameter; default `alpha`.
        sigma_add: Additive noise level, in units of X.
        sigma_mult: Multiplicative noise level, relative.
        law: "gaussian", "uniform" (both of unit variance) or "released" (the authors' code, where
            the levels are nominal).
        sparsity: Probability that a noise entry is set to 0 ("released" only).
        order: (q, m): q nodes for each noise entry and m for each of the two Beta laws, without
            further reduction, to compare with other programs. Default: raise the orders until the
            value converges.

    Returns:
        The expected loss in nats.

    Raises:
        ValueError: For too high a dimension, eps outside [0, 1], labels out of range.

    Warns:
        AccuracyWarning: If the quadrature does not converge (networks with kinks).

    Source: paper eqs. 5 to 8 (Lemma 1) and the rescaling before eq. 9.

    >>> X, y = [[1.0, 0.5], [-0.3, -1.0]], [1, 0]
    >>> f = lambda x: x.sum(-1)
    >>> clean = nfm_loss_exact(f, X, y, eps=0.0, alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
    >>> clean < nfm_loss_exact(f, X, y, eps=1.0, alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
    True
    """
    data = as_data("X", X)
    shape = data.shape[1:]
    network, classes, scalar = as_network(f, data)
    target = as_labels(y, data.shape[0], classes, scalar, data)
    eps = check_eps(eps)
    add, mult = (
        as_levels(*pair, 1)[0] * eps
        for pair in (("sigma_add", sigma_add), ("sigma_mult", sigma_mult))
    )
    order = None if order is None else _two_orders(order)
    noise = _law(law, sparsity, plain=order is not None)
    points = data.flatten(1)
    n, dimension = points.shape
    pairs = alpha is not None and eps > 0
    partner_share_rule(alpha, beta, 1)  # checks alpha and beta
    if not pairs and add == mult == 0:
        return float(soft_cross_entropy(network(data), target).mean())

    def value(q: int, m: int | None = None) -> float:
        rule = partner_share_rule(alpha if pairs else None, beta, m or q, merged=m is None)
        share, share_weight = _tensors(rule, points)
        z = _mixed(points, eps, share) if pairs else points
        labels = target.repeat(z.shape[0] // n, 1)
        z_weight = _spread(share_weight, z)
        total = 0.0
        for rows in _chunks(z.shape[0], noise.nodes(q, dimension)):
            field, weight = noise.cloud(z[rows], add, mult, q)
            noisy = inject(z[rows].unsqueeze(1).expand_as(field), NoiseDraw(additive=field))
            logits = network(noisy.reshape(-1, *shape)).reshape(*field.shape[:2], -1)
            goal = labels[rows].unsqueeze(1).expand_as(logits)
            loss = soft_cross_entropy(logits, goal, validate=False)
            total += float(z_weight[rows] @ (loss * weight).sum(-1))
        return total

    with torch.no_grad():
        if order is not None:
            return value(*order)
        orders = _orders(noise, dimension, n * (n if pairs else 1))
        return _settled(value, orders, "nfm_loss_exact")


def stability_loss_exact(
    f: Network,
    views: Data,
    *,
    eps: float = 1.0,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: Levels,
    sigma_mult: Levels,
    weights: Weights = None,
    shared_noise: bool = False,
    law: str = "gaussian",
    sparsity: float = 0.0,
    order: tuple[int, int] | None = None,
) -> float:
    r"""Return the expected stability loss over pairs, mixing weight and noise, all scaled by eps.

    $$L^{stab}_n(\epsilon) = \frac1n\sum_i E_{\lambda\sim\tilde{\mathcal D}_\lambda} E_r E_\xi\,
      JSD_\pi\big(p(x^{(1)}_i+\delta^{(1)}_i), \dots, p(x^{(V)}_i+\delta^{(V)}_i)\big)$$

    with the perturbations of `nfm_loss_exact`; all views share $\lambda$ and the partner's index.
    It is computed with `nmlib.jensen_shannon_divergence`.

    Naively, the joint law of V views with independent noise needs $N^V$ nodes. But the divergence
    is a sum over classes of functions of the V numbers $p_k^{(v)}$, and it can be computed two
    views at a time: $JSD(P_1, P_2, P_3) = (\pi_1+\pi_2)\,JSD(P_1, P_2) + JSD(\bar P_{12}, P_3)$.
    So each view's N nodes are first reduced to the Gauss rule of the law of $p_k^{(v)}$.

    Args:
        f: As for `nfm_loss_exact`; a scalar logit means two classes.
        views: (V, n, ...) views of the samples, V >= 2.
        sigma_add: Additive level, one number or one for each view.
        sigma_mult: Multiplicative level, one number or one for each view.
        weights: $\pi$: V numbers >= 0 with sum 1; default 1/V each.
        shared_noise: Use one $\xi$ for all views; by default their noise is independent, as in
            the released code.
        eps, alpha, beta, law, sparsity, order: As for `nfm_loss_exact`.

    Returns:
        The expected divergence in nats.

    Raises:
        ValueError: For too high a dimension, eps outside [0, 1], weights that do not sum to 1.

    Source: paper eqs. 20 to 25 (Lemma 2).
    Differs: the paper's formula has one noise symbol for both views, the released code draws
        independent noise; `shared_noise` selects either.

    >>> views = [[[1.0, 0.5], [-0.3, -1.0]], [[0.8, 0.6], [-0.2, -1.1]]]
    >>> loss = stability_loss_exact(lambda x: x.sum(-1), views, alpha=1.0, sigma_add=0.4,
    ...                             sigma_mult=0.2)
    >>> 0 < loss < 0.69
    True
    """
    data = as_data("views", views)
    data, pi, levels = check_views(data, weights, sigma_add, sigma_mult)
    eps = check_eps(eps)
    shape = data.shape[2:]
    network, *_ = as_network(f, data[0])
    shared_noise = _checks.truth("shared_noise", shared_noise)
    order = None if order is None else _two_orders(order)
    noise = _law(law, sparsity, shared=shared_noise, plain=order is not None)
    points = data.flatten(2)
    count, n, dimension = points.shape
    add, mult = ([level * eps for level in part] for part in levels)
    pairs = alpha is not None and eps > 0
    partner_share_rule(alpha, beta, 1)
    quiet = max(add) == max(mult) == 0

    def probabilities(x: Tensor) -> Tensor:
        return network(x.reshape(-1, *shape)).softmax(-1).reshape(*x.shape[:-1], -1)

    def divergence_shared(z: Tensor, q: int) -> Tensor:
        fields, weight = _shared_fields(z, add, mult, q, noise)
        noisy = inject(z.unsqueeze(2).expand_as(fields), NoiseDraw(additive=fields))
        return jensen_shannon_divergence(probabilities(noisy), pi, validate=False) @ weight

    def divergence_independent(z: Tensor, q: int) -> Tensor:
        # At fixed order the joint rule must not add an error.
        joint = JOINT if noise.plain else q
        laws = []
        for v in range(count):
            field, weight = noise.cloud(z[v], add[v], mult[v], q)
            noisy = inject(z[v].unsqueeze(1).expand_as(field), NoiseDraw(additive=field))
            p = probabilities(noisy).transpose(-1, -2)  # (R, K, N)
            weight = weight.unsqueeze(1)
            few = p.shape[-1] <= joint
            laws.append((p, weight.expand_as(p)) if few else _class_laws(p, weight, joint))
        return _grouped_divergence(laws, pi, joint)

    def value(q: int, m: int | None = None) -> float:
        rule = partner_share_rule(alpha if pairs else None, beta, m or q, merged=m is None)
        share, share_weight = _tensors(rule, points)
        z = torch.stack([_mixed(x, eps, share) for x in points]) if pairs else points
        z_weight = _spread(share_weight, z[0])
        if quiet:
            return float(z_weight @ jensen_shannon_divergence(probabilities(z), pi))
        divergence = divergence_shared if shared_noise else divergence_independent
        nodes = noise.nodes(q, dimension, shared=shared_noise) * count
        chunks = _chunks(z.shape[1], nodes)
        return sum(float(z_weight[rows] @ divergence(z[:, rows], q)) for rows in chunks)

    rows = n * (n if pairs else 1) * count
    with torch.no_grad():
        if order is not None:
            return value(*order)
        orders = _orders(noise, dimension, rows, shared=shared_noise)
        return _settled(value, orders, "stability_loss_exact")


def _shared_fields(
    z: Tensor, add: list[float], mult: list[float], q: int, noise: _Law
) -> tuple[Tensor, Tensor]:
    """Return fields (V, R, N, d) of a noise shared by all views at z (V, R, d), weights (N,)."""
    dimension = z.shape[-1]
    from_add = z.new_tensor(add).reshape(-1, 1, 1).expand_as(z)
    from_mult = z.new_tensor(mult).reshape(-1, 1, 1) * z
    x, w = _tensor_rule(*_tensors(unit_noise_rule(noise.name, q), z))
    x2, w2 = x, w
    if noise.name == "gaussian" and not noise.plain:
        # Rotate the two noises of a coordinate, which preserves their Gaussian law, so that the
        # first moves the views most. The second is much weaker and needs half the nodes.
        cross = 2 * (from_add * from_mult).sum(0)
        angle = 0.5 * torch.atan2(cross, (from_add**2 - from_mult**2).sum(0))
        c, s = angle.cos(), angle.sin()
        from_add, from_mult = c * from_add + s * from_mult, c * from_mult - s * from_add
        x2, w2 = _tensor_rule(*_tensors(unit_noise_rule(noise.name, (q + 1) // 2), z))
    first, w1 = _grid(x, w, dimension)
    second, w2 = _grid(x2, w2, dimension)
    main = from_add.unsqueeze(2) * first
    minor = from_mult.unsqueeze(2) * second
    fields = (main.unsqueeze(3) + minor.unsqueeze(2)).flatten(2, 3)
    return fields, (w1.unsqueeze(1) * w2).flatten()


def _class_laws(p: Tensor, weight: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Return the Gauss rules of the laws of p_k: (R, K, N) to (R, K, nodes)."""
    if p.shape[1] > 2:
        return gauss_rule(p, weight, nodes)
    x, w = gauss_rule(p[:, 1:], weight, nodes)
    return torch.cat([1 - x, x], 1), torch.cat([w, w], 1)


def _grouped_divergence(laws: list[tuple[Tensor, Tensor]], pi: list[float], q: int) -> Tensor:
    r"""Return the expected divergence of independent views, from laws of $p_k^{(v)}$ (R, K, q)."""
    mean, mean_weight = laws[0]
    mass = pi[0]
    parts: list[Tensor] = []
    for v, (nodes, weight) in enumerate(laws[1:], 1):
        share = pi[v]
        both = mass + share
        joint = torch.broadcast_tensors(mean.unsqueeze(-1), nodes.unsqueeze(-2))
        joint_weight = mean_weight.unsqueeze(-1) * weight.unsqueeze(-2)
        pair = (mass / both, share / both)
        # A last axis of length 1: the divergence then returns the summand of each class.
        term = jensen_shannon_divergence(torch.stack(joint).unsqueeze(-1), pair, validate=False)
        parts.append(both * (term * joint_weight).sum((-1, -2)).sum(-1))
        if v < len(laws) - 1:
            mixture = (pair[0] * joint[0] + pair[1] * joint[1]).flatten(-2)
            mean, mean_weight = gauss_rule(mixture, joint_weight.flatten(-2), q)
        mass = both
    return torch.stack(parts).sum(0)


def check_views(
    data: Tensor, weights: Weights, sigma_add: Levels, sigma_mult: Levels
) -> tuple[Tensor, list[float], tuple[tuple[float, ...], tuple[float, ...]]]:
    """Check views, weights and levels; drop views of weight 0, which the loss ignores."""
    if data.ndim < 3 or data.shape[0] < 2:
        raise ValueError(
            f"views must have shape (V, n, ...) with V >= 2, got {tuple(data.shape)}; stack the "
            "clean samples and their views along the first axis"
        )
    count = data.shape[0]
    pi = [1.0 / count] * count if weights is None else list(_checks.numbers("weights", weights))
    # The divergence checks length, sign and sum.
    jensen_shannon_divergence(torch.full((count, 2), 0.5, dtype=torch.float64), pi)
    levels = (as_levels("sigma_add", sigma_add, count), as_levels("sigma_mult", sigma_mult, count))
    keep = [v for v in range(count) if pi[v] > 0]
    kept = (tuple(levels[0][v] for v in keep), tuple(levels[1][v] for v in keep))
    return data[keep], [pi[v] for v in keep], kept


def _chunks(rows: int, nodes: int) -> list[slice]:
    step = max(1, CHUNK // nodes)
    return [slice(i, min(i + step, rows)) for i in range(0, rows, step)]
