"""The gradient of every member's loss, written out by hand for speed.

`Gradients(windows, state, schemes)` reads the parameters of its members from `state` and the draws
of a step from `windows`; `write(step)` writes the gradient of each member's loss into
`state.gradient` and, with `keep`, the parts of the losses into `state.ce` and `state.jsd`. It
touches nothing else. What it writes is `torch.func.vmap(torch.func.grad(loss))` over the members,
and the tests hold it to that for every kind of scheme, so it can be exchanged for those few lines
wherever speed does not matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmlib.lab.toy.ensemble._windows import Memory, Windows
from nmlib.schemes import Scheme

__all__ = ["Gradients", "State", "parameter_views"]


@dataclass
class State:
    """Views (schemes, seeds, ...) into the memory of the ensemble."""

    parameters: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    ce: Tensor
    jsd: Tensor


class _Layer:
    """One layer of the members of a group, seen in all the ways that a step needs.

    Args:
        parameters: Weight (members, out, in) and bias (members, 1, out).
        gradients: Where theirs go.
        out: Memory of the output, (members, rows, out).
        left: Gradient of the output, seen as (members, out, rows).
        delta: Memory of the gradient of the input, (members, rows, in); None if nobody needs it.
    """

    def __init__(
        self,
        parameters: tuple[Tensor, Tensor],
        gradients: tuple[Tensor, Tensor],
        out: Tensor,
        left: Tensor,
        delta: Tensor | None,
    ) -> None:
        self.weight, self.bias = parameters
        self.weight_t, self.bias_t = self.weight.transpose(1, 2), self.bias.transpose(1, 2)
        self.gradient, self.bias_gradient = gradients[0], gradients[1].squeeze(1)
        self.gradient_t = self.gradient.transpose(1, 2)
        self.out, self.out_t = out, out.transpose(1, 2)
        self.left, self.left_t = left, left.transpose(1, 2)
        self.delta = delta
        # A product with few columns is slow, so then it is made from few rows.
        self.narrow = self.weight.shape[2] < self.weight.shape[1]

    def write_gradient(self, below: Tensor) -> None:
        """Write the gradients, given the input of shape (members, rows, in)."""
        if self.narrow:
            self.gradient_t.copy_(torch.bmm(below.transpose(1, 2), self.left_t))
        else:
            self.gradient.copy_(torch.bmm(self.left, below))
        torch.sum(self.left, 2, out=self.bias_gradient)


class _Path:
    """Memory of the steps of a group that mix at one point, and all views of it.

    On networks this small a view costs as much as an operation, and while one thread makes it the
    others wait.
    """

    def __init__(self, group: Gradients, point: int) -> None:
        kind, sizes, buffer = group.kind, group.shape.sizes, group.memory
        members, batch, views, pairs = group.members, group.shape.batch, kind.views, group.pairs
        self.width = width = sizes[point]
        self._split = group.split
        self.rows_shape = (members, views * batch, width)

        self.logits_rows = buffer("logits", members, sizes[-1], views * batch)
        self.logits = self.logits_rows.view(members, sizes[-1], views, batch)
        self.p = buffer("p", *self.logits.shape)
        self.delta = buffer("delta", *self.logits.shape)
        self.p_first, self.delta_first = self.p[:, :, 0], self.delta[:, :, 0]

        def layers(name: str, numbers: range, rows: int, left: Tensor) -> list[_Layer]:
            """Make layers from the top down: what one hands down, the next one gets."""
            made: list[_Layer] = []
            for i in reversed(numbers):
                out = buffer(f"{name} {i}", members, rows, sizes[i + 1])
                delta = buffer(f"delta {name} {i}", members, rows, sizes[i]) if i else None
                made.append(_Layer(group.layers[i], group.gradients[i], out, left, delta))
                left = left if delta is None else delta.transpose(1, 2)
            return made[::-1]

        top = self.delta.view(self.logits_rows.shape)
        self.suffix = layers("suffix", range(point, len(group.layers)), views * batch, top)

        if kind.mixes:
            self.paired = buffer(f"paired {width}", members, pairs, batch, width)
            self.paired_flat = self.paired.view(-1, width)
        if kind.multiplicative:
            self.factor = buffer(f"factor {width}", members, views, batch, width)
            self.factor_split = self.split(self.factor)
        if kind.additive or kind.multiplicative:
            self.mixed = buffer(f"mixed {width}", members, views, batch, width)
            self.mixed_split = self.split(self.mixed)
            self.mixed_rows = self.mixed.view(self.rows_shape)

        self.prefix: list[_Layer] = []
        handed = self.suffix[0].delta
        if handed is None:
            return
        self.delta_views = handed.view(members, views, batch, width)
        self.delta_pairs = self.delta_views
        if pairs < views:
            self.delta_pairs = buffer("delta pairs", members, pairs, batch, width)
        self.delta_flat = self.delta_pairs.view(-1, width)
        if pairs > 1:
            self.delta_before = buffer("delta before", members, batch, width)
        else:
            self.delta_before = self.delta_pairs.view(members, batch, width)
        left = self.delta_before.transpose(1, 2)
        self.prefix = layers("prefix", range(point), batch, left)
        self.before = self.prefix[-1].out.unsqueeze(1)
        self.before_flat = self.before.view(-1, width)

    def split(self, h: Tensor) -> Tensor:
        """Return (members, ...) as (schemes, seeds, ...)."""
        return h.view(*self._split, *h.shape[1:])


class Gradients:
    """Writes the gradients of the members of a group, step by step.

    Args:
        windows: What the steps draw.
        state: Parameters, and where results go.
        schemes: Of the group; a scheme's members stand one after the other.
    """

    def __init__(self, windows: Windows, state: State, schemes: Sequence[Scheme]) -> None:
        self.windows, self.state = windows, state
        self.kind, self.shape = windows.kind, windows.shape
        self.split = tuple(state.ce.shape)
        self.members, self.pairs = state.ce.numel(), windows.kind.pairs
        flat = (t.view(self.members, -1) for t in (state.parameters, state.gradient))
        self.layers, self.gradients = (parameter_views(t, self.shape.sizes) for t in flat)
        gamma = torch.tensor([s.stability for s in schemes])
        rows = self.kind.views * self.shape.batch
        self.gain = gamma.repeat_interleave(self.split[1]).view(-1, 1, 1, 1) / rows
        self.one = torch.ones(())
        self.memory = Memory()
        self.paths: dict[int, _Path] = {}

    def write(self, step: int, *, keep: bool) -> None:
        """Write the gradient of one step; with `keep` also the parts of its loss."""
        window, at = self.windows.at(step)
        kind, point = self.kind, window.point[at]
        if point not in self.paths:
            self.paths[point] = _Path(self, point)
        path = self.paths[point]

        # To the mix point, once for all views: they are copies until they are mixed and noised.
        x = h = window.x[at]
        for layer in path.prefix:
            h = self._activate(torch.baddbmm(layer.bias, h, layer.weight_t, out=layer.out))
        flat = path.before_flat if point else h.view(-1, h.shape[-1])
        h = path.before if point else h.unsqueeze(1)
        if kind.mixes:
            torch.index_select(flat, 0, window.partner[at], out=path.paired_flat)
            h = torch.lerp(path.paired, h, window.lam[at], out=path.paired)
        if kind.multiplicative:
            field = self.windows.field(window, at, path.width, 1)
            torch.addcmul(self.one, field, window.level[1][at], out=path.factor_split)
            h = torch.mul(h, path.factor, out=path.mixed)
        if kind.additive:
            split = path.mixed_split if kind.multiplicative else path.split(h)
            field = self.windows.field(window, at, path.width, 0)
            torch.addcmul(split, field, window.level[0][at], out=path.mixed_split)
        if kind.additive or kind.multiplicative:
            h = path.mixed_rows
        else:
            h = h.expand(-1, kind.views, -1, -1).reshape(path.rows_shape)

        below = [h]
        for layer in path.suffix[:-1]:
            h = self._activate(torch.baddbmm(layer.bias, h, layer.weight_t, out=layer.out))
            below.append(h)
        # Classes before samples: a product with a few rows is much faster than with a few columns.
        top = path.suffix[-1]
        h_t = path.suffix[-2].out_t if len(below) > 1 else h.transpose(1, 2)
        torch.baddbmm(top.bias_t, top.weight, h_t, out=path.logits_rows)
        self._loss_gradient(path, window.target[at], keep=keep)

        for i in range(len(path.suffix) - 1, -1, -1):
            layer = path.suffix[i]
            layer.write_gradient(below[i])
            if layer.delta is not None:
                torch.bmm(layer.left_t, layer.weight, out=layer.delta)
                if i > 0:
                    self._activation_gradient(layer.delta, below[i])
        if point == 0:
            return

        if kind.multiplicative:
            path.delta_views.mul_(path.factor)
        if path.delta_pairs is not path.delta_views:
            torch.sum(path.delta_views, 1, keepdim=True, out=path.delta_pairs)
        if kind.mixes:
            # The partner's share flows back along the inverse permutation.
            torch.index_select(path.delta_flat, 0, window.back[at], out=path.paired_flat)
            torch.lerp(path.paired, path.delta_pairs, window.lam[at], out=path.delta_pairs)
        if self.pairs > 1:
            torch.sum(path.delta_pairs, 1, out=path.delta_before)
        for i in range(point - 1, -1, -1):
            layer = path.prefix[i]
            self._activation_gradient(layer.left_t, layer.out)
            layer.write_gradient(path.prefix[i - 1].out if i else x)
            if layer.delta is not None:
                torch.bmm(layer.left_t, layer.weight, out=layer.delta)

    def _activate(self, h: Tensor) -> Tensor:
        return h.relu_() if self.shape.activation == "relu" else h.tanh_()

    def _activation_gradient(self, delta: Tensor, h: Tensor) -> None:
        """Multiply delta by the derivative of the activation with value h, in place."""
        aten = torch.ops.aten
        if self.shape.activation == "relu":
            aten.threshold_backward.grad_input(delta, h, 0, grad_input=delta)
        else:
            aten.tanh_backward.grad_input(delta, h, grad_input=delta)

    def _loss_gradient(self, path: _Path, target: Tensor, *, keep: bool) -> None:
        r"""Write d(total)/d(logits) of shape (members, K, V, B) to `path.delta`.

        Cross-entropy on view 0: $(p - y)/b$. Divergence: $\pi_v p_v \odot (a_v - p_v^\top a_v)/b$
        with $a_v = \log(p_v / m)$.
        """
        views, batch = self.kind.views, self.shape.batch
        log_p = torch.log_softmax(path.logits, 1)
        p, delta = torch.exp(log_p, out=path.p), path.delta
        if keep:
            ce = (target * log_p[:, :, 0]).sum((1, 2)).mul_(-1 / batch)
            self.state.ce.copy_(ce.view(self.split))
        if self.kind.compares:
            log_m = p.mean(2, keepdim=True).clamp_min_(1e-38).log_()
            torch.sub(log_p, log_m, out=delta)
            kl = (p * delta).sum(1, keepdim=True)
            if keep:
                self.state.jsd.copy_(kl.sum((1, 2, 3)).mul_(1 / (views * batch)).view(self.split))
            delta.sub_(kl).mul_(p).mul_(self.gain)
        else:
            delta.zero_()
        path.delta_first.add_(path.p_first.sub_(target), alpha=1 / batch)


def parameter_views(flat: Tensor, sizes: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Return (weight (..., out, in), bias (..., 1, out)) views of flat parameters."""
    layers = []
    at = 0
    for fan_in, fan_out in itertools.pairwise(sizes):
        weight = flat[..., at : at + fan_in * fan_out].unflatten(-1, (fan_out, fan_in))
        at += fan_in * fan_out
        layers.append((weight, flat[..., at : at + fan_out].unsqueeze(-2)))
        at += fan_out
    return layers
