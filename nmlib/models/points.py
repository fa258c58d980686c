"""Mix points by name on any network: activations change in one forward pass, the network stays."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nmlib import _checks
from nmlib.models.modes import logits_of, uncompiled, unwrapped
from nmlib.models.norm import Normalise
from nmlib.models.staged import Change, StagedModel, checked_point

__all__ = ["MixPoints", "Mixable"]


class MixPoints(nn.Module):
    r"""Any network, with places at which activations can be mixed and get noise.

    Mix point k is the output of the module called `names[k]`; the empty name stands for the input
    of the network, after the normalisation. `points(x)` are the logits of the network for images
    in [0, 1]; `points(x, point=k, change=c)` are $f_k(c(g_k(x)))$, where $g_k$ runs the network up
    to point k and $f_k$ runs it on. This is one forward pass of the network itself, with a hook
    that is gone afterwards: its parameters, its state dict, its mode and its copies are as without.
    If the point lies inside a region of activation checkpointing, the recomputation in the backward
    pass changes the activations in the same way.

    Args:
        model: The network. It returns logits (B, K), or a record with `logits` as Hugging Face's.
            It may be wrapped by DistributedDataParallel, or by torch.compile, which then compiles
            the parts between the points.
        names: Of the modules, as in `model.named_modules()`, e.g. ["", "layer1", "layer2",
            "layer3"], the paper's choice for ResNets; `suggest_points(model)` finds such names.
            A scheme's `points` count in this list.
        mean: That the network expects its images to be normalised by, one number or one for each
            channel, in units of [0, 1]. None leaves images as they are.
        std: The same; give both or none.

    Raises:
        TypeError: For a model that is no module.
        ValueError: For a name that the model lacks; the nearest is suggested.

    Source: paper sec. 3.1, $f = f_k \circ g_k$.

    >>> net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> points, x = MixPoints(net, ["", "1"]), torch.ones(4, 2)
    >>> bool((points(x, point=1, change=torch.zeros_like) == net[2].bias).all())
    True
    >>> MixPoints(net, ["reLU"])
    Traceback (most recent call last):
    ValueError: Sequential has no module 'reLU' to mix at; nm.suggest_points(model) names some
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str] = ("",),
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch module, got {_checks.shown(model)}")
        if (mean is None) != (std is None):
            lacking = "std" if std is None else "mean"
            raise ValueError(f"give mean and std together: {lacking} is missing")
        self.points = _checked_names(unwrapped(model), names)
        self.normalise = None if mean is None or std is None else Normalise(mean, std)
        self.model = model
        self._targets = tuple(_last_part(unwrapped(model), name) for name in self.points)
        self._compile: Callable[..., Any] | None = None
        self._regions: dict[int, nn.Module] = {}
        # The state dict is the network's own, so its weights load with and without the points.
        self.register_state_dict_post_hook(_without_prefix)
        self.register_load_state_dict_pre_hook(_with_prefix)

    @property
    def num_points(self) -> int:
        """Number of mix points."""
        return len(self.points)

    def check_point(self, point: int) -> int:
        """Return a mix point of this model as an int, or raise ValueError."""
        return checked_point(point, self.num_points)

    def extra_repr(self) -> str:
        return f"points={list(self.points)}"

    def forward(
        self, x: Tensor, *, point: int | None = None, change: Change | None = None
    ) -> Tensor:
        """Return the logits, with the activations h at a mix point replaced by `change(h)`.

        Args:
            x: (B, ...) inputs; images in [0, 1] if the model has mean and std.
            point: The mix point; None changes nothing.
            change: Returns activations of the same shape.

        Raises:
            ValueError: If the module of the point does not run once in a pass, or does not return
                one floating-point tensor with the batch first.
        """
        if self.normalise is not None:
            x = self.normalise(x)
        if point is not None and change is not None:
            # Code compiled in one pass would keep, or lack, the hook of that pass.
            tracing = torch.compiler.is_compiling()
            return uncompiled(self._changed, x, self.check_point(point), change, tracing)
        return logits_of((self.model if self._compile is None else self._by_regions())(x))

    def _changed(self, x: Tensor, point: int, change: Change, tracing: bool) -> Tensor:
        name = self.points[point]
        by_regions = (tracing or self._compile or _compiler_of(self.model)) and not isinstance(
            _without_compiler(self.model), nn.parallel.DistributedDataParallel
        )
        model = self._by_regions() if by_regions else self.model
        if not name:
            return logits_of(model(change(x)))
        target = name if by_regions else self._targets[point]
        hook = _Hook(unwrapped(model).get_submodule(target), name, change, len(x))
        logits = logits_of(hook.run(model, x))
        if logits.requires_grad:
            logits.register_hook(hook.open)
        return logits

    def compiled(self) -> MixPoints:
        """Return these points on the same weights, compiled part by part between the points."""
        shared = copy.copy(self)
        shared._compile = _compiler_of(self.model) or torch.compile
        return shared

    def _by_regions(self) -> nn.Module:
        """Return a shallow copy of the network whose parts between the points are compiled.

        What holds the parts is copied anew in each pass, so it has today's mode and parameters.
        """
        compile: Callable[..., Any] = self._compile or _compiler_of(self.model) or torch.compile
        parents = {""}
        for name in self.points:
            steps = name.split(".")
            parents |= {".".join(steps[:i]) for i in range(len(steps))}

        def copied(module: nn.Module, name: str) -> nn.Module:
            # A list of modules has no pass of its own.
            if name in parents or type(module).forward is nn.Module.forward:
                shallow = copy.copy(module)
                shallow.__dict__["_compiled_call_impl"] = None
                shallow._modules = {
                    key: None if part is None else copied(part, f"{name}.{key}" if name else key)
                    for key, part in module._modules.items()
                }
                return shallow
            if id(module) not in self._regions:
                plain = next(module.parameters(), None) is None or hasattr(module, "_orig_mod")
                self._regions[id(module)] = module if plain else compile(module)
            return self._regions[id(module)]

        return copied(unwrapped(self.model), "")

    def __getstate__(self) -> dict[str, Any]:
        # Compiled parts are made again when they are needed.
        return {**self.__dict__, "_modules": dict(self._modules), "_regions": {}}


