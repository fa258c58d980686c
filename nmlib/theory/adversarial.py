"""Theorem 3: the adversarial bound, and a test of its assumptions for a given network and data."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus
from torch.overrides import TorchFunctionMode

from nmlib import _checks
from nmlib.theory.expansion import second_jvp
from nmlib.theory.inputs import (
    Data,
    Network,
    as_data,
    as_labels,
    as_levels,
    as_network,
    check_eps,
    nonsmooth_operations,
)
from nmlib.theory.quadrature import mixing_moments

__all__ = ["AdversarialBound", "Assumption", "adversarial_bound", "kink_distance"]

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Assumption:
    """One assumption of Theorem 3, tested on a network and its data.

    Attributes:
        name: Short name.
        statement: The assumption in symbols.
        holds: Whether it holds; None if it could not be tested.
        value: The number that decides it.
        detail: The meaning of `value`, and the remedy if the assumption fails.
    """

    name: str
    statement: str
    holds: bool | None
    value: float
    detail: str


@dataclass(frozen=True)
class AdversarialBound:
    r"""The right-hand side of Theorem 3, its parts, and its assumptions.

    Attributes:
        eps: $\epsilon$.
        exact_radius: (n,) $\rho_i = \epsilon m_1 |\nabla f_i^\top x_i| / \|\nabla f_i\|$.
        paper_radius: (n,) $\epsilon^{mix}_i = \epsilon m_1 r_i c_x \sqrt d$, never larger.
        adversarial_exact: Mean over i of the largest loss within the exact radius.
        adversarial_paper: The same within the paper's radius.
        regulariser: $L^{reg}_n$ of (46), with its factor $\epsilon^2$.
        variance: $\frac{\epsilon^2 Var(1-\lambda)}{2n} \sum_i h''(f_i) (\nabla f_i^\top x_i)^2$,
            the excess of the loss over the exact-radius bound, up to $O(\epsilon^3)$.
        first_order_slack: Limit of (loss - bound) / eps if all assumptions hold.
        kink_distance: (n,) distance of each sample to the nearest kink of f; infinite for a
            network without kinks, None if it could not be computed.
        assumptions: The tested assumptions.
    """

    eps: float
    exact_radius: Tensor
    paper_radius: Tensor
    adversarial_exact: float
    adversarial_paper: float
    regulariser: float
    variance: float
    first_order_slack: float
    kink_distance: Tensor | None
    assumptions: tuple[Assumption, ...]

    @property
    def bound(self) -> float:
        """The paper's lower bound of the NFM loss (without the stability part)."""
        return self.adversarial_paper + self.regulariser

    @property
    def identity(self) -> float:
        r"""The value of the NFM loss up to $O(\epsilon^3)$ if all assumptions hold."""
        return self.adversarial_exact + self.regulariser + self.variance

    @property
    def holds(self) -> bool:
        """Whether every assumption was tested and holds."""
        return all(a.holds is True for a in self.assumptions)

    def checklist(self) -> str:
        """Return one line for each assumption: whether it holds, its name and its number."""
        marks = {True: "[x]", False: "[ ]", None: "[?]"}
        lines = []
        for a in self.assumptions:
            note = "" if a.holds else f" <- {a.detail}"
            lines.append(f"{marks[a.holds]} {a.name:<12} {_short(a.value):>8}{note}")
        return "\n".join(lines)

    def slack(self, loss: float) -> float:
        """Return loss - bound for a measured NFM loss; it is negative if the inequality fails."""
        return loss - self.bound

    def residual(self, loss: float) -> float:
        r"""Return loss - identity: $O(\epsilon^3)$ if all assumptions hold."""
        return loss - self.identity

    def __getitem__(self, name: str) -> Assumption:
        for assumption in self.assumptions:
            if assumption.name == name:
                return assumption
        names = ", ".join(a.name for a in self.assumptions)
        raise KeyError(f"no assumption {name!r}; there are {names}")


def _short(value: float) -> str:
    """Format with two digits; rounding errors become 0."""
    return "0" if abs(value) < 1e-12 else f"{value:.2g}"


# Activations whose only kink is at input 0.
_KINK_AT_ZERO = {"relu", "relu_", "leaky_relu", "leaky_relu_", "prelu", "abs"}
MAX_UNITS = 4096


