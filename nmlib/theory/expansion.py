r"""The second-order expansions of Theorems 1 and 2, term by term, by directional derivatives.

No Hessian is formed. Along a direction u the logits z = f(x) have the derivatives
$a = \frac{d}{dt} f(x+tu)$ and $b = \frac{d^2}{dt^2} f(x+tu)$ at t = 0 (jvp, and jvp of jvp). A loss
g(z) then has $D_1 = g'a$ and $D_2 = g''[a,a] + g'b$. The first part of $D_2$ gives the terms R2
(in Theorem 2: diagonal and cross terms), the second part the terms R3 (gradient terms).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import linear_regression
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp

from nmlib import _checks
from nmlib._devices import to_device
from nmlib.losses import Weights, jensen_shannon_divergence, soft_cross_entropy
from nmlib.rng import Rng, checked_rng
from nmlib.theory.exact import check_views
from nmlib.theory.inputs import (
    Data,
    Levels,
    Network,
    as_data,
    as_labels,
    as_levels,
    as_network,
    check_eps,
    warn_if_nonsmooth,
)
from nmlib.theory.quadrature import mixing_moments

__all__ = [
    "Expansion",
    "Term",
    "divergence_expansion",
    "nfm_expansion",
    "slope",
    "stability_expansion",
]

MAX_COORDINATES = 128  # more input dimensions need probes
MAX_PARTNERS = 4096  # more samples need `partners`
CHUNK = 1 << 22  # input numbers differentiated at once


class Term(float):
    r"""One term of an expansion: the coefficient of $\epsilon^{order}$, noise levels included.

    Attributes:
        order: Power of $\epsilon$, 1 or 2.
        raw: The value without the factor $\sigma^2$, as in the theorem's equations (NaN if the
            views have different levels and so no common factor).
        standard_error: Of an estimate by probes or sampled partners; 0 if exact.
    """

    order: int
    raw: float
    standard_error: float

    def __new__(
        cls, value: float, order: int, raw: float | None = None, standard_error: float = 0.0
    ) -> Term:
        """Make a float with these attributes."""
        self = super().__new__(cls, value)
        self.order = order
        self.raw = float(value if raw is None else raw)
        self.standard_error = standard_error
        return self

    def __repr__(self) -> str:
        error = f" +- {self.standard_error:.1g}" if self.standard_error else ""
        return f"Term({float(self):.4g}{error}, order {self.order})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.order, self.raw, self.standard_error


@dataclass(frozen=True)
class Expansion:
    r"""A loss as a polynomial in $\epsilon$: a base, and named terms of order 1 and 2.

    A term is `expansion.R1`, `expansion["R1"]` or `expansion.terms["R1"]`.

    Attributes:
        base: The value at $\epsilon = 0$.
        terms: `Term` for each name.

    >>> e = Expansion(1.0, {"R1": Term(-0.5, 1), "R2": Term(2.0, 2)})
    >>> e.at(0.1), e.without("R2").at(0.1), e.R2.order
    (0.97, 0.95, 2)
    """

    base: float
    terms: Mapping[str, Term] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", MappingProxyType(dict(self.terms)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Expansion, (self.base, dict(self.terms))

    def __getitem__(self, name: str) -> Term:
        if name not in self.terms:
            raise KeyError(f"no term {name!r}; there are {', '.join(self.terms)}")
        return self.terms[name]

    def __getattr__(self, name: str) -> Term:
        terms = self.__dict__.get("terms", {})
        if name in terms:
            return terms[name]
        raise AttributeError(f"no term {name!r}; there are {', '.join(terms)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def coefficient(self, order: int) -> float:
        r"""Return the sum of the terms of one order, the coefficient of $\epsilon^{order}$."""
        order = _checks.integer("order", order, 0)
        return math.fsum(term for term in self.terms.values() if term.order == order)

    def at(self, eps: float) -> float:
        r"""Return base $+ \sum_j \epsilon^{order_j} term_j$.

        Args:
            eps: $\epsilon \in [0, 1]$.
        """
        eps = check_eps(eps)
        return math.fsum([self.base, *(t * eps**t.order for t in self.terms.values())])

    def without(self, *names: str) -> Expansion:
        """Return the expansion without some terms, as a negative control."""
        for name in names:
            self[name]
        return Expansion(self.base, {k: t for k, t in self.terms.items() if k not in names})

    def scaled(self, **factors: float) -> Expansion:
        """Return the expansion with some terms multiplied by factors, to imitate wrong formulas."""
        for name in factors:
            self[name]
        by = {k: float(_checks.number(f"factor of {k}", v)) for k, v in factors.items()}
        return Expansion(
            self.base,
            {
                k: Term(t * by.get(k, 1.0), t.order, t.raw, t.standard_error)
                for k, t in self.terms.items()
            },
        )


Scalar = Callable[[Tensor], Tensor]


def second_jvp(f: Scalar, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""Return f(x) and the first and second derivative along u.

    >>> value, d1, d2 = second_jvp(lambda x: x**3, torch.tensor([2.0]), torch.tensor([1.0]))
    >>> value.item(), d1.item(), d2.item()
    (8.0, 12.0, 12.0)
    """
    try:
        primal, tangent = jvp(lambda x: jvp(f, (x,), (u,)), (x,), (u,))[:2]
    except NotImplementedError:
        # Some activations, e.g. SiLU, do not support a jvp of a jvp.
        return _second_by_reverse(f, x, u)
    return primal[0], primal[1], tangent[1]


