"""CUDA rehearsed on a CPU: tensors that say they are on a GPU, and CUDA's rules for them.

Inside `rehearse()`, `x.to("cuda:0")`, `torch.zeros(3, device="cuda:0")` and
`torch.Generator("cuda:0")` work. Their memory is marked and stays the CPU's, so that values and
gradients flow. What CUDA refuses raises `Fault`: tensors of two places in one operation (CPU
tensors without axes may join element by element, CPU indices may index), a generator of another
place, `numpy()` of a device tensor. So does a draw from PyTorch's global state, which nmlib never
wants. Where a GPU would have to catch up with Python, the wait is written down with the function
of nmlib that asks for it; so are copies to the GPU from memory that is not pinned.

Two modes share the work. The one for functions sees what Python says (`.device`, `.to`, `device=`).
The one for operations sees what is computed, in backward passes and optimisers too. Worker threads
see neither, and nmlib uses them for CPU tensors alone.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
PINNED = "pinned"
aten = torch.ops.aten

# Operations whose result tells Python something: a size, a number, an error.
WAITING = {
    aten._local_scalar_dense, aten.equal, aten.nonzero, aten.nonzero_numpy, aten.masked_select,
    aten.bincount, aten.unique_dim, aten._unique2, aten._unique, aten.unique_consecutive,
    aten._linalg_check_errors, aten.allclose,
}  # fmt: skip
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
ONLY_SHAPES = {aten.is_same_size}
# Element by element, though PyTorch does not label them so.
ELEMENTWISE = {aten.fill_, aten.masked_fill, aten.masked_fill_, aten.lerp, aten.where}


class Fault(RuntimeError):
    """What CUDA refuses, or gets wrong in silence."""


def tensors_in(*values):
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def storage_of(x):
    """The memory behind a tensor: views, detached tensors and parameters share it."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        x = functorch.get_unwrapped(x)
    return (x if x.layout is torch.strided else x.values()).untyped_storage()


def place_of(x):
    """The device that a tensor is on, as far as anybody can tell."""
    mark = getattr(storage_of(x), "rehearsed", None) if isinstance(x, Tensor) else None
    return mark if isinstance(mark, torch.device) else x.device


def is_pinned(x):
    return getattr(storage_of(x), "rehearsed", None) == PINNED


def put(x, place):
    """Mark the memory of a fresh tensor."""
    storage_of(x).rehearsed = place if place == PINNED or place.type == "cuda" else None
    return x


def as_place(device):
    device = torch.device(device)
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


class Rehearsal:
    """What happened.

    Attributes:
        waits: How often each function of nmlib ("module:name") made Python wait for the GPU, or
            copied to it from memory that is not pinned.
    """

    @property
    def waiting(self):
        """The modules of these functions."""
        return {name.split(":")[0] for name in self.waits}

    def __init__(self):
        self.waits = Counter()
        self.here = None  # where the call in hand puts what it makes, if it names no tensor
        self.silent = False

    def wait(self):
        if not self.silent:
            self.waits[_asking()] += 1


def _asking():
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.split(".")[0] == "nmlib" and name != "nmlib._checks":  # they ask for others
            return f"{name}:{frame.f_code.co_qualname.replace('.<locals>', '')}"
        frame = frame.f_back
    return "outside"