Mixable = StagedModel | MixPoints
"""A model with mix points: `model(x, point=k, change=c)` returns its logits with the activations at
point k changed by c."""


class _Hook:
    """Changes the output of a module: in one pass, and where the backward pass repeats it.

    Activation checkpointing repeats a part of the network when the gradient arrives there. So the
    hook comes back when the gradient reaches the logits, and goes when it has passed the change, or
    at the end of the backward pass at the latest.
    """

    def __init__(self, module: nn.Module, name: str, change: Change, batch: int) -> None:
        self.module, self.name, self.change, self.batch = module, name, change, batch
        self.calls = 0
        self.again: torch.utils.hooks.RemovableHandle | None = None

    def run(self, model: nn.Module, x: Tensor) -> Any:
        handle = self.module.register_forward_hook(self._first)
        try:
            output = model(x)
        finally:
            handle.remove()
        if not self.calls:
            raise ValueError(
                f"module {self.name!r} does not run in a pass of {type(model).__name__}, or inside "
                "a part that is compiled or replicated; choose another one, nm.suggest_points("
                "model) names some, and wrap the network before you compile or parallelise it"
            )
        return output

    def _first(self, module: nn.Module, inputs: Any, output: Any) -> Tensor:
        self.calls += 1
        if self.calls > 1:
            raise ValueError(
                f"module {self.name!r} runs more than once in a pass, so it is no one place to mix "
                "at; choose a module that runs once, nm.suggest_points(model) names some"
            )
        fault = output_fault(output, self.batch)
        if fault:
            raise ValueError(
                f"module {self.name!r} returns {fault}, but mixing needs one floating-point tensor "
                f"with the {self.batch} samples on its first axis; choose a module that returns "
                "one, nm.suggest_points(model) names some"
            )
        return self._changed(output)

    def _changed(self, output: Tensor) -> Tensor:
        if output.requires_grad:
            output.register_hook(self._close)
        return self.change(output)

    def open(self, gradient: Tensor) -> None:
        """Be there while the gradient is on its way from the logits to the mix point."""
        self._close()
        self.again = self.module.register_forward_hook(self._repeated)
        torch.autograd.Variable._execution_engine.queue_callback(self._close)

    def _repeated(self, module: nn.Module, inputs: Any, output: Any) -> Tensor | None:
        if torch._C._current_graph_task_id() == -1:  # a backward pass that ended by an error
            self._close()
            return None
        return self._changed(output)

    def _close(self, gradient: Tensor | None = None) -> None:
        if self.again is not None:
            self.again.remove()
            self.again = None


def output_fault(output: Any, batch: int) -> str:
    """Say what an output is, unless it is one floating-point tensor with the batch first."""
    if not isinstance(output, Tensor):
        held = f" of {len(output)}" if isinstance(output, (tuple, list, Mapping)) else ""
        return f"a {type(output).__name__}{held}"
    if not output.is_floating_point() or not output.ndim or len(output) != batch:
        return f"{output.dtype} of shape {tuple(output.shape)}"
    return ""


def _checked_names(network: nn.Module, names: Sequence[str]) -> tuple[str, ...]:
    given = (names,) if isinstance(names, str) else tuple(names)
    known = [name for name, _ in network.named_modules(remove_duplicate=False)]
    if not given:
        raise ValueError("names must hold at least one mix point; '' is the input")
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3)
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise ValueError(
                f"{type(network).__name__} has no module {name!r} to mix at; {hint}"
                "nm.suggest_points(model) names some"
            )
    twice = [name for name in given if given.count(name) > 1]
    if twice:
        raise ValueError(f"mix point {twice[0]!r} is named twice; leave one out")
    return given


def _last_part(network: nn.Module, name: str) -> str:
    """Return the last part of a sequence: checkpointing runs the parts, not the sequence."""
    every = [module for _, module in network.named_modules(remove_duplicate=False)]
    while name:
        module = network.get_submodule(name)
        if type(module).forward is not nn.Sequential.forward or not len(module):  # type: ignore[arg-type]
            break
        key, last = list(module.named_children())[-1]
        if sum(other is last for other in every) > 1:
            break
        name = f"{name}.{key}"
    return name


def _without_compiler(model: nn.Module) -> nn.Module:
    inner = getattr(model, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else model


def _compiler_of(model: nn.Module) -> Callable[..., Any] | None:
    """Return what compiled a model, with its options, or None."""
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        options: Any = model.dynamo_ctx
        return options
    return torch.compile if model._compiled_call_impl is not None else None


def _without_prefix(
    module: nn.Module, weights: dict[str, Any], prefix: str, metadata: Mapping[str, Any]
) -> None:
    inner = f"{prefix}model."
    for name in [name for name in weights if name.startswith(inner)]:
        weights[prefix + name.removeprefix(inner)] = weights.pop(name)


def _with_prefix(module: nn.Module, weights: dict[str, Any], prefix: str, *others: Any) -> None:
    for name in [name for name in weights if name.startswith(prefix)]:
        weights[f"{prefix}model.{name.removeprefix(prefix)}"] = weights.pop(name)
