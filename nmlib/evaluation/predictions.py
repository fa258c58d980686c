"""What a model predicts for images, and how right and how sure it is."""

from __future__ import annotations

import copy
import hashlib
import itertools
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from nmlib import _checks
from nmlib._devices import to_device
from nmlib._files import rename_into, user_path
from nmlib._memory import lacks_memory, reused_memory
from nmlib.data.images import ImageData, Images
from nmlib.data.reading import as_images
from nmlib.metrics import (
    aurra,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    rms_calibration_error,
)
from nmlib.models.modes import evaluating, logits_of, unwrapped
from nmlib.rng import usable_device

__all__ = [
    "Precision",
    "Predictions",
    "TopPredictions",
    "evaluate",
    "forward",
    "gathered",
    "model_fingerprint",
    "predict",
    "read_predictions",
    "uploaded",
]

Precision = Literal["fp32", "bf16", "fp16"]
_PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# The reference convention leaves the last bin of 100 out, so it needs two.
_REFERENCE_IMAGES = 200
# Probabilities of one data set that are kept: 64 MB.
_MOST_KEPT = 1 << 24


class Measured:
    """What is known of predictions, whether their probabilities are kept or not."""

    if TYPE_CHECKING:
        labels: Tensor

        @property
        def predicted(self) -> Tensor: ...

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> Tensor:
        """(N,) whether the most probable class is the label."""
        return self.predicted == self.labels

    @property
    def accuracy(self) -> float:
        """Share of right predictions, in [0, 1]."""
        return float(self.correct.to(torch.float64).mean())

    def measures(self) -> dict[str, float | None]:
        """Return accuracy and every measure of calibration by name.

        The reference convention of the RMS calibration error needs 200 predictions; with fewer it
        is None.
        """
        enough = len(self) >= _REFERENCE_IMAGES
        kept: Any = self
        return {
            "accuracy": self.accuracy,
            "expected_calibration_error": expected_calibration_error(kept),
            "rms_calibration_error": rms_calibration_error(kept),
            "rms_calibration_error_reference": (
                rms_calibration_error(kept, reference_compatible=True) if enough else None
            ),
            "aurra": aurra(kept),
            "negative_log_likelihood": negative_log_likelihood(kept),
            "brier_score": brier_score(kept),
        }