class _KinkInputs(TorchFunctionMode):
    """Records the inputs of activations with a kink at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _KINK_AT_ZERO:
            # Clone, because in-place activations overwrite their input.
            self.inputs.append(args[0].clone())
        return func(*args, **kwargs)


def kink_distance(f: Network, X: Data) -> Tensor | None:
    r"""Return each sample's distance to the nearest kink of a piecewise linear network.

    Within a linear region all pre-activations $a_j$ are affine, so the region is a polytope. The
    distance to its boundary is $\min_j |a_j(x)| / \|\nabla a_j(x)\|$ over all units.

    Args:
        f: As for `nfm_loss_exact`, with ReLU, leaky ReLU, PReLU or abs.
        X: (n, ...) samples.

    Returns:
        (n,) distances (infinite for a network without kinks), or None if f has other kinks
        (pooling, clamps) or more than 4096 units with kinks.

    >>> relu = lambda x: torch.relu(x).sum(-1)
    >>> kink_distance(relu, [[0.3, -0.2]])
    tensor([0.2000], dtype=torch.float64)
    """
    x = as_data("X", X)
    network, *_ = as_network(f, x)
    kinked = nonsmooth_operations(network, x)
    if not kinked:
        return x.new_full((x.shape[0],), float("inf"))
    known = {name.rstrip("_") for name in _KINK_AT_ZERO} | {"_prelu_kernel"}
    if set(kinked) - known:
        return None
    x = x.clone().requires_grad_(True)
    with torch.enable_grad(), _KinkInputs() as seen:
        network(x)
        units = [u.flatten(1) for u in seen.inputs if u.requires_grad]
    if not units or sum(u.shape[1] for u in units) > MAX_UNITS:
        return None
    best = x.new_full((x.shape[0],), float("inf"))
    for layer in units:
        for column in layer.unbind(1):
            (gradient,) = torch.autograd.grad(column.sum(), x, retain_graph=True)
            norm = gradient.flatten(1).norm(dim=1)
            distance = torch.where(norm > 0, column.detach().abs() / norm, torch.inf)
            best = torch.minimum(best, distance)
    return best


def _largest_curvature(f: Network, x: Tensor) -> float:
    """Return the largest |u' H u| / |u|^2; its directions u detect any Hessian H != 0."""
    points = x.flatten(1)
    n, d = points.shape
    if d <= 16:
        eye = torch.eye(d, dtype=x.dtype, device=x.device)
        pairs = [eye[a] + eye[b] for a, b in itertools.combinations_with_replacement(range(d), 2)]
    else:
        # Gaussian directions detect every non-zero quadratic form. Sign vectors would not: they
        # give only the trace of a diagonal form.
        generator = torch.Generator().manual_seed(0)
        pairs = list(torch.randn((32, d), generator=generator, dtype=x.dtype).to(x.device))
    worst = 0.0
    for u in pairs:
        along = u.expand(n, d).reshape(x.shape)
        _, _, second = second_jvp(f, x, along)
        worst = max(worst, float(second.detach().abs().max() / (u @ u)))
    return worst


