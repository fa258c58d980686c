"""`ImageFolder`: pictures in one folder a class, decoded in threads when they are needed."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._files import user_path
from nmlib._threads import cpu_count
from nmlib.data.images import row_numbers

__all__ = ["ImageFolder", "Preparation", "Unreadable"]

_PICTURES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
# Batches that are decoded while one is worked on.
_AHEAD = 2


class Unreadable(ValueError):
    """Files of a set that cannot be decoded; the message names and counts them."""


@dataclass(frozen=True)
class Preparation:
    """From a picture of any size to the square that a network sees, as torchvision does it.

    Attributes:
        resize: The shorter side becomes this many pixels, the longer one
            int(resize * long / short); None leaves pictures as they are.
        crop: Side of the central square, in pixels; its corner is rounded to even halves. None
            keeps the whole picture.
        interpolation: "bilinear" or "bicubic", with Pillow's antialiasing.
        crop_first: Cut the square out of the full picture, crop / resize of its shorter side, and
            scale that to `crop`: Fast AutoAugment's order.

    >>> Preparation().size(500, 375)
    (341, 256)
    """

    resize: int | None = 256
    crop: int | None = 224
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop_first: bool = False

    def __post_init__(self) -> None:
        for name in ("resize", "crop"):
            if getattr(self, name) is not None:
                _checks.keep(self, _checks.integer, name, least=1)
        _checks.choice("interpolation", self.interpolation, ("bilinear", "bicubic"))
        if self.crop_first and (self.resize is None or self.crop is None):
            raise ValueError("crop_first needs both resize and crop; their ratio is the share kept")

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height after the resize."""
        if self.resize is None or min(width, height) == self.resize:
            return width, height
        long = int(self.resize * max(width, height) / min(width, height))
        return (self.resize, long) if width <= height else (long, self.resize)

    def apply(self, picture: Any) -> Any:
        """Return a Pillow picture of mode RGB, prepared.

        Raises:
            ValueError: If it is smaller than the crop.
        """
        from PIL import Image

        kind = getattr(Image.Resampling, self.interpolation.upper())
        width, height = picture.size
        if self.crop_first:
            assert self.crop is not None and self.resize is not None
            side = min(width, height) * self.crop / self.resize
            left, top = round((width - side) / 2), round((height - side) / 2)
            box = (left, top, round(left + side), round(top + side))
            return picture.crop(box).resize((self.crop, self.crop), kind)
        size = self.size(width, height)
        if size != (width, height):
            picture = picture.resize(size, kind)
        if self.crop is None or size == (self.crop, self.crop):
            return picture
        width, height = size
        if min(size) < self.crop:
            raise ValueError(f"it has {width} x {height} pixels, fewer than the crop {self.crop}")
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return picture.crop((left, top, left + self.crop, top + self.crop))