class Operations(TorchDispatchMode):
    """Checks every operation and marks what comes out of it."""

    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = tensors_in(args, kwargs)
        place = self._place(func, args, kwargs, given)
        drawn = torch.Tag.nondeterministic_seeded in func.tags
        if (
            drawn
            and not any(x.is_meta for x in given)
            and not any(isinstance(v, torch._C.Generator) for v in tree_leaves((args, kwargs)))
        ):
            raise Fault(f"{func} draws from the global random state")
        out = func(*args, **kwargs)
        if place.type == "cuda":
            before = {storage_of(x)._cdata for x in given}
            for x in tensors_in(out):
                if storage_of(x)._cdata not in before:
                    put(x, place)
        return out

    def _place(self, func, args, kwargs, given):
        """Where the operation takes place; raises if that is nowhere."""
        packet = func.overloadpacket
        places = {place_of(x) for x in given}
        devices = {p for p in places if p.type == "cuda"}
        if not devices or packet in ONLY_SHAPES:
            return self.stage.here if not given and self.stage.here is not None else CPU
        if packet in WAITING:
            self.stage.wait()
        if packet is aten.copy_:
            self._copy(args[0], args[1], (*args, kwargs.get("non_blocking", False))[2])
            return place_of(args[0])
        if packet in INDEXING:
            indices = [i for i in args[1] if i is not None]
            if place_of(args[0]).type == "cpu":
                raise Fault(f"{func}: an index on the GPU for a tensor on the CPU")
            if any(i.dtype in (torch.bool, torch.uint8) for i in indices):
                self.stage.wait()  # to count what is chosen
            elif any(place_of(i).type == "cpu" for i in indices):
                self.stage.wait()  # to bring the index there
            given = [x for x in given if all(x is not i for i in indices)]
        by_name = dict(zip([a.name for a in func._schema.arguments], args, strict=False)) | kwargs
        written = tensors_in(
            [
                by_name.get(a.name)
                for a in func._schema.arguments
                if a.alias_info is not None and a.alias_info.is_write
            ]
        )
        joins = (
            torch.Tag.pointwise in func.tags or packet in ELEMENTWISE or packet in INDEXING
            or packet.__name__.startswith("_foreach")
        )  # fmt: skip
        for x in given:
            scalar = joins and place_of(x).type == "cpu" and x.ndim == 0
            if place_of(x) not in devices and (not scalar or any(x is w for w in written)):
                break
        else:
            if len(devices) == 1:
                return devices.pop()
        raise Fault(
            f"{func}: expected all tensors to be on the same device, found "
            f"{', '.join(sorted(map(str, places)))}"
        )

    def _copy(self, to, source, non_blocking):
        """Copy between places; within one it does not matter."""
        if place_of(to) == place_of(source):
            return
        if place_of(to).type == "cpu" and non_blocking:
            raise Fault("a copy to the CPU that does not block is read before it is there")
        if not non_blocking:
            self.stage.wait()


