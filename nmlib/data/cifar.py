"""CIFAR-10 and CIFAR-100 from their archives or files; CIFAR-C and CIFAR-P from their arrays."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib._files import file_digest, open_array, user_path
from nmlib.data.cache import data_folder
from nmlib.data.corrupted import RECORD, bytes_of, read_record
from nmlib.data.fetch import CIFAR_C_MD5

__all__ = [
    "CorruptionFile",
    "open_cifar_c",
    "read_cifar",
    "read_cifar_c",
    "read_cifar_p",
]


@dataclass(frozen=True)
class _Layout:
    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int = 0


_LAYOUTS = {
    "cifar10": _Layout(
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{k}.bin" for k in range(1, 6)),
        ("test_batch.bin",),
        "batches.meta.txt",
        1,
    ),
    # The coarse label comes first, the fine one second; the fine one is used.
    "cifar100": _Layout(
        "cifar-100-binary.tar.gz",
        "cifar-100-binary",
        ("train.bin",),
        ("test.bin",),
        "fine_label_names.txt",
        2,
    ),
}
_PICKLED = {
    "cifar10": _Layout(
        "cifar-10-python.tar.gz",
        "cifar-10-batches-py",
        tuple(f"data_batch_{k}" for k in range(1, 6)),
        ("test_batch",),
        "batches.meta",
    ),
    "cifar100": _Layout(
        "cifar-100-python.tar.gz", "cifar-100-python", ("train",), ("test",), "meta"
    ),
}
"""The Python version of the archives, which torchvision unpacks."""

_PIXELS = 3072
# The largest file, train of CIFAR-100, has 155 million bytes; an archive unpacks to 190 million.
_LARGEST, _UNPACKED = 160_000_000, 400_000_000


class _Bounded:
    """A stream that refuses to read beyond a limit: a guard against decompression bombs."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.tell = stream.tell

    def _check(self, end: int) -> None:
        if end > _UNPACKED:
            raise OSError(f"it unpacks to more than {_UNPACKED:,} bytes, too many for CIFAR")

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check(offset)
        return self.stream.seek(offset, whence)

    def read(self, size: int) -> bytes:
        self._check(self.tell() + size)
        return self.stream.read(size)


def _check_size(size: int, name: str) -> None:
    if size > _LARGEST:
        raise OSError(f"{name} has {size:,} bytes, but no CIFAR file has more than {_LARGEST:,}")


def _from_archive(path: Path, names: Sequence[str], known: bool) -> dict[str, bytes]:
    """Read files from a .tar.gz, or from a .tar that a browser has already gunzipped.

    Unless the archive's checksum is known, read on to the end: gzip then checks its own.
    """
    found: dict[str, bytes] = {}
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            unpacked = gzip.GzipFile(fileobj=file) if packed else file
            stream: Any = _Bounded(unpacked)
            with unpacked, tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    name = Path(member.name).name
                    if member.isfile() and name in names:
                        _check_size(member.size, name)
                        source = tar.extractfile(member)
                        assert source is not None
                        found[name] = source.read()
                        if known and len(found) == len(names):
                            break
                while not known and stream.read(1 << 20):
                    pass
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); remove it") from error
    return found


def _parse(blob: bytes, source: str, layout: _Layout) -> tuple[NDArray, NDArray]:
    """Split a binary file into images (N, 32, 32, 3) and labels (N,)."""
    record = layout.label_bytes + _PIXELS
    if len(blob) == 0 or len(blob) % record:
        raise ValueError(
            f"{source} has {len(blob):,} bytes, not a multiple of the {record} bytes of a record: "
            "the file is truncated or not a CIFAR file"
        )
    table = np.frombuffer(blob, np.uint8).reshape(-1, record)
    return _as_images(table[:, layout.label_bytes :]), table[:, layout.label_bytes - 1]


def _as_images(table: NDArray) -> NDArray:
    return table.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