def _rgb(picture: Any) -> Any:
    """Return a Pillow picture in RGB; grey levels of 16 bits are scaled, not cut off."""
    from PIL import Image

    if picture.mode.startswith("I"):
        levels = np.asarray(picture)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"its levels lie outside 0 ... 65535: {levels.min()} {levels.max()}")
        picture = Image.fromarray((levels // 257).astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("it holds floats; save it with 8 or 16 bits")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


class ImageFolder:
    """Pictures in folders named after their classes; only names are in memory.

    Labels follow from the folders' names alone: an unknown folder is an error, and so is a missing
    one. Pictures of every kind become RGB. `evaluate` and its relatives take it wherever they take
    `ImageData`; for training it is a Dataset whose items are (picture, label).

    Args:
        root: The folder.
        classes: Names of its folders in the order of the labels.
        preparation: From picture to square; pictures must then be of one size.
        size: (height, width) that every picture must have, for sets that are prepared already.
        partial: Folders of some classes may be missing.
        label: Name in figures, tables and messages; default the folder's name.
        split: "test" or "train".
        workers: Threads that decode; default one for each processor.

    Attributes:
        names: Paths of the files under `root`, sorted by label and name.
        labels: (N,) int64.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: For an unknown or a missing folder, files that are no pictures, or an archive.
    """

    def __init__(
        self,
        root: str | Path,
        classes: Sequence[str],
        preparation: Preparation | None = None,
        *,
        size: tuple[int, int] | None = None,
        partial: bool = False,
        label: str | None = None,
        split: Literal["train", "test"] = "test",
        workers: int | None = None,
    ) -> None:
        self.root = _folder(root)
        self.classes = tuple(classes)
        self.preparation = preparation or Preparation(None, None)
        self.size = size
        self.label = self.root.name if label is None else label
        self.split = _checks.choice("split", split, ("train", "test"))
        self.workers = cpu_count() if workers is None else _checks.integer("workers", workers, 1)
        self._adopt(*self._found(partial))

    # What the files are; videos are another kind.
    _suffixes: tuple[str, ...] = _PICTURES
    _kind = "picture"

    def _found(self, partial: bool) -> tuple[list[str], list[int], list[int]]:
        """Return names, labels and sizes in bytes of the files in the folders of the classes."""
        place = {name: k for k, name in enumerate(self.classes)}
        folders, unknown, loose = [], [], []
        for entry in os.scandir(self.root):
            if entry.name.startswith(".") or entry.name.lower().startswith("readme"):
                continue
            if not entry.is_dir():
                loose.append(entry.name)
            elif entry.name in place:
                folders.append(entry.name)
            else:
                unknown.append(entry.name)
        if unknown:
            raise ValueError(
                f"{self.root} has {_listed('folder', unknown)} of no known class; labels follow "
                "from names alone, so move them away"
            )
        if loose and folders:
            raise ValueError(
                f"{self.root} has {_listed('file', loose)} beside the folders of the classes; move "
                "them away"
            )
        missing = [name for name in self.classes if name not in folders]
        if not folders or (missing and not partial):
            raise ValueError(
                f"{self.root} lacks {_listed('folder', missing)} of {len(self.classes)}; "
                + ("give the folder that holds them" if not folders else "fetch them, or set "
                   "partial=True (--partial) to evaluate on the classes that are there")
            )  # fmt: skip
        files: list[tuple[int, str, int]] = []
        for name in folders:
            before = len(files)
            for entry in os.scandir(self.root / name):
                if entry.name.startswith("."):
                    continue
                if not entry.name.lower().endswith(self._suffixes) or not entry.is_file():
                    raise ValueError(
                        f"{self.root / name} holds {entry.name}, which is no {self._kind}"
                    )
                files.append((place[name], f"{name}/{entry.name}", entry.stat().st_size))
            if len(files) == before and not partial:
                raise ValueError(f"{self.root / name} is empty; fetch it again")
        files.sort()
        return [f[1] for f in files], [f[0] for f in files], [f[2] for f in files]

    def _adopt(self, names: list[str], labels: Sequence[int], sizes: Sequence[int]) -> None:
        if not names:
            raise ValueError(f"there is no {self._kind} in {self.root}")
        self.names = tuple(names)
        self.labels = torch.tensor(labels, dtype=torch.int64)
        self._sizes = np.asarray(sizes, np.int64)

    def _with(self, **changes: Any) -> ImageFolder:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.__dict__.update(changes)
        return other

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.label}, {self.split}, {len(self)} {self._kind}s, "
            f"{len(set(self.labels.tolist()))} of {len(self.classes)} classes)"
        )

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of names, labels, sizes in bytes, and preparation."""
        how = f"{self.preparation} {self.size} {self.classes}"
        digest = hashlib.sha256(how.encode())
        for name, size in zip(self.names, self._sizes.tolist(), strict=True):
            digest.update(f"{name}\0{size}\n".encode())
        digest.update(self.labels.numpy().data)
        return digest.hexdigest()[:16]

    def prepared(self, preparation: Preparation) -> ImageFolder:
        """Return the same pictures with another preparation."""
        return self._with(preparation=preparation, size=None)

    def take(self, rows: Sequence[int] | NDArray[np.int64] | Tensor) -> ImageFolder:
        """Return the pictures of some rows, with their own fingerprint."""
        chosen = row_numbers(rows, len(self))
        return self._with(
            names=tuple(self.names[row] for row in chosen),
            labels=self.labels[torch.from_numpy(chosen)],
            _sizes=self._sizes[chosen],
        )

    def first(self, count: int) -> ImageFolder:
        """Return the first `count` pictures."""
        return self.take(range(_checks.integer("count", count, 1, len(self))))

    def among(self, classes: Sequence[int]) -> ImageFolder:
        """Return the pictures of some classes; label k then means `classes[k]`.

        Raises:
            ValueError: If there is none.
        """
        chosen = torch.tensor(_checks.integers("classes", classes, 0, len(self.classes) - 1))
        place = torch.full((len(self.classes),), -1)
        place[chosen] = torch.arange(len(chosen))
        rows = (place[self.labels] >= 0).nonzero().flatten()
        if not len(rows):
            raise ValueError(f"{self.label} has no picture of these {len(chosen)} classes")
        found = self.take(rows)
        names = tuple(self.classes[k] for k in chosen.tolist())
        return found._with(labels=place[found.labels], classes=names)

    def named(self, wanted: Sequence[str], where: str = "the list") -> ImageFolder:
        """Return the files called "CLASS/NAME", in the order given; endings do not count.

        Raises:
            ValueError: If some are missing.
        """
        classes = [self.classes[k] for k in self.labels.tolist()]
        here = (f"{c}/{Path(n).stem}" for c, n in zip(classes, self.names, strict=True))
        place = {name: row for row, name in enumerate(here)}
        stems = [name.rpartition(".")[0] for name in wanted]
        missing = [name for name in stems if name not in place]
        if missing:
            raise ValueError(
                f"{self.root} lacks {_listed(self._kind, missing)} of the {len(stems):,} in "
                f"{where}; fetch them, or evaluate on fewer"
            )
        return self.take([place[name] for name in stems])

    def like(self, other: ImageFolder) -> ImageFolder:
        """Return the files of the same classes and names as another folder's, in its order."""
        pairs = zip(other.names, other.labels.tolist(), strict=True)
        return self.named([f"{other.classes[k]}/{Path(n).name}" for n, k in pairs], str(other.root))

    # -- pixels -----------------------------------------------------------------------------------

    def __getitem__(self, row: int) -> tuple[Any, int]:
        """Return a prepared Pillow picture and its label."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self._picture(self.names[row]), int(self.labels[row])

    def _picture(self, name: str) -> Any:
        from PIL import Image

        with Image.open(self.root / name) as picture:
            found = self.preparation.apply(_rgb(picture))
            found.load()
        return found

    def _pixels(self, name: str) -> NDArray[np.uint8]:
        """Return what a batch is made of, (H, W, 3) uint8."""
        pixels = np.asarray(self._picture(name))
        if self.size is not None and pixels.shape[:2] != self.size:
            raise ValueError(
                f"it has {pixels.shape[1]} x {pixels.shape[0]} pixels instead of "
                f"{self.size[1]} x {self.size[0]}"
            )
        return pixels

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all pictures in their order: bytes (n, H, W, 3) and labels (n,), n <= size.

        The next two parts are decoded in threads while one is worked on.

        Raises:
            Unreadable: If a file cannot be decoded, after all others have been tried.
        """
        size = _checks.integer("size", size, 1)
        starts = range(0, len(self), size)
        with ThreadPoolExecutor(self.workers, "decoding") as pool:
            waiting: deque[tuple[int, list[Future]]] = deque()
            bad: list[str] = []
            try:
                for first in starts:
                    names = self.names[first : first + size]
                    waiting.append((first, [pool.submit(self._pixels, n) for n in names]))
                    if len(waiting) > _AHEAD:
                        yield from self._collected(*waiting.popleft(), bad)
                while waiting:
                    yield from self._collected(*waiting.popleft(), bad)
            finally:  # also when whoever asks for parts stops asking
                pool.shutdown(wait=True, cancel_futures=True)
        if bad:
            raise Unreadable(
                f"{len(bad)} of {len(self):,} {self._kind}s in {self.root} cannot be used: "
                f"{'; '.join(bad[:5])}{' ...' if bad[5:] else ''}. Fetch them again and run the "
                "same again; finished sets are kept"
            )

    def _collected(
        self, first: int, futures: list[Future], bad: list[str]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield one part, or nothing once a file was bad: the rest is only tried."""
        found: list[NDArray[np.uint8]] = []
        for row, future in enumerate(futures, first):
            try:
                found.append(future.result())
            except (OSError, ValueError, SyntaxError, MemoryError) as error:  # as Pillow raises
                reason = str(error).partition("\n")[0].replace(f"'{self.root}/", "'")
                bad.append(f"{self.names[row]} ({reason or type(error).__name__})")
        if bad:
            return
        sizes = {pixels.shape for pixels in found}
        if len(sizes) > 1:
            odd = next(row for row, p in enumerate(found, first) if p.shape != found[0].shape)
            raise Unreadable(
                f"{self.names[odd]} in {self.root} has shape {found[odd - first].shape}, "
                f"{self.names[first]} {found[0].shape}; give a preparation that crops"
            )
        yield torch.from_numpy(np.stack(found)), self.labels[first : first + len(found)]


def _listed(what: str, names: Sequence[str]) -> str:
    """Return a count with the first names.

    >>> _listed("folder", ["n1", "n2", "n3", "n4"])
    '4 folders (n1, n2, n3, ...)'
    """
    names = sorted(names)
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} {what}{'s' * (len(names) != 1)} ({', '.join(names[:3])}{more})"


def _folder(root: str | Path) -> Path:
    """Return a folder, or raise and say what is there instead."""
    root = user_path(root)
    if root.is_dir():
        return root
    if not root.exists():
        raise FileNotFoundError(2, "there is no such folder", str(root))
    if tarfile.is_tarfile(root):
        raise ValueError(f"{root} is an archive; unpack it (tar -xf) and give the folder")
    named = re.search(r"\.(tar|tgz|tar\.\w+)$", root.name)
    raise ValueError(
        f"{root} is named as an archive but is none; it may be a web page or cut off: fetch it "
        "again"
        if named
        else f"{root} is a file; give the folder with the pictures"
    )