def _second_by_reverse(f: Scalar, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute `second_jvp` in reverse mode, one output at a time."""
    with torch.enable_grad():
        t = x.new_zeros(x.shape[:1]).requires_grad_(True)
        value = f(x + t.reshape(-1, *[1] * (x.ndim - 1)) * u if x.ndim else x + t * u)
        columns = value.reshape(*value.shape[:1], -1).unbind(-1)
        firsts = [torch.autograd.grad(c.sum(), t, create_graph=True)[0] for c in columns]
        seconds = [torch.autograd.grad(c.sum(), t, retain_graph=True)[0] for c in firsts]
    first, second = (torch.stack(v, -1).reshape(value.shape).detach() for v in (firsts, seconds))
    return value.detach(), first, second


def divergence_expansion(curves: Callable[[Tensor], Tensor], weights: Weights = None) -> Expansion:
    r"""Expand the divergence along curves of distributions (Proposition 1).

    $$JSD_\pi(P_\epsilon, Q_\epsilon) = JSD_\pi(P_0, Q_0) + \epsilon\,first
      + \epsilon^2\,second + o(\epsilon^2).$$

    Args:
        curves: Twice differentiable map from the scalar tensor eps to (V, K) probabilities.
        weights: $\pi$; default 1/V each.

    Returns:
        Expansion with the terms `first` and `second`.

    Source: paper eqs. 26 to 36 (Proposition 1).

    >>> curves = lambda eps: torch.stack([torch.stack([0.5 + eps, 0.5 - eps]),
    ...                                   torch.stack([0.5 - eps, 0.5 + eps])])
    >>> divergence_expansion(curves).second                # JSD of (1/2 +- eps) is 2 eps^2 + ...
    Term(2, order 2)
    """

    def divergence(eps: Tensor) -> Tensor:
        return jensen_shannon_divergence(curves(eps), weights, validate=False)

    zero = torch.zeros((), dtype=torch.float64)
    base, first, second = second_jvp(divergence, zero, torch.ones_like(zero))
    terms = {"first": Term(float(first), 1), "second": Term(float(second) / 2, 2)}
    return Expansion(float(base), terms)


@dataclass(frozen=True)
class _Directions:
    """Sets of directions for the derivatives; `make(j)` has one direction for each sample."""

    count: int
    make: Callable[[int], Tensor]
    exact: bool
    # Sum over the sets (coordinates), instead of averaging (partners, probes).
    add_up: bool = False

    def times(self, factor: Tensor) -> _Directions:
        """Return the directions, scaled."""
        return replace(self, make=lambda j: self.make(j) * factor)


def _partner_directions(x: Tensor, axis: int, partners: int | None, rng: Rng | None) -> _Directions:
    """Return the directions x_r - x_i for all partners r, or for sampled ones."""
    n = x.shape[axis]
    if partners is None:
        if n > MAX_PARTNERS:
            raise ValueError(
                f"{n} samples have {n * n} pairs; pass partners=16 (and rng) to sample partners"
            )
        return _Directions(n, lambda j: x.roll(-j, axis) - x, True)
    partners = _checks.integer("partners", partners, 2)
    stream = _need(rng, "partners")

    def draw(j: int) -> Tensor:
        index = stream.fold("partner", j).numpy().integers(n, size=n)
        return x.index_select(axis, to_device(index, x.device)) - x

    return _Directions(partners, draw, False)


def _need(rng: Rng | None, what: str) -> Rng:
    if rng is None:
        raise ValueError(f"{what}= needs random numbers; pass rng=Rng(seed)")
    return checked_rng(rng)


def _unit_directions(x: Tensor, lead: int, probes: int | None, rng: Rng | None) -> _Directions:
    """Return all unit vectors, or random +-1 probes; `lead` axes run over samples (and views)."""
    features = x.shape[lead:]
    size = features.numel()
    if probes is None:
        if size > MAX_COORDINATES:
            raise ValueError(
                f"{size} input dimensions need {size} directions per sample; pass probes=32 (and "
                "rng) to estimate the traces, with standard errors"
            )

        def unit(j: int) -> Tensor:
            e = x.new_zeros(size)
            e[j] = 1
            return e.reshape(features).expand_as(x)

        return _Directions(size, unit, True, add_up=True)
    probes = _checks.integer("probes", probes, 2)
    stream = _need(rng, "probes")

    def probe(j: int) -> Tensor:
        generator = stream.fold("probe", j).to(x.device).torch()
        return torch.empty_like(x).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)

    return _Directions(probes, probe, False)


Parts = tuple[Tensor, ...]


def _collect(
    directions: _Directions, x: Tensor, parts_along: Callable[[Tensor], Parts]
) -> list[tuple[float, float]]:
    """Return the mean (or sum) of each part over the sets of directions, and its standard error.

    `parts_along(u)` takes directions (G, *x.shape) and returns parts of shape (G,).
    """
    group = max(1, CHUNK // max(x.numel() * 8, 1))
    columns: list[Parts] = []
    for start in range(0, directions.count, group):
        sets = range(start, min(start + group, directions.count))
        columns.append(parts_along(torch.stack([directions.make(j) for j in sets])))
    result = []
    for part in zip(*columns, strict=True):
        values = torch.cat([p.double() for p in part]).cpu()
        total = float(values.sum() if directions.add_up else values.mean())
        error = 0.0 if directions.exact else float(values.std()) / math.sqrt(len(values))
        result.append((total, error))
    return result


def nfm_expansion(
    f: Network,
    X: Data,
    y: Data,
    *,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: float,
    sigma_mult: float,
    probes: int | None = None,
    partners: int | None = None,
    rng: Rng | None = None,
) -> Expansion:
    r"""The terms of Theorem 1, for the binary form and for K classes.

    $$L^{NFM}_n(\epsilon) = L^{std}_n + \epsilon R_1 + \epsilon^2 (R_2 + \sigma_{add}^2 R_2^{add}
      + \sigma_{mult}^2 R_2^{mult} + R_3 + \sigma_{add}^2 R_3^{add}
      + \sigma_{mult}^2 R_3^{mult}) + O(\epsilon^3).$$

    R1 and R2 come from the gradient of f, R3 from its second derivative. R2, R2_add and R2_mult
    are >= 0; the others can have either sign.

    Args:
        f: As for `nfm_loss_exact`. Use a smooth activation: with ReLU all R3 terms are 0.
        X: (n, ...) samples; any shape and floating type (float64 unless `probes` is given).
        y, alpha, beta, sigma_mult: As for `nfm_loss_exact`.
        sigma_add: Additive level (for the released law see `effective_levels`).
        probes: Number of random +-1 vectors per sample that estimate the sums over input
            coordinates (Hutchinson); default: all coordinates.
        partners: Number of random partners per sample; default: all.
        rng: Stream of probes and partners.

    Returns:
        Expansion with the terms R1 (order 1), R2, R3, R2_add, R2_mult, R3_add, R3_mult (order 2).
        Terms include the noise levels; `Term.raw` does not.

    Raises:
        ValueError: For too many dimensions without `probes`, labels out of range.

    Warns:
        NonSmoothWarning: If f has kinks.

    Source: paper eqs. 9 to 18 (Theorem 1).

    >>> e = nfm_expansion(lambda x: x.sum(-1), [[1.0, 0.5], [-0.3, -1.0]], [1, 0], alpha=1.0,
    ...                   sigma_add=0.4, sigma_mult=0.2)
    >>> e.R1.order, e.R2_add.order, e.R3 == 0
    (1, 2, True)
    """
    x = as_data("X", X, None if probes else torch.float64)
    n = x.shape[0]
    network, classes, scalar = as_network(f, x)
    target = as_labels(y, n, classes, scalar, x)
    m1, m2 = mixing_moments(alpha, beta)
    add, mult = as_levels("sigma_add", sigma_add, 1)[0], as_levels("sigma_mult", sigma_mult, 1)[0]
    warn_if_nonsmooth(network, x, "R3, R3_add and R3_mult")

    def parts_along(u: Tensor) -> Parts:
        groups = u.shape[0]
        goal = target.repeat(groups, 1)

        def loss(z: Tensor) -> Tensor:
            return soft_cross_entropy(z, goal, validate=False)

        points = x.repeat(groups, *[1] * (x.ndim - 1))
        z, a, b = second_jvp(network, points, u.flatten(0, 1))
        _, first, curved = second_jvp(loss, z, a)
        bent = jvp(loss, (z,), (b,))[1]
        return tuple(p.reshape(groups, n).mean(1) for p in (first, curved / 2, bent / 2))

    with torch.no_grad():
        base = float(soft_cross_entropy(network(x), target).mean())
    (r1, e1), (r2, e2), (r3, e3) = _collect(
        _partner_directions(x, 0, partners, rng), x, parts_along
    )
    units = _unit_directions(x, 1, probes, rng)
    _, add2, add3 = _collect(units, x, parts_along)
    _, mult2, mult3 = _collect(units.times(x), x, parts_along)

    def noise(level: float, estimate: tuple[float, float]) -> Term:
        return Term(level**2 * estimate[0], 2, estimate[0], level**2 * estimate[1])

    return Expansion(
        base,
        {
            "R1": Term(m1 * r1, 1, None, m1 * e1),
            "R2": Term(m2 * r2, 2, None, m2 * e2),
            "R3": Term(m2 * r3, 2, None, m2 * e3),
            "R2_add": noise(add, add2),
            "R2_mult": noise(mult, mult2),
            "R3_add": noise(add, add3),
            "R3_mult": noise(mult, mult3),
        },
    )


def stability_expansion(
    f: Network,
    views: Data,
    *,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: Levels,
    sigma_mult: Levels,
    weights: Weights = None,
    shared_noise: bool = False,
    probes: int | None = None,
    partners: int | None = None,
    rng: Rng | None = None,
) -> Expansion:
    r"""The terms of Theorem 2, for any number of views and classes.

    $G_v$ and $H_{vw}$ are the first and second derivatives of the divergence with respect to the
    logits of the views, $J_v$ is the derivative of f at view v. A joint displacement u has

    $$D_2(u) = \underbrace{\textstyle\sum_v (J_v u^v)^\top H_{vv} J_v u^v}_{diag}
      + \underbrace{\textstyle\sum_{v\ne w} (J_v u^v)^\top H_{vw} J_w u^w}_{cross}
      + \underbrace{\textstyle\sum_v G_v^\top\,(u^v)^\top\nabla^2 f(x^v)\,u^v}_{grad} .$$

    R1 is the first derivative along the mixing. `mix_*`, `add_*` and `mult_*` are these three
    parts for mixing, additive and multiplicative noise. Independent noise has no cross terms;
    mixing has, because views share the weight and the partner.

    Args:
        f: As for `nfm_loss_exact`; a scalar logit stands for two classes.
        views: (V, n, ...) views of the samples, V >= 2.
        sigma_add: Additive level, one number or one for each view.
        sigma_mult: Multiplicative level, one number or one for each view.
        alpha, beta, weights, shared_noise: As for `stability_loss_exact`.
        probes, partners, rng: As for `nfm_expansion`.

    Returns:
        Expansion with R1 (order 1), mix_grad, mix_diag, mix_cross, add_grad, add_diag, add_cross,
        mult_grad, mult_diag, mult_cross (order 2). Terms include the noise levels.

    Raises:
        ValueError: For too many dimensions without `probes`, weights that do not sum to 1.

    Warns:
        NonSmoothWarning: If f has kinks.

    Source: paper eqs. 37 to 43 (Theorem 2), in logits instead of probabilities.
    Differs: the split into gradient, diagonal and cross parts is ours; their sums are (40)-(43).

    >>> views = [[[1.0, 0.5], [-0.3, -1.0]], [[1.0, 0.5], [-0.3, -1.0]]]
    >>> e = stability_expansion(lambda x: x.sum(-1), views, alpha=1.0, sigma_add=0.4,
    ...                         sigma_mult=0.0)
    >>> abs(e.at(0.0)) < 1e-15, e.add_diag > 0          # identical views: the Fisher penalty alone
    (True, True)
    """
    data = as_data("views", views, None if probes else torch.float64)
    data, pi, (add, mult) = check_views(data, weights, sigma_add, sigma_mult)
    count, n = data.shape[:2]
    network, *_ = as_network(f, data[0])
    m1, m2 = mixing_moments(alpha, beta)
    warn_if_nonsmooth(network, data[0], "the grad terms")

    def divergence(z: Tensor) -> Tensor:
        return jensen_shannon_divergence(z, pi, from_logits=True, validate=False)

    def parts_along(u: Tensor, together: bool = True) -> Parts:
        groups = u.shape[0]
        points = data.expand_as(u).flatten(0, 2)
        z, a, b = (
            t.reshape(groups, count, n, -1).transpose(0, 1)
            for t in second_jvp(network, points, u.flatten(0, 2))
        )
        own = [torch.eye(count, dtype=a.dtype, device=a.device)[v] for v in range(count)]
        alone = [second_jvp(divergence, z, a * m.reshape(-1, 1, 1, 1))[2] for m in own]
        diagonal = torch.stack(alone).sum(0)
        _, first, curved = second_jvp(divergence, z, a)
        cross = curved - diagonal if together else torch.zeros_like(diagonal)
        bent = jvp(divergence, (z,), (b,))[1]
        return tuple(p.mean(-1) for p in (first, bent / 2, diagonal / 2, cross / 2))

    with torch.no_grad():
        z = network(data.flatten(0, 1)).reshape(count, n, -1)
        base = float(divergence(z).mean())
    mixing = _partner_directions(data, 1, partners, rng)
    (r1, e1), *mix_parts = _collect(mixing, data, parts_along)
    terms = {"R1": Term(m1 * r1, 1, None, m1 * e1)}
    names = ("grad", "diag", "cross")
    for name, (value, error) in zip(names, mix_parts, strict=True):
        terms[f"mix_{name}"] = Term(m2 * value, 2, None, m2 * error)
    # Shared noise needs one probe for all views; independent noise has no products of two views.
    units = _unit_directions(data[0] if shared_noise else data, 1 + (not shared_noise), probes, rng)
    for kind, levels in (("add", add), ("mult", mult)):
        level = data.new_tensor(levels).reshape(-1, *[1] * (data.ndim - 1))
        factor = level if kind == "add" else level * data
        directions = units.times(factor)
        _, *noise_parts = _collect(directions, data, lambda u: parts_along(u, shared_noise))
        common = levels[0] ** 2 if len(set(levels)) == 1 and levels[0] else None
        for name, (value, error) in zip(names, noise_parts, strict=True):
            raw = value / common if common else math.nan
            terms[f"{kind}_{name}"] = Term(value, 2, raw, error)
    return Expansion(base, terms)


def slope(
    eps: Sequence[float], error: Sequence[float], floor: float = 1e-13, last: int = 4
) -> float:
    r"""Return the least-squares slope of log |error| against log eps, at the smallest eps.

    Args:
        eps: Ladder of $\epsilon$, in any order.
        error: Remainders; signs are ignored.
        floor: Remainders below this are rounding errors and left out.
        last: Number of the smallest eps to use.

    >>> round(slope([0.1, 0.2, 0.4], [1e-3, 8e-3, 64e-3]), 6)
    3.0
    """
    pairs = sorted((e, abs(r)) for e, r in zip(eps, error, strict=True) if abs(r) > floor)[:last]
    if len(pairs) < 2:
        raise ValueError(f"only {len(pairs)} remainder(s) lie above {floor:g}; use larger eps")
    x, y = ([math.log(v) for v in column] for column in zip(*pairs, strict=True))
    return linear_regression(x, y).slope