class Calls(TorchFunctionMode):
    """Answers what Python asks of devices and carries tensors from one to another."""

    def __init__(self, stage):
        super().__init__()
        self.stage = stage
        self.own = {
            Tensor.device.__get__: place_of,
            Tensor.is_cuda.__get__: lambda x: place_of(x).type == "cuda",
            Tensor.is_cpu.__get__: lambda x: place_of(x).type == "cpu",
            Tensor.get_device: lambda x: -1 if place_of(x).type == "cpu" else place_of(x).index,
            Tensor.to: self._to,
            Tensor.cpu: lambda x, **options: self._move(x, CPU, **options),
            Tensor.cuda: lambda x, device=GPU, **rest: self._move(x, as_place(device), **rest),
            Tensor.pin_memory: self._pin,
            Tensor.is_pinned: is_pinned,
            Tensor.numpy: self._numpy,
            Tensor.__array__: self._array,
            Tensor.tolist: self._read,
            Tensor.__repr__: self._read,
            Tensor.new_tensor: self._new_tensor,
            torch.as_tensor: self._as_tensor,
        }

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in self.own:
            return self.own[func](*args, **kwargs)
        places = {place_of(x) for x in tensors_in(args, kwargs)}
        wanted = kwargs.get("device")
        here = next((p for p in places if p.type == "cuda"), None)
        if wanted is not None:
            here = as_place(wanted)
            if here.type == "cuda":
                kwargs["device"] = CPU
        for generator in tree_leaves((args, kwargs)):
            if isinstance(generator, torch._C.Generator):
                self._check_generator(func, generator, here or CPU)
        outer = self.stage.here, self.stage.silent
        # Given the number of classes, it looks at the labels of a CPU alone.
        one_hot = func is torch.nn.functional.one_hot
        known = one_hot and (*args, kwargs.get("num_classes", -1))[1] >= 0
        self.stage.here, self.stage.silent = here, outer[1] or known
        try:
            out = func(*args, **kwargs)
        finally:
            self.stage.here, self.stage.silent = outer
        if wanted is not None and here.type in ("cpu", "cuda"):
            if func in (torch.tensor, torch.asarray) and here.type == "cuda":
                self.stage.wait()
            for x in tensors_in(out):
                put(x, here)
        return out

    def _check_generator(self, func, generator, place):
        # PyTorch's own is the global state.
        if generator is torch.default_generator:
            raise Fault(f"{func} draws from the global random state")
        if as_place(generator.device) != place:
            raise Fault(f"{func}: a generator on {generator.device} for a tensor on {place}")

    def _to(self, x, *args, **kwargs):
        if args and isinstance(args[0], Tensor):
            args = (place_of(args[0]), args[0].dtype, *args[1:])
        copy = kwargs.pop("copy", False)
        if len(args) and args[-1] is True and sum(isinstance(a, bool) for a in args) == 2:
            copy, args = True, args[:-1]
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        place = place_of(x) if device is None else as_place(device)
        options = {"memory_format": layout} if layout is not None else {}
        return self._move(x, place, dtype, non_blocking, copy, **options)

    def _move(self, x, place, dtype=None, non_blocking=False, copy=False, **options):
        dtype, source = dtype or x.dtype, place_of(x)
        if place == source or "meta" in (place.type, source.type):
            target = {"device": place} if place.type == "meta" else {}
            return x.to(dtype=dtype, copy=copy, **target, **options)
        if source.type == "cuda":
            if non_blocking:
                raise Fault("a copy to the CPU that does not block is read before it is there")
            self.stage.wait()
        elif not non_blocking or (x.numel() and not is_pinned(x)):
            self.stage.wait()
        return put(x.to(dtype=dtype, copy=True, **options), place)

    def _pin(self, x):
        if place_of(x).type == "cuda":
            raise Fault("only the CPU's memory can be pinned")
        return x if is_pinned(x) else put(x.clone(), PINNED)

    def _numpy(self, x, **options):
        if place_of(x).type == "cuda":
            raise Fault("can't convert a tensor on the GPU to NumPy; use Tensor.cpu() first")
        return x.numpy(**options)

    def _array(self, x, dtype=None):
        self._numpy(x.detach())
        return x.__array__(dtype)

    def _read(self, x, **options):
        if place_of(x).type == "cuda":
            self.stage.wait()
        return repr(x) if options else x.tolist()

    def _new_tensor(self, x, data, dtype=None, device=None, **options):
        place = place_of(x) if device is None else as_place(device)
        return self._move(torch.tensor(data, dtype=dtype or x.dtype, **options), place)

    def _as_tensor(self, data, dtype=None, device=None):
        made = data if isinstance(data, Tensor) else torch.as_tensor(data, dtype=dtype)
        place = place_of(made) if device is None else as_place(device)
        return self._move(made, place, dtype)


class PlacedGenerator(torch.Generator):
    """A generator of the CPU that says where it is."""

    def __new__(cls, device=CPU):
        made = super().__new__(cls, device="cpu")
        made.place = as_place(device)
        return made

    @property
    def device(self):
        return self.place


@contextmanager
def rehearse():
    """Pretend that there is a GPU, and yield the `Rehearsal`."""
    stage = Rehearsal()
    with ExitStack() as stack:
        stack.enter_context(mock.patch("torch.Generator", PlacedGenerator))
        stack.enter_context(mock.patch("torch.cuda.get_device_name", lambda device: "rehearsed"))
        stack.enter_context(Operations(stage))
        stack.enter_context(Calls(stage))
        yield stage