@dataclass(frozen=True)
class Predictions(Measured):
    """Probabilities beside the true labels.

    Attributes:
        probabilities: (N, K) float32, rows sum to 1, on the CPU.
        labels: (N,) int64, on the CPU.
        data: What figures and tables call the data.
        fingerprint: Of the data, see `nmlib.ImageData`.

    Both are copies of what it is made from.

    >>> p = Predictions(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), torch.tensor([0, 0]))
    >>> p.accuracy, p.predicted.tolist()
    (0.5, [0, 1])
    """

    probabilities: Tensor
    labels: Tensor
    data: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        given = _checks.tensor("probabilities", self.probabilities).detach()
        labels = _checks.column(self.labels)
        if given.ndim != 2 or labels.shape != given.shape[:1]:
            raise ValueError(
                "probabilities must be (N, K) and labels (N,), got "
                f"{tuple(given.shape)} and {tuple(labels.shape)}"
            )
        labels = _checks.class_labels(labels, given.shape[1])
        kind = given.dtype if given.is_floating_point() else torch.float32
        object.__setattr__(self, "probabilities", given.to("cpu", kind, copy=True))
        object.__setattr__(self, "labels", labels.to("cpu", copy=True))

    def __repr__(self) -> str:
        n, k = self.probabilities.shape
        return f"Predictions({self.data or 'images'}, {n} x {k}, accuracy {self.accuracy:.4f})"

    @property
    def predicted(self) -> Tensor:
        """(N,) the most probable class."""
        return self.probabilities.argmax(1)

    @property
    def confidence(self) -> Tensor:
        """(N,) the probability of that class."""
        return self.probabilities.amax(1)

    def save(self, path: str | Path) -> Path:
        """Write an .npz file under a temporary name, then rename it."""
        return _save(
            path, probabilities=self.probabilities.numpy(), labels=self.labels.numpy(),
            data=self.data, fingerprint=self.fingerprint,
        )  # fmt: skip

    @classmethod
    def read(cls, path: str | Path) -> Predictions:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged or something else.
        """
        return _read(path, cls._restored)

    @classmethod
    def _restored(cls, stored: Any) -> Predictions:
        labels = torch.from_numpy(stored["labels"])
        found = cls(
            torch.from_numpy(stored["probabilities"]),
            labels,
            str(stored["data"]),
            str(stored["fingerprint"]),
        )
        _checks.probabilities("probabilities", found.probabilities, "they are damaged")
        if found.probabilities.ndim != 2 or found.labels.shape != found.probabilities.shape[:1]:
            raise ValueError(f"{len(found.probabilities)} predictions, {len(found)} labels")
        return found


@dataclass(frozen=True, repr=False)
class TopPredictions(Measured):
    """What is kept of predictions whose probabilities would fill the memory.

    Accuracy, calibration and proper scores follow from it as from the probabilities. `evaluate`
    returns it where images times classes exceed 2^24, as for the 50,000 images of ImageNet.

    Attributes:
        top: (N, 5) int64 the five most probable classes, the most probable first.
        confidence: (N,) float32, the probability of the first.
        true_probability: (N,) float32, the probability of the label.
        square_sum: (N,) float32, the sum of squared probabilities.
        labels: (N,) int64.
        data: What figures and tables call the data.
        fingerprint: Of the data.

    >>> kept = TopPredictions.of(torch.tensor([[0.9, 0.1], [0.4, 0.6]]), torch.tensor([0, 0]))
    >>> kept.accuracy, round(kept.measures()["brier_score"], 5)
    (0.5, 0.37)
    """

    top: Tensor
    confidence: Tensor
    true_probability: Tensor
    square_sum: Tensor
    labels: Tensor
    data: str = ""
    fingerprint: str = ""

    def __repr__(self) -> str:
        return f"TopPredictions({self.data or 'images'}, {len(self)}, accuracy {self.accuracy:.4f})"

    @classmethod
    def of(
        cls, probabilities: Tensor, labels: Tensor, data: str = "", fingerprint: str = ""
    ) -> TopPredictions:
        """Return what is kept of probabilities (N, K) and labels (N,), on the CPU."""
        p, y = probabilities, labels.to(probabilities.device)
        order = p.argsort(dim=1, descending=True, stable=True)[:, :5]
        right = p.gather(1, torch.stack([order[:, 0], y], 1))
        kept = (order, right[:, 0], right[:, 1], p.square().sum(1), labels)
        # Copies: a view would keep the whole order.
        columns: Any = [*(values.to("cpu", copy=True) for values in kept), data, fingerprint]
        return cls(*columns)

    @classmethod
    def joined(cls, parts: Sequence[TopPredictions], data: str, mark: str) -> TopPredictions:
        """Return several parts as one."""
        names = ("top", "confidence", "true_probability", "square_sum", "labels")
        columns: Any = [*(torch.cat([getattr(p, n) for p in parts]) for n in names), data, mark]
        return cls(*columns)

    @property
    def predicted(self) -> Tensor:
        """(N,) the most probable class."""
        return self.top[:, 0]

    @property
    def top5_accuracy(self) -> float:
        """Share of labels among the five most probable classes, in [0, 1]."""
        return float((self.top == self.labels[:, None]).any(1).to(torch.float64).mean())

    def save(self, path: str | Path) -> Path:
        """Write an .npz file under a temporary name, then rename it."""
        return _save(
            path, top=self.top.numpy().astype(np.int32), confidence=self.confidence.numpy(),
            true_probability=self.true_probability.numpy(), square_sum=self.square_sum.numpy(),
            labels=self.labels.numpy(), data=self.data, fingerprint=self.fingerprint,
        )  # fmt: skip

    @classmethod
    def _restored(cls, stored: Any) -> TopPredictions:
        names = ("confidence", "true_probability", "square_sum")
        kept: Any = [torch.from_numpy(stored[name]) for name in names]
        top, labels = (torch.from_numpy(stored[n].astype(np.int64)) for n in ("top", "labels"))
        for name, values in zip(names, kept, strict=True):
            if values.shape != labels.shape or not bool(((values >= 0) & (values < 1.001)).all()):
                raise ValueError(f"{name} are no probabilities of {len(labels)} images")
        if labels.ndim != 1 or top.ndim != 2 or len(top) != len(labels):
            raise ValueError(f"{len(top)} predictions, {len(labels)} labels")
        kept = [top, *kept, labels, str(stored["data"]), str(stored["fingerprint"])]
        return cls(*kept)


def read_predictions(path: str | Path) -> Predictions | TopPredictions:
    """Read what `save` of either kind wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
    """
    return _read(
        path, lambda stored: (TopPredictions if "top" in stored else Predictions)._restored(stored)
    )


def _save(path: str | Path, **values: Any) -> Path:
    path = user_path(path)
    with rename_into(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **values)
    return path


def _read(path: str | Path, parse: Callable[[Any], Any]) -> Any:
    path = user_path(path)
    try:
        with zipfile.ZipFile(path) as packed:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in packed.infolist()):
                raise ValueError("it is compressed, as no file of nmlib is")
        with np.load(path, allow_pickle=False) as stored:
            return parse(stored)
    except FileNotFoundError:
        raise
    except Exception as error:  # zipfile, NumPy and zlib each have their own
        raise ValueError(f"{path} holds no predictions ({error}); remove it") from error


def as_data(data: Any) -> Images:
    """Return image data as they are, a pair (images, labels) and a Dataset as image data.

    >>> as_data((torch.zeros(2, 32, 32, 3, dtype=torch.uint8), torch.tensor([0, 1]))).label
    'own images'
    """
    if isinstance(data, ImageData) or (hasattr(data, "parts") and hasattr(data, "fingerprint")):
        return data
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return ImageData.of(*data, split="test")
    if isinstance(data, Dataset):
        return as_images(data)
    raise TypeError(
        f"data must be nmlib.ImageData, a Dataset or a pair (images, labels), got "
        f"{type(data).__name__}"
    )


def model_fingerprint(model: nn.Module) -> str:
    """Return 16 hexadecimal digits that change when a weight, a buffer or a part of a model does.

    Parts are told apart by what `repr` says of them. Of a function that `forward` calls, and of a
    setting that is no module, nothing is known.

    >>> a, b = nn.utils.skip_init(nn.Linear, 2, 2), nn.utils.skip_init(nn.Linear, 2, 2)
    >>> for m, v in ((a, 1.0), (b, 1.5)): _ = [nn.init.constant_(p, v) for p in m.parameters()]
    >>> model_fingerprint(a) == model_fingerprint(copy.deepcopy(a)) != model_fingerprint(b)
    True
    >>> one, other = (nn.Sequential(a, kind()) for kind in (nn.ReLU, nn.Tanh))
    >>> model_fingerprint(one) != model_fingerprint(other)
    True
    """
    model = unwrapped(model)
    digest = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", repr(model)).encode())
    # Buffers that are not saved with the weights, such as the mean of a normalisation, count too.
    for name, value in sorted({**dict(model.named_buffers()), **model.state_dict()}.items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _same_device(wanted: torch.device, present: torch.device) -> bool:
    return wanted.type == present.type and wanted.index in (None, present.index)


def _batches(images: Any, size: int) -> Iterator[Tensor]:
    """Yield images as (n, C, H, W) views, uint8 or floats in [0, 1]."""
    if isinstance(images, ImageData):
        images = images.images
    if hasattr(images, "parts"):  # images that are read when they are needed
        yield from (part.permute(0, 3, 1, 2) for part, _ in images.parts(size))
        return
    if isinstance(images, np.ndarray) and len(images.shape) == 4:
        # A file that is mapped need not fit into memory.
        parts = [images[first : first + size] for first in range(0, len(images), size)]
        yield from (_pixels(part) for part in parts or [images])
    else:
        yield from _pixels(images).split(size)


def _pixels(given: Any) -> Tensor:
    images = _checks.tensor("images", given).detach()
    if isinstance(given, (list, tuple)) and images.ndim < 3:
        raise TypeError(f"images must be a tensor or an array, got {type(given).__name__}")
    if images.dtype == torch.uint8 and images.numel():
        return _checks.byte_images(given, grey=True)[0].permute(0, 3, 1, 2)
    if images.ndim != 4 or not images.numel():
        least = "" if images.numel() else " that holds one image or more"
        raise ValueError(f"images must be a batch with four axes{least}, got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise TypeError(f"images must be uint8 or floats in [0, 1], got {images.dtype}")
    if images.shape[3] == 3 and images.shape[1] != 3:
        images = images.permute(0, 3, 1, 2)
    _checks.unit_range("images", images)
    return images


def _are_probabilities(outputs: Tensor) -> bool:
    sums = outputs.sum(1)
    return bool((outputs >= 0).all()) and bool(torch.allclose(sums, sums.new_ones(()), atol=1e-4))


@contextmanager
def forward(
    model: nn.Module,
    *,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    classes: Sequence[int] | None = None,
) -> Iterator[tuple[Callable[[Any], Tensor], torch.device]]:
    """Put a model in evaluation mode; yield a function from images to probabilities, and where.

    The function takes what `predict` takes and leaves its result on the device. When the block
    ends, every module has its own mode back. On another device than its own the model is copied.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, got {type(model).__name__}")
    _checks.choice("precision", precision, _PRECISIONS)
    batch_size = _checks.integer("batch_size", batch_size, 1)
    weights = (p.dtype for p in model.parameters() if p.is_floating_point())
    kind = next(weights, torch.float32)
    tensors = itertools.chain(model.parameters(), model.buffers())
    present = next((t.device for t in tensors), torch.device("cpu"))
    target = present if device is None else usable_device(device)
    narrow = _PRECISIONS[precision]
    checked: list[bool] = []
    chosen = () if classes is None else _checks.integers("classes", classes, 0)
    columns = torch.tensor(chosen, device=target)

    def one_batch(part: Tensor) -> Tensor:
        # A copy to the CPU that does not block would be read before it is there.
        x = part.to(target, non_blocking=target.type != "cpu")
        x = x.to(torch.float32).div_(255) if x.dtype == torch.uint8 else x.to(torch.float32)
        x = x.to(kind)
        with torch.autocast(target.type, dtype=narrow, enabled=narrow is not None):
            logits = logits_of(model(x))
        if logits.ndim != 2 or len(logits) != len(x):
            got = tuple(logits.shape)
            raise ValueError(f"the model must return logits ({len(x)}, classes), got {got}")
        if chosen and max(chosen) >= logits.shape[1]:
            raise ValueError(f"class {max(chosen)} is none of the model's {logits.shape[1]}")
        logits = logits.float()
        checked.append(True)
        if len(checked) == 1 and _are_probabilities(logits):
            warnings.warn(
                "the model's outputs are probabilities, and the softmax is taken here: leave its "
                "own out, or return their logarithm",
                stacklevel=2,
            )
        # Before the softmax: probabilities are then those among these classes alone.
        return torch.softmax(logits[:, columns] if chosen else logits, 1)

    def probabilities_of(images: Any) -> Tensor:
        with torch.inference_mode():
            found = torch.cat([one_batch(part) for part in _batches(images, batch_size)])
        if not bool(torch.isfinite(found).all()):
            bad = int((~torch.isfinite(found)).any(1).sum())
            raise ValueError(
                f"the model's output is NaN or infinite for {bad} of {len(found)} images; its "
                "training has diverged, or fp16 is too narrow for it (precision='fp32')"
            )
        return found

    # Corrupting images and having them there needs memory, too, not the network alone.
    try:
        if not _same_device(target, present):
            model = copy.deepcopy(model).to(target)
        with evaluating(model), reused_memory(target):
            yield probabilities_of, target
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        raise torch.OutOfMemoryError(
            f"out of memory on {target}; lower batch_size={batch_size}, or use precision='bf16', "
            f"fewer images or another device ({str(error).splitlines()[0][:200]})"
        ) from error