class _Placeholder:
    """Replaces a NumPy object in a pickle and keeps what the object would have been built from."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        """Build the array, which must hold bytes."""
        # NumPy writes (version, shape, dtype, Fortran order, bytes), or else `_frombuffer`'s
        # arguments.
        if self.state is not None:
            _, shape, kind, fortran, raw = self.state
        else:
            raw, kind, shape, order = self.arguments[:4]
            if order not in ("C", "F"):
                raise ValueError(f"its pixels are stored in the order {order!r}")
            fortran = order == "F"
        if kind.arguments[0] not in ("u1", b"u1"):
            raise ValueError(f"its pixels are {kind.arguments[0]!r}, not bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Reads lists, strings, numbers and arrays; imports and calls nothing that a file names."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in (
            "_reconstruct", "_frombuffer", "ndarray", "dtype",
        ):  # fmt: skip
            return _Placeholder
        if (module, name) == ("_codecs", "encode"):
            return lambda text, _: text.encode("latin1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _unpickle(blob: bytes, source: str, *keys: str) -> list[Any]:
    """Return the values of `keys` in a pickled dictionary, without running its code."""
    try:
        content = _Unpickler(io.BytesIO(blob), encoding="bytes").load()
        named = {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}
        return [named[key] for key in keys]
    except Exception as error:  # damaged and hostile pickles raise anything
        raise ValueError(
            f"{source} is damaged or not a CIFAR file ({type(error).__name__}: {error}); remove "
            "it, or fetch the binary archive: nmlib.load(..., download=True)"
        ) from error


def _parse_pickled(blob: bytes, source: str, labels: str) -> tuple[NDArray, NDArray]:
    """Read images (N, 32, 32, 3) and labels (N,) from a file of the Python version."""
    data, numbers = _unpickle(blob, source, "data", labels)
    try:
        table = data.array()
        if (
            table.ndim != 2
            or table.shape[1] != _PIXELS
            or len(table) != len(numbers)
            or not numbers
        ):
            raise ValueError(f"{len(numbers)} labels, pixels of shape {table.shape}")
        return _as_images(table), bytes_of(np.array(numbers), "labels")
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{source} is damaged or not a CIFAR file ({error}); remove it") from error


def _find(
    layout: _Layout, folder: Path, split: str, named: bool
) -> tuple[dict[str, bytes], Path, bool]:
    """Read the files of a split.

    Args:
        layout: Which files.
        folder: Where to look.
        split: "train" or "test".
        named: Whether the user named the folder; if not, an archive must be the official one.

    Returns:
        Contents by file name (empty if nothing was found), where they were found, and whether they
        come from the official archive.
    """
    names = layout.train if split == "train" else layout.test
    wanted = (*names, layout.names)
    archive = folder / layout.archive
    if archive.is_file():
        official = _is_official(archive, named)
        blobs = _from_archive(archive, wanted, official)
        missing = [name for name in names if name not in blobs]
        if missing:
            raise ValueError(f"{archive} lacks {', '.join(missing)}; remove it")
        return blobs, archive, official
    for place in (folder, folder / layout.folder):
        if all((place / name).is_file() for name in names):
            present = [place / name for name in wanted if (place / name).is_file()]
            for path in present:
                try:
                    _check_size(path.stat().st_size, path.name)
                except OSError as error:
                    raise ValueError(f"{place}: {error}") from None
            return {path.name: path.read_bytes() for path in present}, place, False
    return {}, folder, False


def _class_names(blob: bytes | None, pickled: bool, source: str, name: str) -> tuple[str, ...]:
    """Read the class names; return numbers if the file is missing or names too many or too few."""
    count = 10 if name == "cifar10" else 100
    lines: list[Any] = []
    if blob is not None and pickled:
        key = "label_names" if name == "cifar10" else "fine_label_names"
        (lines,) = _unpickle(blob, source, key)
        lines = [n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in lines]
    elif blob is not None:
        lines = blob.decode(errors="replace").splitlines()
    text = [line.strip() for line in lines if line.strip()]  # a name may hold spaces
    return tuple(text) if len(text) == count else tuple(str(k) for k in range(count))


def read_cifar(
    name: str, split: str, root: str | Path | None = None, download: bool = False
) -> tuple[Tensor, Tensor, tuple[str, ...], bool]:
    """Read CIFAR-10 or CIFAR-100 without running code from a pickle.

    Args:
        name: "cifar10" or "cifar100".
        split: "train" or "test".
        root: Folder with an archive or with its unpacked files, directly or in the archive's
            subfolder; by default `data_folder()`. Both the binary version and the Python version,
            which torchvision keeps, will do. A binary archive with an unofficial checksum is read
            only from a folder named here.
        download: Fetch the archive if nothing is there.

    Returns:
        Images (N, 32, 32, 3) uint8, labels (N,) int64, class names, and whether the data come from
        the official archive, by SHA-256.

    Raises:
        FileNotFoundError: If the files are missing.
        ValueError: If a file is truncated, or the archive of the default folder is not the
            official one.
    """
    folder = user_path(root) if root is not None else data_folder()
    blobs, where, official = _find(_LAYOUTS[name], folder, split, root is not None)
    pickled = not blobs
    if pickled:
        blobs, where, official = _find(_PICKLED[name], folder, split, True)
    if not blobs and download:
        from nmlib.data.fetch import fetch

        fetch(_LAYOUTS[name].archive, folder)
        blobs, where, official = _find(_LAYOUTS[name], folder, split, root is not None)
        pickled = False
    if not blobs:
        raise FileNotFoundError(
            f"no {name} in {folder}: nmlib.load({name!r}, download=True) fetches the official "
            f"archive (170 MB), or put {_LAYOUTS[name].archive} there, or pass its folder as root="
        )
    layout = _PICKLED[name] if pickled else _LAYOUTS[name]
    wanted = layout.train if split == "train" else layout.test
    if pickled:
        key = "labels" if name == "cifar10" else "fine_labels"
        parts = [_parse_pickled(blobs[w], f"{w} in {where}", key) for w in wanted]
    else:
        parts = [_parse(blobs[w], f"{w} in {where}", layout) for w in wanted]
    images = torch.from_numpy(np.ascontiguousarray(np.concatenate([p[0] for p in parts])))
    labels = torch.from_numpy(np.concatenate([p[1] for p in parts]).astype(np.int64))
    source = f"{layout.names} in {where}"
    classes = _class_names(blobs.get(layout.names), pickled, source, name)
    if int(labels.max()) >= len(classes):
        raise ValueError(
            f"{where} has label {int(labels.max())}, but {name} has {len(classes)} classes"
        )
    return images, labels, classes, official


def _is_official(archive: Path, named: bool) -> bool:
    """Return whether an archive is official; raise if it is not and its folder was not named."""
    from nmlib.data.fetch import REMOTE

    if archive.name not in REMOTE:
        return False
    found = f"sha256:{file_digest(archive, 'sha256')}"
    if found != REMOTE[archive.name].hash and not named:
        raise ValueError(
            f"{archive} has {found}, the official archive has {REMOTE[archive.name].hash}: "
            f"remove it and load with download=True, or pass root={str(archive.parent)!r} if it "
            "is meant to differ"
        )
    return found == REMOTE[archive.name].hash


def _open_integers(path: Path, axes: int) -> NDArray:
    """Map a file's array of integers into memory."""
    try:
        array = open_array(path)
    except FileNotFoundError:
        hint = "nmlib.data.fetch.fetch_cifar_c() downloads the official files, `nmlib corrupt` "
        hint += "makes sets of the same layout"
        if path.name == "labels.npy":
            hint += "; with --dataset FILE.npy, pass it the labels as --labels"
        raise FileNotFoundError(f"no {path.name} in {path.parent}: {hint}") from None
    if array.dtype.kind not in "iu" or array.ndim != axes or not array.size:
        raise ValueError(
            f"{path} holds {array.dtype} of shape {array.shape}, expected uint8 with {axes} axes, "
            "none of them empty"
        )
    return array


