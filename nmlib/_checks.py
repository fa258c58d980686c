"""Validate arguments and convert them; each error names the bad value and a remedy.

Numbers, classes, arrays and images may come from Python, NumPy, PyTorch, pandas or Pillow. Every
public function converts them here to plain numbers and ordinary tensors. Only a function that makes
a tensor imports torch.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def is_tensor(value: Any) -> TypeGuard[Tensor]:
    """Return whether a value is a tensor: none is, as long as nobody has imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_array(value: Any) -> bool:
    """Return whether a value is a tensor or an array."""
    return isinstance(value, np.ndarray) or is_tensor(value)


# -- numbers ------------------------------------------------------------------------------------


class WrongNumber(TypeError, ValueError):
    """A value of the wrong type for a number: both a TypeError and a ValueError."""


def plain(value: Any) -> Any:
    """Convert a scalar of NumPy or PyTorch to a Python value; return everything else unchanged.

    A float32 becomes the shortest decimal that rounds to it: 0.1, not 0.100000001490116. So the
    same setting compares equal whether it was a float or a float32.

    >>> plain(np.float32(0.1)), plain(np.array(3)), plain(np.bool_(True)), plain("fog")
    (0.1, 3, True, 'fog')
    """
    if type(value) in (int, float, bool, str):
        return value
    if is_array(value) and value.ndim:
        return value
    if is_tensor(value):
        value = value.detach().cpu()
        if value.is_floating_point() and str(value.dtype) not in _IN_NUMPY:
            return _shortest(value)
    if is_array(value):
        value = np.asarray(value)[()]
    if isinstance(value, np.floating):
        return float(str(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (Real, Decimal)):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


_IN_NUMPY = ("torch.float16", "torch.float32", "torch.float64")


def _shortest(value: Tensor) -> float:
    """Return the shortest decimal that rounds to a scalar of a type NumPy lacks (bfloat16)."""
    exact = value.double()
    texts = (f"{exact.item():.{digits}g}" for digits in range(1, 18))
    return next(
        (f for f in map(float, texts) if exact.new_tensor(f).to(value) == value), exact.item()
    )


_Function = TypeVar("_Function", bound=Callable[..., Any])


def remembered(size: int) -> Callable[[_Function], _Function]:
    """Cache the last `size` results of a function of numbers and strings.

    Unlike a bare `lru_cache`, it distinguishes True from 1 and accepts NumPy scalars; unhashable
    arguments reach the function, which reports them.
    """

    def decorate(function: _Function) -> _Function:
        kept = functools.lru_cache(maxsize=size, typed=True)(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = tuple(map(plain, args)), {k: plain(v) for k, v in kwargs.items()}
            known = all(
                isinstance(v, (int, float, str, type(None))) for v in (*args, *kwargs.values())
            )
            return (kept if known else function)(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


def shown(value: Any) -> str:
    """Return a short one-line repr of a value, for messages."""
    text = " ".join(repr(plain(value)).split())
    return text if len(text) <= 80 else f"{text[:76]} ..."


def integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number as an int, or raise.

    3.0 passes, as pandas columns with gaps and sliders give such floats. True does not.

    >>> integer("epochs", np.int64(10), 1), integer("seed", 3.0)
    (10, 3)
    >>> integer("seed", 1.5, 0)
    Traceback (most recent call last):
    nmlib._checks.WrongNumber: seed must be an integer >= 0, got 1.5
    """
    found = plain(value)
    if type(found) is float and found.is_integer():
        found = int(found)
    limits = f" >= {least}" if most is None else f" from {least} to {most}"
    limits = "" if least is None else limits
    if type(found) is not int:
        raise WrongNumber(f"{name} must be an integer{limits}, got {shown(value)}")
    if (least is not None and found < least) or (most is not None and found > most):
        raise ValueError(f"{name} must be an integer{limits}, got {shown(value)}")
    return found


def integers(
    name: str, values: Any, least: int | None = None, most: int | None = None
) -> tuple[int, ...]:
    """Return one whole number or several as a tuple, or raise; see `integer`.

    >>> integers("points", np.arange(2)), integers("points", [3.0, 3]), integers("points", 1)
    ((0, 1), (3, 3), (1,))
    """
    return _each(name, values, lambda value: integer(name, value, least, most))


def _each(name: str, values: Any, check: Callable[[Any], Any]) -> tuple[Any, ...]:
    values = plain(values)
    several = values if isinstance(values, Iterable) and not isinstance(values, str) else (values,)
    several = tuple(several)
    try:
        found = tuple(check(value) for value in several)
    except ValueError as error:
        if len(several) < 2:
            raise
        where = f"{shown(tuple(map(plain, several)))}, which holds"
        raise type(error)(str(error).replace(", got ", f", got {where} ", 1)) from None
    if not found:
        raise ValueError(f"no {name} was given; give at least one number")
    return found


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    ends: str = "[]",
    remedy: str = "",
) -> float:
    """Return a finite number between two limits as a Python number, or raise.

    Args:
        name: Name of the argument, for the message.
        value: The argument.
        low: Lower limit.
        high: Upper limit.
        ends: "(" and ")" exclude a limit itself.
        remedy: For the message.

    >>> number("prob", np.float32(0.5), 0, 1), number("gamma", 12)
    (0.5, 12)
    >>> number("sparsity", 1, 0, 1, ends="[)", remedy="use noise=None")
    Traceback (most recent call last):
    ValueError: sparsity must lie in [0, 1), got 1; use noise=None
    """
    found = plain(value)
    if type(found) not in (int, float):
        raise WrongNumber(f"{name} must be a number, got {shown(value)}")
    above = found > low if ends[0] == "(" else found >= low
    below = found < high if ends[1] == ")" else found <= high
    # NaN fails every comparison; an int may be too large for a float.
    if above and below and abs(found) <= sys.float_info.max:
        return found
    if high == math.inf:
        sign = ">" if ends[0] == "(" else ">="
        wanted = "be a finite number" + (f" {sign} {low}" if low > -math.inf else "")
    else:
        wanted = f"lie in {ends[0]}{low}, {high}{ends[1]}"
    raise ValueError(
        f"{name} must {wanted}, got {shown(found)}" + (f"; {remedy}" if remedy else "")
    )


def numbers(name: str, values: Any, *limits: float, **more: Any) -> tuple[float, ...]:
    """Return one number or several as a tuple, or raise; other arguments as for `number`."""
    return _each(name, values, lambda value: number(name, value, *limits, **more))


def non_negative(name: str, value: Any) -> float:
    return number(name, value, 0)


def positive(name: str, value: Any, remedy: str = "") -> float:
    return number(name, value, 0, ends="(]", remedy=remedy)


def truth(name: str, value: Any) -> bool:
    """Return True or False as a bool, or raise TypeError."""
    found = plain(value)
    if type(found) is not bool:
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return found


def keep(record: Any, check: Callable[..., Any], *names: str, **limits: Any) -> None:
    """Replace fields of a frozen dataclass by what a check returns for them."""
    for name in names:
        object.__setattr__(record, name, check(name, getattr(record, name), **limits))


def choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return one of the allowed values, or raise ValueError, suggesting the nearest."""
    value, allowed = plain(value), list(allowed)
    if is_array(value) or value not in allowed:
        by_lower = {option.lower(): option for option in allowed}
        near = difflib.get_close_matches(str(value).lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]!r}?" if near else "."
        raise ValueError(f"unknown {name} {shown(value)}{hint} Choose from: {', '.join(allowed)}")
    return value


def as_tuple(values: Any) -> tuple[Any, ...]:
    """Return distinct values as a tuple; a single value becomes a tuple of one.

    >>> as_tuple("fog"), as_tuple(3), as_tuple(["fog", "snow", "fog"]), as_tuple(np.arange(2))
    (('fog',), (3,), ('fog', 'snow'), (0, 1))
    """
    values = plain(values)
    if isinstance(values, str) or not isinstance(values, Iterable):
        return (values,)
    return tuple(dict.fromkeys(map(plain, values)))


def storable(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON restores them: plain numbers, lists for tuples and arrays."""

    def convert(value: Any) -> Any:
        found = plain(value)
        if found is value:
            if not is_array(value):
                raise TypeError
            return value.tolist()
        return found

    kept = {}
    for key, value in values.items():
        try:
            kept[str(key)] = json.loads(json.dumps(value, default=convert, allow_nan=False))
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}[{key!r}] = {shown(value)} cannot be stored; use text, finite numbers or "
                "lists of them"
            ) from None
    return kept


# -- arrays and classes -------------------------------------------------------------------------


def tensor(name: str, values: Any) -> Tensor:
    """Return numbers as a tensor, without a copy where possible.

    Accepts tensors, lists, ranges, arrays of any memory and byte order, pandas series, Pillow
    images, and lists of these.

    Raises:
        TypeError: For values that are not numbers.
        ValueError: For nested lists of different lengths.
    """
    import torch

    if not isinstance(values, torch.Tensor):
        array = _numeric(name, values)
        # PyTorch rejects swapped bytes and negative strides, and warns about read-only memory.
        strides = min(array.strides, default=0)
        usable = array.dtype.isnative and array.flags.writeable and strides >= 0
        values = torch.from_numpy(array if usable else array.astype(array.dtype.newbyteorder("=")))
    if values.is_complex():
        raise TypeError(f"{name} must be real numbers, got {values.dtype}")
    # PyTorch supports few operations on these.
    if values.dtype in (torch.uint16, torch.uint32, torch.uint64):
        wide, values = values, values.long()
        if wide.dtype == torch.uint64 and bool((values < 0).any()):
            worst = values[values < 0].max().item() + 2**64
            raise ValueError(f"{name} must lie below 2**63, got {worst}")
    # The same holds for 8-bit floats.
    narrow = values.is_floating_point() and values.dtype.itemsize == 1
    return values.float() if narrow else values


def _numeric(name: str, values: Any) -> NDArray[Any]:
    """Return anything but a tensor as an array of numbers; see `tensor`."""
    if np.ma.is_masked(values):
        raise ValueError(
            f"{np.ma.count_masked(values)} entries of {name} are masked; leave them out, or fill "
            "them with filled()"
        )
    if isinstance(values, (list, tuple)) and any(map(is_tensor, values)):
        values = [v.detach().cpu().numpy() if is_tensor(v) else v for v in values]
    try:
        array = np.asarray(values)
        if array.dtype == object:  # pandas integers with gaps, Python fractions
            array = np.array([plain(v) for v in array.flat]).reshape(array.shape)
    except (ValueError, TypeError, RuntimeError, OverflowError):
        raise ValueError(
            f"{name} must be numbers in lists of one shape, got {shown(values)}"
        ) from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be numbers, got {shown(values)}")
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def table(name: str, values: Any) -> dict[str, Any]:
    """Return a mapping or a pandas series as a dict, or raise TypeError."""
    if not hasattr(values, "items"):
        raise TypeError(f"{name} must be a dict of names and numbers, got {shown(values)}")
    return dict(values.items())


def array(name: str, values: Any) -> NDArray[np.float64]:
    """Return numbers as a new float64 array; accepts what `tensor` does."""
    if is_tensor(values):
        values = tensor(name, values).detach().cpu().double().numpy()
    return np.array(_numeric(name, values), np.float64)


def class_labels(
    y: Any, num_classes: int | None = None, *, name: str = "labels", validate: bool = True
) -> Tensor:
    """Return integer labels as int64, or raise unless they lie in [0, num_classes).

    Args:
        y: Labels of any shape.
        num_classes: K; None for no upper limit.
        name: For the message.
        validate: Check the values (costs a synchronisation on a GPU).
    """
    import torch

    labels = tensor(name, y)
    if not labels.numel():
        return labels.long()
    if labels.dtype == torch.bool or labels.is_floating_point():
        remedy = "use torch.as_tensor(y).long()"
        if bool((labels != labels.long()).any()):
            remedy = "these are not all whole numbers"
        raise TypeError(f"{name} must be integers, got dtype {labels.dtype}; {remedy}")
    labels = labels.long()
    if validate:
        low, high = (int(v) for v in labels.aminmax())
        if num_classes is None and low < 0:
            raise ValueError(f"label {low} is negative; labels count from 0")
        if num_classes is not None and (low < 0 or high >= num_classes):
            raise ValueError(
                f"label {low if low < 0 else high} is out of range for {num_classes} classes; "
                f"labels count from 0 to {num_classes - 1}"
            )
    return labels


def labels_of_samples(y: Any, x: Tensor) -> Tensor:
    """Return y as a tensor of classes (B,) or distributions (B, K) for the B samples of x."""
    y, count = tensor("y", y), len(x) if x.ndim else 0
    if not (y.ndim == 1 or (y.ndim == 2 and y.shape[1] > 1)) or len(y) != count:
        raise ValueError(
            f"y must have shape ({count},), one class for each sample of x, or ({count}, K), a "
            f"distribution for each, got {tuple(y.shape)}"
            + ("; use y[:, 0]" if y.shape == (count, 1) else "")
        )
    return y


def column(labels: Any, name: str = "labels") -> Tensor:
    """Squeeze integers (N, 1), the form of Keras' labels, to (N,); leave the rest unchanged."""
    found = tensor(name, labels)
    one = found.ndim == 2 and found.shape[1] == 1 and not found.is_floating_point()
    return found.squeeze(1) if one else found


def on_host_within(name: str, values: Tensor, low: float, high: float) -> None:
    """Raise ValueError unless the values of a CPU tensor lie in [low, high].

    Values on an accelerator are not checked: that would wait for the device.
    """
    if values.device.type == "cpu" and values.numel():
        for end in values.detach().aminmax():
            if not low <= end.item() <= high:
                number(name, end, low, high)


def finite_tensor(name: str, value: Tensor, remedy: str = "check the inputs") -> None:
    """Raise ValueError if a tensor holds NaN or infinity."""
    import torch

    if not bool(torch.isfinite(value).all()):
        bad = int((~torch.isfinite(value)).sum())
        raise ValueError(
            f"{name} holds {bad} NaN or infinite value(s) of {value.numel()}; {remedy}"
        )


def probabilities(name: str, value: Tensor, remedy: str) -> None:
    """Raise ValueError unless `value` is non-negative and sums to 1 over the last axis."""
    import torch

    if not value.numel():
        return
    value = value.detach()
    # Rounding a probability costs up to 5e-4 in float16 and 4e-3 in bfloat16.
    tolerance = max(1e-6, 8 * torch.finfo(value.dtype).eps)
    low = float(value.min())
    off = float((value.sum(-1, dtype=torch.float64) - 1).abs().max())
    if not low >= 0:
        raise ValueError(f"{name} must be >= 0, got {low:.6g}; {remedy}")
    if not off <= max(tolerance, 1e-4 if value.dtype != torch.float64 else 0):
        raise ValueError(f"{name} must sum to 1 over the last axis, off by {off:.3g}; {remedy}")


# -- images -------------------------------------------------------------------------------------

# Rounding error allowed outside [0, 1]; it is too small to change a byte.
ROUNDING = 1e-4


def is_pillow(value: Any) -> bool:
    """Return whether a value is a Pillow image."""
    return hasattr(value, "convert") and hasattr(value, "mode")


def pillow_pixels(image: Any, modes: tuple[str, ...]) -> NDArray[np.uint8]:
    """Return the pixels (H, W, channels) of a Pillow image of one of some modes, or raise."""
    if image.mode not in modes:
        raise TypeError(
            f"a Pillow image must have mode {' or '.join(map(repr, modes))}, got {image.mode!r}; "
            "use image.convert('RGB')"
        )
    pixels = np.array(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def pillow_image(pixels: NDArray[np.uint8]) -> Any:
    """Return the Pillow image of pixels (H, W, channels)."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def as_batch(given: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return images as a batch, and the function that gives a result their form back.

    A Pillow image, (H, W, 3) and (3, H, W) become a batch of one; everything else is one already.
    """
    if is_pillow(given):
        return pillow_pixels(given, ("RGB",))[None], lambda out: pillow_image(out[0])
    if getattr(given, "ndim", 0) == 3 and 3 in (given.shape[0], given.shape[2]):
        return given[None], lambda out: out[0]
    return given, lambda out: out


def byte_images(given: Any, *, grey: bool = False) -> tuple[Tensor, bool]:
    """Return images as an (N, H, W, 3) uint8 view, and whether their channels came first.

    Args:
        given: uint8 (N, H, W, 3) or (N, 3, H, W): a tensor, an array or a list of images.
        grey: Also accept (N, H, W), (N, H, W, 1) and (N, 1, H, W), and repeat the channel.

    Raises:
        TypeError: For another dtype; the message converts these values to bytes.
        ValueError: For another shape; the message makes three channels of it.
    """
    import torch

    images = tensor("images", given)
    if isinstance(given, (list, tuple)) and images.ndim < 3:
        raise TypeError(f"images must be a tensor or an array, got {type(given).__name__}")
    if images.dtype != torch.uint8:
        kind = getattr(given, "dtype", images.dtype)
        raise TypeError(f"images must be uint8 (0 ... 255), got {kind}; {_to_bytes(given, images)}")
    shape = tuple(images.shape)
    if images.ndim == 3 and 3 not in (shape[0], shape[2]):
        channels, axis = 1, 3
    elif images.ndim == 4:
        axis = next((a for a in (3, 1) if shape[a] == 3), 1 if shape[1] in (1, 4) else 3)
        channels = shape[axis]
    else:
        batch = f"; add a batch axis with {_word(given)}[None]" if images.ndim == 3 else ""
        raise ValueError(
            f"images must have four axes, (N, H, W, 3) or (N, 3, H, W), got {shape}{batch}"
        )
    if channels == 1 and grey:
        images = images if images.ndim == 4 else images.unsqueeze(3)
        images = images.expand(*(3 if a == axis else -1 for a in range(4)))
    elif channels != 3:
        remedy = ""
        if channels == 1:
            join = "torch.cat" if is_tensor(given) else "np.concatenate"
            join = join if images.ndim == 4 else f"{join.split('.')[0]}.stack"
            remedy = f"; repeat the grey channel with {join}([images] * 3, {axis})"
        elif channels == 4:
            rest = f"{_word(given)}[..., :3]" if axis == 3 else f"{_word(given)}[:, :3]"
            remedy = f"; leave out the fourth channel (alpha) with {rest}"
        raise ValueError(
            f"uint8 images must have shape (N, H, W, 3) or (N, 3, H, W), 3 channels, got {shape}"
            + remedy
        )
    return (images, False) if axis == 3 else (images.permute(0, 2, 3, 1), True)


def _word(given: Any) -> str:
    """Return the code that names the given images as an array, for messages."""
    return "images" if is_array(given) else "np.asarray(images)"


def _to_bytes(given: Any, images: Tensor) -> str:
    """Return the code that converts these values to bytes, or the reason why none can."""
    import torch

    word = _word(given)
    cast = "to(torch.uint8)" if is_tensor(given) else "astype(np.uint8)"
    if images.dtype == torch.bool:
        return f"use ({word} * 255).{cast}"
    values = images.detach()
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        return f"{bad} of the {values.numel()} values are NaN or infinite"
    low, high = (float(v) for v in values.aminmax()) if values.numel() else (0.0, 1.0)
    if images.is_floating_point() and low >= -ROUNDING and high <= 1 + ROUNDING:
        return f"for floats in [0, 1] use ({word} * 255).round().{cast}"
    if low >= 0 and high <= 255:
        return f"use {word}.round().{cast}" if images.is_floating_point() else f"use {word}.{cast}"
    return f"the values go from {low:.6g} to {high:.6g}; scale them to 0 ... 255 first"


def image_axes(name: str, x: Any) -> Tensor:
    """Return floating-point images (B, C, H, W) as a tensor, or raise for another shape or type."""
    x = tensor(name, x)
    if x.ndim != 4 or not x.is_floating_point():
        raise ValueError(
            f"{name} must be images in [0, 1] of shape (B, C, H, W), got {x.dtype} of shape "
            f"{tuple(x.shape)}; divide bytes by 255 first"
        )
    if x.shape[3] in (1, 3, 4) and x.shape[1] not in (1, 3, 4):
        raise ValueError(
            f"{name} has its channels last, shape {tuple(x.shape)}; use {name}.permute(0, 3, 1, 2)"
        )
    if not (x.shape[1] and x.shape[2] and x.shape[3]):
        raise ValueError(f"{name} holds images without pixels, shape {tuple(x.shape)}")
    return x


def unit_range(name: str, x: Tensor) -> None:
    """Raise ValueError unless all values lie in [0, 1], up to rounding (synchronises a GPU)."""
    import torch

    if not x.numel():
        return
    low, high = (float(v) for v in torch.aminmax(x.detach()))
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ValueError(f"{name} must lie in [0, 1], {range_fault(name, x, low, high)}")


def range_fault(name: str, x: Tensor, low: float, high: float) -> str:
    """Name the likely cause why images leave [0, 1], and the remedy."""
    import torch

    bad = int((~torch.isfinite(x)).sum())
    if bad:
        return f"got {bad} NaN or infinite value(s) of {x.numel()}; check how {name} is made"
    got = f"got {low:.8g} ... {high:.8g}"
    if low >= 0 and 2 < high <= 255:
        return f"{got}; divide grey levels by 255"
    if low >= 0 and high > 255:
        return f"{got}; divide by the largest possible grey level (65535 for 16 bits)"
    if low >= -0.25 and high <= (1.25 if low < 0 else 2):  # resizing and adding noise overshoot
        return f"{got}; use {name}.clamp(0, 1) if values may overshoot"
    return f"{got}; pass images before the normalisation, which the model does itself"