def predict(
    model: nn.Module,
    images: Tensor | NDArray | ImageData,
    *,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
) -> Tensor:
    """Return the probabilities that a model gives to the classes.

    The model is in evaluation mode meanwhile and is left as it was.

    Args:
        model: Any module that maps (B, 3, H, W) in [0, 1] to logits (B, K).
        images: uint8 (N, H, W, 3) or (N, 3, H, W), grey ones as for `ImageData.of`; or floats
            (N, C, H, W) or (N, H, W, 3) in [0, 1].
        batch_size: Images at a time, >= 1.
        device: Where to compute; by default where the model is.
        precision: "fp32", or "bf16" or "fp16" by autocast. The softmax is float32.
            A model whose weights are of another type gets its images in that.

    Returns:
        (N, K) float32 on the CPU.

    Raises:
        TypeError: For a model that is no module, or images of another dtype.
        ValueError: For images outside [0, 1], logits of another shape, NaN in the output.
        torch.OutOfMemoryError: With the setting to lower.

    >>> from nmlib.data import load
    >>> net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
    >>> predict(net, load("fashion-mini", "test").first(5)).shape
    torch.Size([5, 48])
    """
    with forward(model, batch_size=batch_size, device=device, precision=precision) as (run, _):
        return run(images).cpu()