@dataclass(frozen=True)
class CorruptionFile:
    """The images of one corruption on disk.

    Attributes:
        path: The file.
        images: Read-only view of the file, uint8 (severities * N, H, W, 3).
        labels: Integers (severities * N,), repeated for each severity.
        severities: Severities in the file, in their order there.
        md5: Checksum, if it was compared with the official one, else empty.
    """

    path: Path
    images: NDArray[np.uint8]
    labels: NDArray
    severities: tuple[int, ...]
    md5: str = ""

    @property
    def share(self) -> int:
        """N, the number of images per severity."""
        return len(self.images) // len(self.severities)

    def at(self, severity: int) -> NDArray[np.uint8]:
        """Return the images of one severity, (N, H, W, 3).

        Raises:
            ValueError: If the file does not hold it.
        """
        if severity not in self.severities:
            raise ValueError(
                f"{self.path} holds severity {', '.join(map(str, self.severities))}, not {severity}"
            )
        first = self.severities.index(severity) * self.share
        return self.images[first : first + self.share]


def open_cifar_c(
    folder: str | Path, name: str, *, dataset: str | None = None, verify: bool = True
) -> CorruptionFile:
    """Open a set with every severity in its file; arguments as for `read_cifar_c`."""
    _checks.choice("corruption", name, [n for n in CIFAR_C_MD5 if n != "labels"])
    if dataset is not None:
        _checks.choice("data set", dataset, ("cifar10", "cifar100"))
    folder = user_path(folder)
    images = _open_integers(folder / f"{name}.npy", 4)
    labels = _open_integers(folder / "labels.npy", 1)
    levels = _recorded_severities(folder, name, len(images)) or (1, 2, 3, 4, 5)
    if len(images) != len(labels) or len(images) % len(levels):
        raise ValueError(
            f"{name}.npy has {len(images)} images and labels.npy {len(labels)}: they must agree "
            f"and be a multiple of {len(levels)} severities"
        )
    if (labels.reshape(len(levels), -1) != labels[: len(labels) // len(levels)]).any():
        raise ValueError(
            f"{folder / 'labels.npy'} does not repeat {len(levels)} times, once for each of the "
            f"severities {', '.join(map(str, levels))}; sets of other severities need the {RECORD} "
            "that `nmlib corrupt` writes beside them"
        )
    md5 = _official_md5(folder, name, dataset) if verify else ""
    pixels = bytes_of(images, f"{folder / name}.npy")
    return CorruptionFile(folder / f"{name}.npy", pixels, labels, levels, md5)


def _recorded_severities(folder: Path, name: str, rows: int) -> tuple[int, ...]:
    """Return the severities in file order from the record beside the file; () without a record."""
    path = folder / RECORD
    if not path.exists():
        return ()
    record = read_record(folder)
    levels, shape = record["severities"], record["images"]
    if name not in record.get("names", [name]):
        return ()
    if rows != len(levels) * shape[0]:
        raise ValueError(
            f"{name}.npy in {folder} has {rows} images, but {RECORD} beside it says {len(levels)} "
            f"severities of {shape[0]}; run the same `nmlib corrupt` again, or remove the record "
            "if it does not belong to the file"
        )
    return tuple(levels)


def _official_md5(folder: Path, name: str, dataset: str | None) -> str:
    """Return the MD5 of a corruption's file; raise unless file and labels are official."""
    titles = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C"}
    wanted = set(titles) if dataset is None else {dataset}
    for part in ("labels", name):
        found = file_digest(folder / f"{part}.npy", "md5")
        expected = dict(zip(titles, CIFAR_C_MD5[part], strict=True))
        fits = {d for d in titles if expected[d] == found}
        if not fits & wanted:
            official = " or ".join(f"{expected[d]} ({titles[d]})" for d in titles if d in wanted)
            reason = "it is truncated, altered or your own (then pass verify=False; on the "
            reason += "command line, --unverified)"
            if fits:
                reason = f"it belongs to {titles[fits.pop()]}"
            raise ValueError(
                f"{folder / part}.npy has MD5 {found}, the official file has {official}: {reason}"
            )
        wanted &= fits
    return found


def read_cifar_c(
    folder: str | Path,
    name: str,
    severity: int | None = None,
    *,
    dataset: str | None = None,
    verify: bool = True,
) -> tuple[NDArray, NDArray]:
    """Read a set of CIFAR-10-C or CIFAR-100-C, or one of the same layout.

    The files stack the five severities: with 10,000 test images, rows 0 ... 9,999 are severity 1,
    and the labels repeat five times. `nmlib corrupt` can write other severities, or another order;
    the record that it leaves beside the files then decides.

    Args:
        folder: Where NAME.npy and labels.npy lie.
        name: Corruption.
        severity: 1 to 5, or None for all five.
        dataset: "cifar10" or "cifar100": whose checksums apply; None accepts either.
        verify: Compare both files with the official MD5; pass False for your own sets.

    Returns:
        Images, uint8 (N, H, W, 3), a read-only view of the file unless it has another dtype or
        order, and labels, (N,) integers, uint8 in official files.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: For an unknown name, a severity outside 1 ... 5 or missing from the file, a
            wrong checksum or shape, or labels that do not repeat for each severity.
    """
    if severity is not None and severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"severity must be an integer from 1 to 5, got {severity!r}")
    stored = open_cifar_c(folder, name, dataset=dataset, verify=verify)
    if severity is not None:
        return stored.at(severity), stored.labels[: stored.share]
    if stored.severities == (1, 2, 3, 4, 5):
        return stored.images, stored.labels
    return np.concatenate([stored.at(level) for level in (1, 2, 3, 4, 5)]), stored.labels


def read_cifar_p(folder: str | Path, name: str) -> NDArray:
    """Read a perturbation sequence in the layout of CIFAR-10-P, uint8 (N, frames, H, W, 3).

    Args:
        folder: Where NAME.npy lies.
        name: Perturbation, e.g. "gaussian_noise".

    Returns:
        A read-only view of the file unless it has another dtype; (10000, frames, 32, 32, 3) in
        official files.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it has another shape. There is no official checksum.
    """
    path = user_path(folder) / f"{name}.npy"
    array = _open_integers(path, 5)
    if array.shape[4] != 3 or not 2 <= array.shape[1] <= 256:
        raise ValueError(
            f"{path} has {array.shape[1]} frames of shape {array.shape[2:]}, expected 2 to 256 of "
            "(H, W, 3)"
        )
    return bytes_of(array, str(path))
