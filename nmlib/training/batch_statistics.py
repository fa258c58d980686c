"""Running statistics of batch normalisation, when several processes share a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nmlib.training.workers import Workers

__all__ = ["RunningStatistics"]


class RunningStatistics:
    r"""Combines the statistics of all processes into those of one that computes all parts itself.

    A part with batch statistics $b$ moves a running statistic $r$ to $(1-m)\,r + m\,b$. The $k$
    parts of a process together are a map $r \mapsto d\,r + s$ with $d = (1-m)^k$, whatever $r$ they
    start from. (For the mean of all batches, momentum None, $d = t/(t+k)$ and
    $s = \sum b/(t+k)$ after $t$ batches.) Applied in the order of the processes, these maps are the
    parts in their order.

    Args:
        model: Its normalisations are found once. Those that are shared by nature
            (`SyncBatchNorm`), or keep no statistics, are left alone.
        workers: The processes.
    """

    def __init__(self, model: nn.Module, workers: Workers) -> None:
        self.workers = workers
        self.layers: list[_NormBase] = []
        if workers.count > 1:
            self.layers = [
                m
                for m in model.modules()
                if isinstance(m, _NormBase)
                and not isinstance(m, nn.SyncBatchNorm)
                and m.running_mean is not None
            ]

    def begin(self) -> None:
        """Remember the statistics before a step."""
        if self.layers:
            self.before, self.seen = self._values(), self._batches()

    @torch.no_grad()
    def combine(self) -> None:
        """Give every process the statistics after all parts of the step."""
        if not self.layers:
            return
        steps = self._batches() - self.seen
        kept, scale = self._map(self.seen, steps)
        added = (self._values() - kept * self.before) / scale
        # One exchange a step: (processes, layers + entries).
        every = self.workers.gather(torch.cat([steps, added]))
        values, seen = self.before, self.seen
        for row in every:
            steps, added = row.split([len(self.layers), len(values)])
            kept, scale = self._map(seen, steps)
            values = kept * values + scale * added
            seen = seen + steps
        sizes = [2 * m.num_features for m in self.layers]
        for layer, count, part in zip(self.layers, seen, values.split(sizes), strict=True):
            mean, variance, batches = _buffers(layer)
            mean.copy_(part[: layer.num_features])
            variance.copy_(part[layer.num_features :])
            batches.copy_(count)

    def _values(self) -> Tensor:
        """Return all running means and variances, (entries,), float64."""
        return torch.cat([v for m in self.layers for v in _buffers(m)[:2]]).double()

    def _batches(self) -> Tensor:
        """Return the number of batches that each layer has seen, (layers,), float64."""
        return torch.stack([_buffers(m)[2] for m in self.layers]).double()

    def _map(self, seen: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return of each entry d, and the factor of s that depends on the batches seen."""
        factors, scales = [], []
        for layer, t, k in zip(self.layers, seen, steps, strict=True):
            if layer.momentum is not None:
                factors.append((1 - layer.momentum) ** k)
                scales.append(torch.ones_like(t))
            else:
                share = 1 / (t + k).clamp_min(1)
                # No batch, no change: also before the first one.
                factors.append(torch.where(k > 0, t * share, 1))
                scales.append(share)
        repeats = [2 * m.num_features for m in self.layers]
        kept, scale = (
            torch.cat([v.expand(n) for v, n in zip(one, repeats, strict=True)])
            for one in (factors, scales)
        )
        return kept, scale


def _buffers(layer: _NormBase) -> tuple[Tensor, Tensor, Tensor]:
    mean, variance, batches = layer.running_mean, layer.running_var, layer.num_batches_tracked
    assert mean is not None and variance is not None and batches is not None
    return mean, variance, batches
