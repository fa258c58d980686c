"""ImageNet's validation images, ImageNet-C, -R and -P: their folders, classes and conventions."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmlib._files import user_path
from nmlib.corruptions import frame_count, frames_are_independent
from nmlib.data.image_folder import ImageFolder, Preparation

__all__ = [
    "CORRUPTED",
    "WHOLE",
    "VideoFolder",
    "corrupted_folder",
    "renditions_classes",
    "renditions_folder",
    "robustbench_images",
    "validation_folder",
    "video_folder",
    "wordnet_ids",
]

CORRUPTED = Preparation(256, 224, "bilinear")
"""What the images of ImageNet-C were before they were corrupted."""

WHOLE = Preparation(256, None, "bilinear")
"""What the images of ImageNet-P were before they were warped and cropped to 224."""


@functools.cache
def _lists() -> dict[str, NDArray]:
    path = resources.files("nmlib.data") / "imagenet_lists.npz"
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return dict(stored)
    except Exception as error:  # zipfile, NumPy and zlib each raise their own
        raise ValueError(f"{path} is missing or damaged ({error}); install nmlib again") from error


@functools.cache
def wordnet_ids() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 folders in the order of the classes, which is sorted.

    >>> wordnet_ids()[:2], len(wordnet_ids())
    (('n01440764', 'n01443537'), 1000)
    """
    return tuple(f"n{number:08d}" for number in _lists()["wordnet_ids"].tolist())


def renditions_classes() -> tuple[int, ...]:
    """Return the numbers of the 200 classes that ImageNet-R has.

    >>> renditions_classes()[0], wordnet_ids()[renditions_classes()[0]], len(renditions_classes())
    (1, 'n01443537', 200)
    """
    return tuple(_lists()["renditions"].tolist())


def robustbench_images() -> tuple[str, ...]:
    """Return the 5,000 validation images that RobustBench measures on, as "class/file".

    >>> robustbench_images()[0]
    'n01440764/ILSVRC2012_val_00009396.JPEG'
    """
    ids, lists = wordnet_ids(), _lists()
    pairs = zip(lists["robustbench_classes"], lists["robustbench_images"], strict=True)
    return tuple(f"{ids[k]}/ILSVRC2012_val_{number:08d}.JPEG" for k, number in pairs)


def validation_folder(
    root: str | Path,
    preparation: Preparation = CORRUPTED,
    *,
    labels: str | Path | None = None,
    partial: bool = False,
    workers: int | None = None,
) -> ImageFolder:
    """Return ImageNet's validation images, in folders of their classes or flat.

    Args:
        root: Folder with one folder for each WordNet id, or with ILSVRC2012_val_*.JPEG.
        preparation: Before the network; by default the shorter side to 256, the central 224.
        labels: For flat images a text file with one line for each: its WordNet id, with or without
            the image's name before it; or its name and class number from 0. By default the one
            file beside the images whose name ends in .txt or .csv.
        partial: Classes may be missing.
        workers: As for `ImageFolder`.

    Raises:
        ValueError: As for `ImageFolder`; for flat images without labels, or labels that are not
            those of known images.
    """
    root = user_path(root)
    labels = None if labels is None else user_path(labels)
    ids = wordnet_ids()
    flat = root.is_dir() and any(root.glob("ILSVRC2012_val_*"))
    kind: type[ImageFolder] = ImageFolder
    if not flat:
        return kind(root, ids, preparation, partial=partial, label="imagenet", workers=workers)
    return _FlatFolder(root, ids, preparation, labels, workers)


class _FlatFolder(ImageFolder):
    """Validation images side by side, with a list of their labels."""

    def __init__(
        self,
        root: Path,
        classes: Sequence[str],
        preparation: Preparation,
        labels: Path | None,
        workers: int | None,
    ) -> None:
        self._list = labels
        super().__init__(root, classes, preparation, label="imagenet", workers=workers)

    def _found(self, partial: bool) -> tuple[list[str], list[int], list[int]]:
        files = {p.stem: p for p in self.root.iterdir() if p.name.lower().endswith(self._suffixes)}
        path = self._list
        if path is None:
            lists = [p for p in self.root.iterdir() if p.suffix in (".txt", ".csv")
                     and not p.name.lower().startswith("readme")]  # fmt: skip
            if len(lists) != 1:
                raise ValueError(
                    f"{self.root} has images side by side and {len(lists)} lists of their labels; "
                    "give one (--labels): a line for each image, its WordNet id or its name and "
                    "id. Or sort the images into folders of their ids"
                )
            path = lists[0]
        known = _read_labels(path, {wnid: k for k, wnid in enumerate(self.classes)})
        for name in robustbench_images():
            wnid, _, file = name.partition("/")
            found = known.get(Path(file).stem)
            if found is not None and self.classes[found] != wnid:
                raise ValueError(
                    f"{path} gives {file} class {self.classes[found]}, but it is {wnid}: its "
                    "numbers count otherwise (the development kit's do); give WordNet ids"
                )
        missing = [stem for stem in files if stem not in known]
        if missing:
            raise ValueError(f"{path} has no label for {len(missing)} images, e.g. {missing[0]}")
        rows = sorted((known[stem], p.name, p.stat().st_size) for stem, p in files.items())
        return [r[1] for r in rows], [r[0] for r in rows], [r[2] for r in rows]


