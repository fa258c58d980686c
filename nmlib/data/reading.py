"""`LazyImages`: images that a Dataset reads when they are needed, in worker processes."""

from __future__ import annotations

import hashlib
import pickle
import random
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from nmlib import _checks
from nmlib.data.images import ImageData, row_numbers
from nmlib.data.samples import sample_of
from nmlib.rng import Rng

__all__ = ["Keys", "LazyImages", "global_draws"]

Keys = Iterable[tuple[int, NDArray[np.int64]]]
"""For each batch, the epoch and the rows of its images."""

# Images that the fingerprint looks at.
_LOOKS = 8


class LazyImages:
    """Images of a map-style Dataset, read when they are needed.

    Training and evaluation take it wherever they take `ImageData`, and make one of a Dataset.

    What the Dataset and its transforms draw from the global generators of Python, NumPy and PyTorch
    depends on (seed, epoch, index of the image) alone: it is the same for any number of workers and
    after any resumption. The global state is put back. A transform with a generator of its own
    cannot be seeded from outside, see `repeatable`.

    Args:
        dataset: Anything with `len` and `[index]` whose samples are (image, label) or dictionaries
            of them, see `nmlib.data.samples.sample_of`. Images are Pillow images, bytes, or floats
            in [0, 1]; all of a batch have one size.
        split: "train" or "test"; `fit` refuses test images. By default "test" if the Dataset says
            so by `train=False` or `split="test"`, as torchvision's do, otherwise "train".
        label: Name in figures, tables and messages; default the Dataset's class.
        classes: Class names; default the Dataset's `classes`, if it has any.
        fingerprint: Of the data; stored results are keyed by it. By default it follows the number
            of images and eight of them, read twice under fixed seeds.
        num_workers: Processes that read ahead, as in PyTorch's DataLoader; 0 reads in this one.

    Raises:
        TypeError: For a Dataset without length or index.
        ValueError: For one without images.

    >>> data = LazyImages([(torch.zeros(3, 32, 32), k % 2) for k in range(5)], label="black")
    >>> data
    LazyImages(black, train, 5 images)
    >>> [(len(x), y.tolist()) for x, y in data.parts(3)]
    [(3, [0, 1, 0]), (2, [1, 0])]
    """

    def __init__(
        self,
        dataset: Any,
        *,
        split: Literal["train", "test"] | None = None,
        label: str | None = None,
        classes: Sequence[str] | None = None,
        fingerprint: str = "",
        num_workers: int = 0,
    ) -> None:
        kind = type(dataset).__name__
        mapped = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        if isinstance(dataset, IterableDataset) or not mapped:
            raise TypeError(
                f"{kind} gives no image by its index; pass a Dataset with __len__ and "
                "__getitem__, or train from a DataLoader of it"
            )
        if not len(dataset):
            raise ValueError(f"{kind} holds no images; give at least one")
        inner = innermost(dataset)
        named = getattr(inner, "classes", None) if classes is None else classes
        self.dataset = dataset
        self.split = ("test" if holds_test_images(dataset) else "train") if split is None else split
        _checks.choice("split", self.split, ("train", "test"))
        self.label = type(inner).__name__ if label is None else label
        self.classes = tuple(map(str, named)) if isinstance(named, (list, tuple)) else ()
        self.num_workers = _checks.integer("num_workers", num_workers, 0)
        self._rows: NDArray[np.int64] | None = None
        self._fingerprint = fingerprint

    def __len__(self) -> int:
        return len(self.dataset) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"LazyImages({self.label}, {self.split}, {len(self)} images)"

    def take(self, rows: Sequence[int] | NDArray[np.int64] | Tensor) -> LazyImages:
        """Return the images of some rows as data with their own fingerprint."""
        chosen = row_numbers(rows, len(self))
        other = LazyImages(
            self.dataset, split=self.split, label=self.label, classes=self.classes,
            num_workers=self.num_workers,
        )  # fmt: skip
        other._rows = chosen if self._rows is None else self._rows[chosen]
        if self._fingerprint:
            marked = self._fingerprint.encode() + other._rows.tobytes()
            other._fingerprint = hashlib.sha256(marked).hexdigest()[:16]
        return other

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all images in their order: bytes (n, H, W, 3) and labels (n,), n <= size.

        Floats are rounded to bytes, on which the corruptions are defined.
        """
        rows = np.arange(len(self))
        keys = ((0, rows[k : k + size]) for k in range(0, len(rows), size))
        for x, y in self.read(keys, Rng(0).fold("in order")):
            yield x if x.dtype == torch.uint8 else (x * 255).round().to(torch.uint8), y

    def sample(self, row: int) -> tuple[Tensor, int]:
        """Return an image (H, W, 3), bytes or floats, and its label, read in this process."""
        with global_draws() as draw_from:
            return self._source(Rng(0).fold("in order")).sample(0, row, draw_from)

    @cached_property
    def labels(self) -> Tensor:
        """(N,) labels; the first look reads all images."""
        return torch.cat([y for _, y in self.parts(256)])

    @cached_property
    def _looks(self) -> tuple[list[str], bool]:
        rows = np.unique(np.linspace(0, len(self) - 1, _LOOKS).round().astype(np.int64))
        source = self._source(Rng(0).fold("fingerprint"))
        found = [[source.digest(row) for row in rows] for _ in range(2)]
        return found[0], found[0] == found[1]

    @property
    def repeatable(self) -> bool:
        """Whether images read twice under the same seeds are the same; eight are looked at."""
        return self._looks[1]

    @property
    def promise(self) -> str:
        """What a resumed run repeats, if that is not all."""
        if self.repeatable:
            return ""
        return (
            "an image read twice under the same seeds differs: a transform has a generator of its "
            "own, so a resumed run repeats all draws but those"
        )

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits; of length and class alone if images are not `repeatable`."""
        if not self._fingerprint:
            about = [type(self.dataset).__qualname__, len(self), self._looks[0] * self.repeatable]
            if self._rows is not None:
                about.append(hashlib.sha256(self._rows.tobytes()).hexdigest())
            self._fingerprint = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
        return self._fingerprint

    def name_of(self, row: int) -> str:
        """Return what messages call an image."""
        return self._source(Rng(0)).name(row)

    def _source(self, rng: Rng) -> _Source:
        return _Source(self.dataset, self._rows, self.label, rng)

    def read(
        self, keys: Keys, rng: Rng, *, pin_memory: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches: images (n, H, W, 3), uint8 or floats in [0, 1], and labels, on the CPU.

        Args:
            keys: Which images; read ahead by the workers.
            rng: Epoch and index are folded into it, and the transforms draw from that.
            pin_memory: Copy batches into memory from which a GPU reads without waiting.

        Raises:
            RuntimeError: If the Dataset fails; names the image.
            TypeError, ValueError: For samples that are no images with labels; names the image.
        """
        loader = DataLoader(
            self._source(rng), batch_size=None, sampler=_Sequence(keys),
            num_workers=self.num_workers, worker_init_fn=_outlive_signals, pin_memory=pin_memory,
            # PyTorch seeds the workers from it; nothing here draws from that.
            generator=torch.Generator(),
        )  # fmt: skip
        try:
            batches = iter(loader)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"{self.label} cannot be sent to a worker process ({error}); define its classes "
                "and functions at the top of a module, not as lambda, or use num_workers=0"
            ) from error
        for found in batches:
            if isinstance(found, _Failure):
                raise found.error()
            yield found


def innermost(dataset: Any) -> Any:
    """Return the Dataset of which others are subsets."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset


def holds_test_images(dataset: Any) -> bool:
    """Return whether a Dataset says so, as torchvision's do."""
    inner = innermost(dataset)
    return getattr(inner, "train", None) is False or getattr(inner, "split", None) == "test"


class _Sequence:
    """An iterator as a sampler."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        return iter(self.keys)


class _Failure:
    """An error on its way from a worker: exceptions of other people cannot always be pickled."""

    def __init__(self, kind: type[Exception], message: str, trace: str) -> None:
        self.kind, self.message, self.trace = kind, message, trace

    def error(self) -> Exception:
        error = self.kind(self.message)
        error.add_note(self.trace)
        return error


class _Source(Dataset):
    """Reads batches by (epoch, rows), in whichever process it is."""

    def __init__(self, dataset: Any, rows: NDArray[np.int64] | None, label: str, rng: Rng) -> None:
        self.dataset, self.rows, self.label, self.rng = dataset, rows, label, rng

    def index(self, row: int) -> int:
        return int(row if self.rows is None else self.rows[row])

    def name(self, row: int) -> str:
        return f"image {self.index(row)} of {self.label}"

    def sample(self, epoch: int, row: int, draw_from: Callable[[Rng], None]) -> tuple[Tensor, int]:
        index = self.index(row)
        draw_from(self.rng.fold(epoch, index))
        try:
            item = self.dataset[index]
        except Exception as error:
            raise RuntimeError(
                f"{self.name(row)} cannot be read ({type(error).__name__}: {error})"
            ) from error
        try:
            return sample_of(item)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{self.name(row)}: {error}") from None

    def digest(self, row: int) -> str:
        with global_draws() as draw_from:
            image, label = self.sample(0, int(row), draw_from)
        content = image.contiguous().numpy().tobytes()
        about = f"{tuple(image.shape)} {image.dtype} {label}".encode()
        return hashlib.sha256(about + content).hexdigest()

    def __getitem__(self, key: tuple[int, NDArray[np.int64]]) -> Any:
        epoch, rows = key
        try:
            with global_draws() as draw_from:
                samples = [self.sample(epoch, int(row), draw_from) for row in rows]
            sizes = [tuple(image.shape) for image, _ in samples]
            for row, size in zip(rows, sizes, strict=True):
                if size != sizes[0]:
                    raise ValueError(
                        f"{self.name(row)} has {size[0]} x {size[1]} pixels, image "
                        f"{self.index(rows[0])} of the same batch {sizes[0][0]} x {sizes[0][1]}; "
                        "give them one size by Resize and CenterCrop, or RandomResizedCrop, in the "
                        "transform"
                    )
        except Exception as error:
            return _Failure(type(error), str(error), traceback.format_exc())
        images = [image for image, _ in samples]
        if len({image.dtype for image in images}) > 1:
            images = [i.float() / 255 if i.dtype == torch.uint8 else i for i in images]
        return torch.stack(images), torch.tensor([label for _, label in samples])


# ruff: noqa: NPY002 (transforms of other people use NumPy's older interface)


@contextmanager
def global_draws() -> Iterator[Callable[[Rng], None]]:
    """Yield a function that lets code of other people draw from a stream, by the global generators.

    These are the generators of Python, of NumPy's older interface and of PyTorch on the CPU. Their
    state is put back in the end.
    """
    before = random.getstate(), np.random.get_state(), torch.random.get_rng_state()

    def draw_from(rng: Rng) -> None:
        key = int(rng.numpy().integers(2**63))
        random.seed(key)
        np.random.seed(key % 2**32)
        torch.default_generator.manual_seed(key)

    try:
        yield draw_from
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.random.set_rng_state(before[2])


def _outlive_signals(worker: int) -> None:
    """Let a worker go on after Ctrl-C or a first SIGTERM, which a whole group of processes gets.

    The training itself answers them: it finishes its step, saves, and ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def next_time(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, next_time)


def as_images(data: Any) -> ImageData | LazyImages:
    """Return image data as they are, and a Dataset as `LazyImages`.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(data, (ImageData, LazyImages)):
        return data
    if isinstance(data, IterableDataset):
        return LazyImages(data)  # raises, with the remedy
    unlike = isinstance(data, (tuple, str, bytes, dict, Tensor, np.ndarray))
    if unlike or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise TypeError(
            f"data must be ImageData, a Dataset or a DataLoader, got {type(data).__name__}; for "
            "images of your own use nmlib.ImageData.of(images, labels)"
        )
    return LazyImages(data)
