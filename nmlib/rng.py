"""Explicit randomness: one seed gives any number of independent streams without state."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nmlib import _checks
from nmlib._memory import lacks_memory

if TYPE_CHECKING:
    import torch

__all__ = ["Rng", "checked_rng", "default_device", "named_device", "usable_device"]


def default_device() -> torch.device:
    """Return PyTorch's accelerator (CUDA, XPU, ...), or the CPU if there is none.

    An accelerator without double precision (Apple's MPS) does not count: AugMix and the
    corruptions compute positions in double precision.

    >>> default_device().type in {"cpu", "cuda", "xpu"}
    True
    """
    import torch

    if torch.accelerator.is_available():
        device = torch.accelerator.current_accelerator()
        if device is not None and _has_doubles(device):
            return device
    return torch.device("cpu")


def named_device(name: torch.device | str) -> torch.device:
    """Return the device with a name, or raise ValueError if PyTorch has no such device."""
    import torch

    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"unknown device {name!r}; this machine has {str(default_device())!r}"
        ) from error


def usable_device(name: torch.device | str) -> torch.device:
    """Return the device with a name if this machine can compute on it.

    Raises:
        ValueError: For a device that PyTorch or this machine lacks.
        RuntimeError: If its memory is full.

    >>> usable_device("cpu")
    device(type='cpu')
    """
    import torch

    device = named_device(name)
    try:
        torch.empty(1, device=device).cpu()  # .cpu() fails on "meta"
    except (RuntimeError, AssertionError, ImportError) as error:
        if isinstance(error, RuntimeError) and lacks_memory(error):
            raise
        raise ValueError(
            f"device {str(device)!r} cannot be used here ({str(error).splitlines()[0][:200]}); "
            f"this machine has {str(default_device())!r}"
        ) from error
    return device


def _has_doubles(device: torch.device) -> bool:
    import torch

    try:
        torch.empty(1, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):
        return False
    return True


def _plain(purpose: str | int) -> str | int:
    found = _checks.plain(purpose)
    if type(found) is float and found.is_integer():
        found = int(found)
    if type(found) in (str, int):
        return found
    raise TypeError(f"name a stream by strings and integers, got {_checks.shown(purpose)}")


@dataclass(frozen=True)
class Rng:
    """A named random stream; folding a purpose into it gives an independent one.

    A stream is a key without a position: the same key always gives the same numbers, in whatever
    order streams are used. So switching the noise off leaves the mixup draws unchanged, and a
    resumed run needs no saved random state.

    Args:
        seed: Any non-negative integer.
        device: Where `torch()` draws. Small decisions come from `numpy()`, which ignores it: every
            device makes the same decisions.
        path: The purposes folded in so far.

    >>> rng = Rng(0)
    >>> a = rng.fold("mix", 3).numpy().random()
    >>> a == Rng(0).fold("mix", 3).numpy().random()
    True
    >>> a == rng.fold("noise", 3).numpy().random()
    False
    """

    seed: int
    device: torch.device | str = "cpu"
    path: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        # The key is a repr, and NumPy versions print NumPy integers differently: keep plain ones.
        # Every fold passes here, so plain integers skip the slower check.
        if type(self.seed) is not int or self.seed < 0:
            _checks.keep(self, _checks.integer, "seed", least=0)
        object.__setattr__(self, "path", tuple(_plain(p) for p in self.path))

    def fold(self, *purpose: str | int) -> Rng:
        """Return the independent stream for `purpose` (names, epochs, steps, indices)."""
        return Rng(self.seed, self.device, (*self.path, *purpose))

    def to(self, device: torch.device | str) -> Rng:
        """Return the same stream with `torch()` drawing on `device`."""
        return Rng(self.seed, device, self.path)

    def _key(self) -> int:
        # repr distinguishes 1 from "1"; blake2b spreads neighbouring keys over all 64 bits.
        text = repr((self.seed, self.path)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")

    def numpy(self) -> np.random.Generator:
        """Return a fresh NumPy generator, for decisions that are the same on every device."""
        return np.random.Generator(np.random.PCG64(self._key()))

    def torch(self) -> torch.Generator:
        """Return a fresh torch generator on `device`, for whole fields.

        PyTorch's CPU generator uses only 32 bits of its seed: among 10,000 streams, two start
        identically with a probability of about 1 %. `numpy()` uses all 64 bits.
        """
        import torch

        # torch seeds are signed 64-bit integers; 63 bits suit every backend.
        return torch.Generator(device=self.device).manual_seed(self._key() >> 1)


def checked_rng(rng: Rng) -> Rng:
    """Return a stream, or raise TypeError for a seed or a generator in its place."""
    if not isinstance(rng, Rng):
        raise TypeError(
            "rng must be an nmlib.Rng such as Rng(seed).fold(epoch, step), got "
            f"{_checks.shown(rng)}"
        )
    return rng
