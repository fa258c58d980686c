"""The last bits of floats, which are the processor's affair.

Sums run in another order, products and sums are rounded once or twice, and exponentials come from
another table, according to the processor, the number of threads, and the shape of the batch. So
tests compare floats to rounding error, but where the same operation ran on the same shapes; bytes
that were cut off from floats are compared by `same_levels`.

As a pytest plugin (`pytest -p rounding`), this module changes those bits itself;
`tools/other_processors.py` runs the numeric tests so.
"""

from __future__ import annotations

import functools
import re
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ROUNDED_LEVELS = {"defocus_blur", "motion_blur", "snow", "elastic_transform"}
"""Corruptions whose levels are sums in single precision.

The others look levels up, take whole numbers, one rounded operation an element after another, or
double precision, where rounding reaches the next level once in 10^12 values.
"""


def same_levels(found: Any, wanted: Any, *, share: float = 1e-3) -> None:
    """Fail unless two arrays of bytes are the same picture, rounded as any processor may round it.

    Levels are cut off to bytes from single precision, whose unit is 1.5e-5 of a level at 255. The
    longest sums here round some sixty times, which makes 1e-3 of a level at most. So that share of
    the values may lie on the other side of a whole number, and differ by one.
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype == np.uint8 and found.shape == wanted.shape
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max(initial=0) <= 1
    assert np.count_nonzero(difference) <= share * difference.size


def same_images(corruption: str, found: Any, wanted: Any) -> None:
    """`same_levels`, or byte for byte where all processors agree; in chunks of any size."""
    same_levels(found, wanted, share=1e-3 if corruption in ROUNDED_LEVELS else 0)


def same_but_few(found: Any, wanted: Any) -> None:
    """Fail unless images agree that went on from `same_levels`.

    A later operation may make many levels of one (solarize, posterize): where there is a
    difference, it has no bound.
    """
    found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    assert found.shape == wanted.shape
    assert (np.abs(found - wanted) > 1e-6).mean() <= 1e-3


# -- other last bits -------------------------------------------------------------------------------

SUMS = re.compile(
    r"""
    mm | bmm | addmm | addmv | mv | dot | vdot | baddbmm | linear | convolution | sum | mean |
    cumsum | prod | avg_pool2d | _adaptive_avg_pool2d | adaptive_avg_pool2d |
    upsample_bilinear2d | addcmul | addcdiv | lerp
    """,
    re.VERBOSE,
)
"""Exact, hence the same everywhere, where all numbers have few digits."""

FUNCTIONS = re.compile(
    r"""
    var | std | var_mean | std_mean | linalg_vector_norm | logsumexp | _softmax | _log_softmax |
    nll_loss_forward | mse_loss | native_batch_norm | native_layer_norm | native_group_norm |
    grid_sampler_2d | _cdist_forward | exp | exp2 | expm1 | log | log2 | log10 | log1p | sin |
    cos | tan | asin | acos | atan | atan2 | sinh | cosh | tanh | sigmoid |
    log_sigmoid_forward | softplus | silu | gelu | elu | erf | erfc | erfinv | lgamma |
    digamma | rsqrt | logit | hypot | xlogy | normal_ | randn | _fft_r2c | _fft_c2c | _fft_c2r |
    linalg_cholesky_ex | _linalg_solve_ex | _linalg_svd | _linalg_eigh
    """,
    re.VERBOSE,
)
COPIES = re.compile(
    r"""
    select_backward | slice_backward | threshold_backward | index_select_backward |
    diagonal_backward | unfold_backward | value_selecting_reduction_backward |
    max_pool2d_with_indices_backward
    """,
    re.VERBOSE,
)
MANTISSA = {torch.float32: 24, torch.float64: 53}


def _places(values: Tensor) -> int:
    """Return how many binary places the numbers have: 0, 8 or 22, and 60 for more."""
    if values.numel() and float(values[(0,) * values.ndim]) * 2.0**22 % 1 != 0:
        return 60
    return next((k for k in (0, 8, 22) if bool((values * 2.0**k % 1 == 0).all())), 60)


def _exact(name: str, given: list[Tensor], result: Tensor) -> bool:
    """Whether no partial sum needs rounding."""
    if not SUMS.fullmatch(name):
        return False
    numbers = [t.values() if t.layout == torch.sparse_csr else t for t in given]
    places = sum(_places(t) for t in numbers if t.is_floating_point())
    largest = float(result.abs().amax()) if result.numel() else 0.0
    return 16 * largest * 2.0**places < 2.0 ** MANTISSA[result.dtype]


@functools.lru_cache(maxsize=2000)
def _factors(count: int, key: int, dtype: torch.dtype) -> Tensor:
    """Return numbers 1 - eps, 1 and 1 + eps, scattered."""
    word = torch.arange(count).mul_(0x9E3779B1).add_(key)
    step = (word ^ word >> 15).mul_(0x85EBCA6B).bitwise_right_shift_(13).remainder_(3).sub_(1)
    return 1 + step.to(dtype) * torch.finfo(dtype).eps


def _shift(values: Any, key: int) -> Any:
    """Move numbers by their last bit, up, down or not at all, by their place and a key."""
    if not isinstance(values, Tensor) or values.dtype not in MANTISSA:
        return values
    if values.layout != torch.strided or values.device.type != "cpu":
        return values
    make = _factors if values.numel() < 1 << 16 else _factors.__wrapped__
    moved = values * make(values.numel(), key, values.dtype).view(values.shape)
    return torch.where(moved.isfinite(), moved, values)


class OtherLastBits(TorchDispatchMode):
    """Whatever a processor may round otherwise comes out otherwise.

    The change depends on the operation and on the shapes and strides of its arguments alone: what
    runs twice on the same shapes has the same bits, as on any processor, and a batch of another
    size has others.
    """

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if types:  # no numbers: torch.export
            return function(*args, **kwargs)
        if torch.is_inference_mode_enabled():
            # Not taken apart by autograd before it comes here.
            with self:
                result = function.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        name = function._schema.name.removeprefix("aten::")
        base = name if name == "normal_" else name.rstrip("_")
        fused = base in ("add", "sub") and kwargs.get("alpha", 1) not in (1, -1)
        power = base == "pow" and args[1:] not in {(k,) for k in (-2, -1, -0.5, 0.5, 1, 2, 3)}
        backward = "backward" in base and not COPIES.fullmatch(base)
        known = SUMS.fullmatch(base) or FUNCTIONS.fullmatch(base)
        if not (known or fused or power or backward):
            return function(*args, **kwargs)
        start = args[0].clone() if base in ("add", "sub", "addcmul", "lerp") else None
        result = function(*args, **kwargs)
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        if isinstance(result, Tensor) and result.dtype in MANTISSA and _exact(base, given, result):
            return result
        shapes = [
            (*t.shape, *(t.stride() if t.layout == torch.strided else ()), t.dtype) for t in given
        ]
        key = zlib.crc32(f"{name} {shapes}".encode())
        moved = tree_map(lambda t: _shift(t, key), result)
        if start is not None:
            # What adds nothing rounds nothing.
            moved = torch.where(result == start, result, moved)
        written = name.endswith("_") or "out" in kwargs
        return result.copy_(moved) if written and isinstance(result, Tensor) else moved


def pytest_configure() -> None:
    """Take threads along, which a mode does not reach."""
    plain = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        with OtherLastBits():
            plain(thread)

    threading.Thread.run = run  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run every test so, when this module is loaded as a plugin."""
    with OtherLastBits():
        return (yield)