def _read_labels(path: Path, place: dict[str, int]) -> dict[str, int]:
    """Return the class of each image by the stem of its name."""
    found: dict[str, int] = {}
    for line, text in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        name = re.search(r"ILSVRC2012_val_\d{8}", text)
        wnid = re.search(r"\bn\d{8}\b", text)
        number = re.search(r"(?<=[\s,])(\d+)\s*$", text) if name else None
        if not text.strip() or not (name or wnid):
            if line == 1 or not text.strip():
                continue  # a heading
            raise ValueError(
                f"{path}, line {line}: {text[:40]!r} has neither an image's name nor a WordNet id"
            )
        stem = name[0] if name else f"ILSVRC2012_val_{line:08d}"
        if wnid and wnid[0] in place:
            found[stem] = place[wnid[0]]
        elif not wnid and number and int(number[1]) < len(place):
            found[stem] = int(number[1])
        else:
            raise ValueError(f"{path}, line {line}: {text[:40]!r} names no class of ImageNet")
    return found


def corrupted_folder(
    root: str | Path,
    corruption: str,
    severity: int,
    *,
    like: ImageFolder | None = None,
    workers: int | None = None,
) -> ImageFolder:
    """Return one set of ImageNet-C, ROOT/CORRUPTION/SEVERITY/CLASS/FILE.

    Its images have 224 x 224 pixels and are never resized again.

    Args:
        root: Folder of the corruptions: the four archives, unpacked side by side.
        corruption: Name.
        severity: 1 to 5.
        like: Clean images; the set then holds those of the same class and name, in their order.
        workers: As for `ImageFolder`.

    Raises:
        ValueError: As for `ImageFolder`, and if images of `like` are missing.
    """
    folder = user_path(root) / corruption / str(severity)
    found = ImageFolder(
        folder, wordnet_ids() if like is None else like.classes, size=(224, 224),
        partial=like is not None, label=f"imagenet-c {corruption} {severity}",
        workers=workers if like is None else like.workers,
    )  # fmt: skip
    return found if like is None else found.like(like)


def renditions_folder(
    root: str | Path,
    preparation: Preparation = CORRUPTED,
    *,
    partial: bool = False,
    workers: int | None = None,
) -> ImageFolder:
    """Return ImageNet-R: 30,000 renditions of 200 classes; label k means `renditions_classes()[k]`.

    Args:
        root: Folder with one folder for each of the 200 WordNet ids.
        preparation: Before the network.
        partial: Classes may be missing.
        workers: As for `ImageFolder`.
    """
    ids = tuple(wordnet_ids()[k] for k in renditions_classes())
    return ImageFolder(root, ids, preparation, partial=partial, label="imagenet-r", workers=workers)


class VideoFolder(ImageFolder):
    """Videos in folders named after their classes; parts are frames (n, F, H, W, 3)."""

    _suffixes = (".mp4",)
    _kind = "video"
    frames = 0

    def _pixels(self, name: str) -> NDArray[np.uint8]:
        try:
            import av
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "the videos of ImageNet-P need PyAV: pip install av", name="av"
            ) from error
        try:
            with av.open(str(self.root / name)) as video:
                stream = video.streams.video[0]
                stream.thread_type = "NONE"  # the pool's threads each have a video of their own
                found = [f.to_ndarray(format="rgb24") for f in video.decode(stream)]
        except (av.FFmpegError, IndexError) as error:
            raise ValueError(f"it is no video, or damaged: {error}") from error
        if len(found) != self.frames:
            raise ValueError(f"it has {len(found)} frames instead of {self.frames}")
        frames: NDArray[np.uint8] = np.stack(found)
        if self.size is not None and frames.shape[1:3] != self.size:
            raise ValueError(f"its frames have {frames.shape[2]} x {frames.shape[1]} pixels")
        return frames


def video_folder(
    root: str | Path,
    perturbation: str,
    *,
    difficulty: int = 1,
    partial: bool = False,
    workers: int | None = None,
) -> VideoFolder:
    """Return the sequences of ImageNet-P under one perturbation, ROOT/NAME/CLASS/FILE.mp4.

    Args:
        root: Folder of the perturbations: the archives, unpacked side by side.
        perturbation: Name.
        difficulty: 1 to 3; sequences of noise have a folder for each, NAME_2 and NAME_3.
        partial: Classes may be missing.
        workers: As for `ImageFolder`.

    Raises:
        ModuleNotFoundError: Without PyAV, as soon as videos are read.
        ValueError: As for `ImageFolder`.
    """
    frames = frame_count(perturbation, "imagenet")
    harder = f"_{difficulty}" if difficulty > 1 and frames_are_independent(perturbation) else ""
    found = VideoFolder(
        user_path(root) / f"{perturbation}{harder}", wordnet_ids(), size=(224, 224),
        partial=partial, label=f"imagenet-p {perturbation}", workers=workers,
    )  # fmt: skip
    found.frames = frames
    return found