def adversarial_bound(
    f: Network,
    X: Data,
    y: Data,
    *,
    eps: float,
    alpha: float | None,
    beta: float | None = None,
    sigma_add: float,
    sigma_mult: float,
    c_x: float | None = None,
) -> AdversarialBound:
    r"""Compute the adversarial bound of Theorem 3 and test each of its assumptions.

    $$L^{NFM}_n \ge \frac1n\sum_i \max_{\|\delta\|\le\epsilon^{mix}_i} \ell(f(x_i+\delta), y_i)
      + L^{reg}_n + \epsilon^2\varphi(\epsilon),$$
    $$L^{reg}_n = \frac{\epsilon^2}{2n}\sum_i h''(f_i)\,\big\{ m_2 \nabla f_i^\top \Sigma_x
      \nabla f_i + \sigma_{add}^2 \|\nabla f_i\|^2
      + \sigma_{mult}^2 \|\nabla f_i \odot x_i\|^2 \big\}.$$

    Each assumption is tested on the given network and data. The maximum over a ball is that of the
    linear piece of f around the sample. This is the true maximum if the ball stays within the
    piece (the last assumption).

    Args:
        f: Map from (B, ...) to one scalar logit (the theorem is binary).
        X: (n, ...) samples.
        y: (n,) labels 0 or 1.
        eps, alpha, beta, sigma_add, sigma_mult: As for `nfm_loss_exact`.
        c_x: $c_x$ with $\|x_i\| \ge c_x\sqrt d$; default the largest possible.

    Raises:
        ValueError: If f has several logits, labels are not 0 or 1, eps is outside [0, 1].

    Source: paper eqs. 44 to 48 (Theorem 3).
    Differs: the paper states the bound; the exact radius and the identity behind it are ours.

    >>> X, y = [[1.0, 0.5], [-1.0, -0.5]], [1, 0]
    >>> bound = adversarial_bound(lambda x: x.sum(-1), X, y, eps=0.1, alpha=1.0, sigma_add=0.4,
    ...                           sigma_mult=0.2)
    >>> bound.holds
    True
    """
    x = as_data("X", X)
    network, classes, scalar = as_network(f, x)
    if not scalar:
        raise ValueError(
            f"Theorem 3 needs one scalar logit, but f returns {classes}; for two classes pass "
            "f = lambda x: net(x)[:, 1] - net(x)[:, 0]"
        )
    eps = check_eps(eps)
    n = x.shape[0]
    label = as_labels(y, n, 2, True, x)[:, 1]
    if bool(((label != 0) & (label != 1)).any()):
        raise ValueError("Theorem 3 needs labels 0 or 1, got a mixture; pass classes")
    sign = 2 * label - 1
    m1, m2 = mixing_moments(alpha, beta)
    add, mult = as_levels("sigma_add", sigma_add, 1)[0], as_levels("sigma_mult", sigma_mult, 1)[0]
    leaf = x.clone().requires_grad_(True)
    with torch.enable_grad():
        logit = network(leaf)[:, 1]
        (gradient,) = torch.autograd.grad(logit.sum(), leaf)
    logit, g, points = logit.detach(), gradient.flatten(1), x.flatten(1)
    d = points.shape[1]
    size, norm = points.norm(dim=1), g.norm(dim=1)
    inner = (g * points).sum(1)
    smallest = float(size.min()) / d**0.5
    c = smallest if c_x is None else _checks.non_negative("c_x", c_x)
    p = torch.sigmoid(logit)
    curvature = p * (1 - p)
    safe = torch.where(norm > 0, norm, torch.ones_like(norm))
    cosine = torch.where(size > 0, inner.abs() / (safe * size.clamp(min=1e-300)), 0.0)
    exact_radius = eps * m1 * inner.abs() / safe
    paper_radius = eps * m1 * cosine * c * d**0.5

    def worst_loss(radius: Tensor) -> float:
        worst = logit - sign * radius * norm
        return float((softplus(worst) - label * worst).mean())

    moment = points.T @ points / n
    noise = add**2 * norm**2 + mult**2 * ((g * points) ** 2).sum(1)
    spread = m2 * ((g @ moment) * g).sum(1)
    pull = (p - label).abs() * inner.abs()
    ratio = torch.where(size > 0, c * d**0.5 / size.clamp(min=1e-300), 1.0)
    distance = kink_distance(f, x)
    return AdversarialBound(
        eps=eps,
        exact_radius=exact_radius,
        paper_radius=paper_radius,
        adversarial_exact=worst_loss(exact_radius),
        adversarial_paper=worst_loss(paper_radius),
        regulariser=float(eps**2 / 2 * (curvature * (spread + noise)).mean()),
        variance=float(eps**2 * (m2 - m1**2) / 2 * (curvature * inner**2).mean()),
        first_order_slack=float(m1 * (pull * (1 - ratio)).mean()),
        kink_distance=distance,
        assumptions=_verdicts(
            network, x, sign, logit, inner, norm, c, smallest, exact_radius, distance
        ),
    )


def _verdicts(
    network: Network,
    x: Tensor,
    sign: Tensor,
    logit: Tensor,
    inner: Tensor,
    norm: Tensor,
    c: float,
    smallest: float,
    radius: Tensor,
    distance: Tensor | None,
) -> tuple[Assumption, ...]:
    scale = max(1.0, float(logit.abs().max()))
    margin = float((sign * logit).min())
    wrong = int((sign * logit < 0).sum())
    homogeneity = float((logit - inner).abs().max())
    hessian = _largest_curvature(lambda z: network(z)[:, 1], x)
    points = x.flatten(1)
    centre = float(points.mean(0).norm())
    spread = float(points.norm(dim=1).mean())
    ball = float(radius.max())
    if distance is None:
        inside: bool | None = None
        room = float("nan")
        text = "f has kinks whose distance cannot be computed (pooling, clamps)"
    else:
        room = float((distance - radius).min())
        inside = room >= 0
        text = f"smallest room between the ball and the nearest kink; largest radius {ball:.3g}"
        if not inside:
            text += "; lower eps"
    rows = (
        ("signs", r"$\theta\in\Theta$: $(2y_i-1) f(x_i) \ge 0$", wrong == 0, margin,
         f"smallest margin; {wrong} of {len(sign)} samples on the wrong side"),
        ("homogeneous", r"$f(x_i) = \nabla f(x_i)^\top x_i$",
         homogeneity <= TOLERANCE * scale, homogeneity,
         "largest |f - x . grad f|; biases and shifts break it"),
        ("flat", r"$\nabla^2 f(x_i) = 0$", hessian <= TOLERANCE * scale, hessian,
         "largest second derivative; use a linear or ReLU network"),
        ("gradient", r"$\nabla f(x_i) \ne 0$", float(norm.min()) > 0, float(norm.min()),
         "smallest gradient norm"),
        ("centred", r"$E[x_r] = 0$", centre <= TOLERANCE * max(spread, 1e-300), centre,
         "norm of the mean sample; subtract it"),
        ("size", r"$\|x_i\| \ge c_x\sqrt d$", c <= smallest * (1 + TOLERANCE), smallest,
         f"smallest norm / sqrt(d), c_x = {c:.4g}"),
        ("one piece", r"the ball around $x_i$ holds no kink", inside, room, text),
    )  # fmt: skip
    return tuple(Assumption(*row) for row in rows)
