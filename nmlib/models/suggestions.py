"""Find sensible mix points in any network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nmlib import _checks
from nmlib.models.modes import evaluating, logits_of, unwrapped
from nmlib.models.points import MixPoints, output_fault
from nmlib.rng import Rng

__all__ = ["SuggestedPoints", "suggest_points"]

# A part that holds this share of the layers is the trunk: its own parts are the blocks.
_TRUNK = 0.8
_SIDES = (224, 32, 28, 64, 299)


class SuggestedPoints(tuple[str, ...]):
    """Names of mix points; shows itself as a table that says why.

    Attributes:
        shapes: Of the activations at each point, without the batch.
        reasons: For each point.
    """

    shapes: tuple[tuple[int, ...], ...]
    reasons: tuple[str, ...]

    def __repr__(self) -> str:
        rows = [("point", "name", "activations", "why")]
        rows += [
            (str(k), repr(name), " x ".join(map(str, shape)), reason)
            for k, (name, shape, reason) in enumerate(
                zip(self, self.shapes, self.reasons, strict=True)
            )
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


class _Seen(NamedTuple):
    """A module that ran once and returned one tensor with the batch first."""

    name: str
    shape: tuple[int, ...]
    layers: int
    parts: int


def suggest_points(model: nn.Module, x: Any = None) -> SuggestedPoints:
    r"""Suggest mix points for `MixPoints`: the input, and up to three places between blocks.

    One pass, in evaluation mode, shows which modules run once and return one tensor with the batch
    first. The module tree shows the blocks. In a network that makes its feature maps smaller, a
    block ends where the size changes; the points are the ends of the last three of these stages,
    without the last one of four or more, as in the paper's ResNets. Where the size stays (vision
    transformers, fully connected networks), they divide the blocks evenly. Another pass confirms
    of each point that the logits depend on the activations there alone, $f = f_k \circ g_k$.

    Args:
        model: Any network; it is left as it was.
        x: A batch of at least two inputs as the network takes them; default: noise of a size that
            the network names or accepts.

    Returns:
        The names, as a tuple; printed, it is a table with the reasons.

    Raises:
        ValueError: If no default input fits the network.

    Source: paper sec. 4 (the input and the outputs of the first groups of a ResNet).

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> suggest_points(net)
    point  name  activations  why
    0      ''    2            the input
    1      '1'   8            before layer 2 of 3
    2      '3'   8            before layer 3 of 3
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, got {_checks.shown(model)}")
    network = model.model if isinstance(model, MixPoints) else model
    network = unwrapped(network)
    with evaluating(network), torch.no_grad():
        x, logits, seen = _observed(network, x)
        found = _boundaries(network, seen, tuple(logits.shape[1:]))
        kept = [(s, why) for s, why in _chosen(found) if _cuts(network, s.name, x, logits)]
    names = SuggestedPoints(["", *(s.name for s, _ in kept)])
    names.shapes = (tuple(x.shape[1:]), *(s.shape for s, _ in kept))
    names.reasons = ("the input", *(why for _, why in kept))
    return names


def _inputs(network: nn.Module) -> Iterator[Tensor]:
    """Yield noise in the shapes that a network may take, the likeliest first."""
    first = next((p for p in network.parameters() if p.ndim > 1), None)
    like = torch.zeros(()) if first is None else first
    kind = next((m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))), None)
    config = getattr(network, "pretrained_cfg", None) or getattr(network, "config", None)
    sizes = [getattr(network, "image_size", None), getattr(config, "image_size", None)]
    if isinstance(config, dict):
        sizes.append((config.get("input_size") or (None,))[-1])
    sides = [int(size) for size in sizes if isinstance(size, int)]
    channels = kind.in_channels if isinstance(kind, nn.Conv2d) else 3
    shapes: list[tuple[int, ...]] = [(channels, side, side) for side in (*sides, *_SIDES)]
    if isinstance(kind, nn.Linear):
        shapes.insert(0, (kind.in_features,))
    for shape in shapes:
        noise = torch.rand(3, *shape, generator=Rng(0).torch())
        yield noise.to(like.device, like.dtype)