def evaluate(
    model: nn.Module,
    data: Images | tuple[Any, Any],
    *,
    classes: Sequence[int] | None = None,
    batch_size: int = 500,
    device: torch.device | str | None = None,
    precision: Precision = "fp32",
    tell: Callable[[int, int], None] | None = None,
) -> Predictions | TopPredictions:
    """Predict a labelled data set.

    Args:
        model: As for `predict`.
        data: Image data from `nmlib.load`, a pair (images uint8 (N, H, W, 3), labels (N,)), or
            images that are read when they are needed: an `ImageFolder`, a Dataset.
        classes: Numbers of the classes to choose from; label k then means `classes[k]`. All other
            logits are left out before the softmax, so that neither accuracy nor confidence knows of
            them: so ImageNet-R's 200 of 1,000 classes are scored.
        batch_size: As for `predict`.
        device: As for `predict`.
        precision: As for `predict`.
        tell: Called with (images done, images in all) on the way.

    Returns:
        Probabilities and labels; `accuracy`, `confidence` and the measures of `nmlib.metrics`
        follow from them. Above 2^24 probabilities `TopPredictions`, which keep what these need.

    Raises:
        ValueError: As for `predict`, and for labels that the model has no class for.

    >>> from nmlib.data import load
    >>> net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
    >>> evaluate(net, load("fashion-mini", "test").first(5)).data
    'fashion-mini'
    """
    data = as_data(data)
    with forward(
        model, batch_size=batch_size, device=device, precision=precision, classes=classes
    ) as (run, where):
        # What is in memory goes to the model as it is, the rest batch by batch.
        size = len(data) if isinstance(data, ImageData) else batch_size
        return gathered(run, uploaded(data.parts(size), where), data, tell)