def _observed(network: nn.Module, x: Any) -> tuple[Tensor, Tensor, list[_Seen]]:
    """Return an input, its logits, and the modules that ran, in the order of their ends."""
    tried = []
    for batch in _inputs(network) if x is None else [_checks.tensor("x", x)]:
        outputs: dict[str, list[Any]] = {}

        def note(name: str, output: Any, outputs: dict[str, list[Any]] = outputs) -> None:
            outputs.setdefault(name, []).append(output)

        handles = [
            module.register_forward_hook(
                lambda m, i, output, name=name, note=note: note(name, output)
            )
            for name, module in network.named_modules()
            if name
        ]
        try:
            logits = logits_of(network(batch))
        except TypeError:
            raise
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            if x is not None:
                raise
            tried.append(f"{tuple(batch.shape[1:])}: {str(error).splitlines()[0][:80]}")
            continue
        finally:
            for handle in handles:
                handle.remove()
        modules = dict(network.named_modules())
        seen = [
            _Seen(
                name,
                tuple(found[0].shape[1:]),
                _layers(modules[name]),
                len(list(modules[name].children())),
            )
            for name, found in outputs.items()
            if len(found) == 1 and not output_fault(found[0], len(batch)) and found[0].ndim > 1
        ]
        return batch, logits, seen
    raise ValueError(
        f"{type(network).__name__} takes none of the inputs tried ({'; '.join(tried)}); give "
        "suggest_points(model, x) a batch that it takes"
    )


def _layers(module: nn.Module) -> int:
    """Return the number of layers with weights."""
    return sum(bool(list(m.parameters(recurse=False))) for m in module.modules())


def _boundaries(
    network: nn.Module, seen: list[_Seen], logits: tuple[int, ...]
) -> list[tuple[_Seen, str]]:
    """Return the ends of all blocks but the head, each with what it is the end of."""
    level, prefix = network, ""
    while True:
        here = [s for s in seen if s.name.startswith(prefix) and "." not in s.name[len(prefix) :]]
        blocks = [s for s in here if s.layers and s.parts and s.shape != logits]
        blocks = [s for s in blocks if len(s.shape) == len(blocks[0].shape)]  # without the head
        children = [(n, m) for n, m in level.named_children() if _layers(m)]
        total = sum(_layers(m) for _, m in children)
        share, name, trunk = max(
            ((_layers(m) / total, n, m) for n, m in children if any(m.children())),
            default=(0, "", level), key=lambda child: child[0],
        )  # fmt: skip
        if share < _TRUNK and (len(blocks) > 1 or share < 0.5):
            break
        level, prefix = trunk, f"{prefix}{name}."
    if len(blocks) > 1:
        return [(s, f"block {i + 1} of {len(blocks)}") for i, s in enumerate(blocks)]
    # No blocks: the layers themselves. A point lies before a layer, after its predecessor's ReLU.
    modules = dict(network.named_modules())
    norms = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
    starts = [i for i, s in enumerate(here) if s.layers and not isinstance(modules[s.name], norms)]
    return [
        (here[i - 1], f"before layer {k + 2} of {len(starts)}") for k, i in enumerate(starts[1:])
    ]


def _chosen(found: list[tuple[_Seen, str]]) -> list[tuple[_Seen, str]]:
    if all(len(s.shape) > 2 for s, _ in found):
        # Feature maps: stages end where their size changes.
        ends = [
            pair
            for pair, after in itertools.zip_longest(found, found[1:])
            if after is None or after[0].shape[1:] != pair[0].shape[1:]
        ]
        if len(ends) > 2:
            last = len(ends) - (len(ends) > 3)
            return [
                (s, f"end of stage {i + 1} of {len(ends)} ({why})")
                for i, (s, why) in enumerate(ends)
            ][max(last - 3, 0) : last]
    if len(found) <= 3:
        return found
    quarters = [-(-len(found) * i // 4) for i in (1, 2, 3)]
    return [found[i - 1] for i in dict.fromkeys(quarters)]


def _cuts(network: nn.Module, name: str, x: Tensor, logits: Tensor) -> bool:
    """Whether the logits depend on x through the activations of this module alone."""
    points, kept = MixPoints(network, [name]), []

    def keep(h: Tensor) -> Tensor:
        kept.append(h.clone())
        return h

    points(x, point=0, change=keep)
    again = points(x.flip(0), point=0, change=lambda h: kept[0])
    return torch.equal(again, logits)