def uploaded(
    parts: Iterable[tuple[Tensor, Tensor]], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images on a device, each part sent before the one ahead of it is worked on."""
    ahead: tuple[Tensor, Tensor] | None = None
    for images, labels in parts:
        sent = images if images.device == device else to_device(images, device)
        if ahead is not None:
            yield ahead
        ahead = sent, labels
    if ahead is not None:
        yield ahead


def gathered(
    run: Callable[[Tensor], Tensor],
    parts: Iterable[tuple[Tensor, Tensor]],
    data: Images,
    tell: Callable[[int, int], None] | None = None,
) -> Predictions | TopPredictions:
    """Return the predictions for all parts together.

    Args:
        run: From images to probabilities, see `forward`.
        parts: Images and labels.
        data: What they are of, for name and fingerprint.
        tell: Called with (images done, images in all) after each part.
    """
    whole: list[tuple[Tensor, Tensor]] = []
    kept: list[TopPredictions] = []
    done, total = 0, len(data)
    for images, labels in parts:
        found = run(images)
        labels = _checks.class_labels(_checks.column(labels), found.shape[1]).cpu()
        if total * found.shape[1] > _MOST_KEPT:
            kept.append(TopPredictions.of(found, labels))
        else:
            whole.append((found.cpu(), labels))
        done += len(labels)
        if tell is not None:
            tell(done, total)
    if kept:
        return TopPredictions.joined(kept, data.label, data.fingerprint)
    rows, answers = (torch.cat(column) for column in zip(*whole, strict=True))
    return Predictions(rows, answers, data.label, data.fingerprint)
