"""CIFAR-10 and CIFAR-100 from their binary archives; CIFAR-C and CIFAR-P from their arrays."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmlib import _checks
from nmlib.data.cache import data_folder

__all__ = ["CIFAR_C_MD5", "read_cifar", "read_cifar_c", "read_cifar_p"]


@dataclass(frozen=True)
class _Layout:
    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    names: str
    label_bytes: int
    counts: tuple[int, int] = (50_000, 10_000)


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
_PIXELS = 3072


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_archive(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in names:
                    source = tar.extractfile(member)
                    assert source is not None
                    found[name] = source.read()
                    if len(found) == len(names):
                        break
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{path} is truncated or damaged ({error}); remove it") from error
    return found


def _parse(blob: bytes, source: str, layout: _Layout) -> tuple[NDArray, NDArray]:
    record = layout.label_bytes + _PIXELS
    if len(blob) == 0 or len(blob) % record:
        raise ValueError(
            f"{source} has {len(blob):,} bytes, which is no whole number of {record}-byte records: "
            "the file is truncated or not a CIFAR file"
        )
    table = np.frombuffer(blob, np.uint8).reshape(-1, record)
    images = table[:, layout.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, table[:, layout.label_bytes - 1]


def read_cifar(
    name: str, split: str, root: str | Path | None = None, download: bool = False
) -> tuple[Tensor, Tensor, tuple[str, ...], bool]:
    """Read CIFAR-10 or CIFAR-100 without unpickling anything.

    Args:
        name: "cifar10" or "cifar100".
        split: "train" or "test".
        root: Folder with the archive, or with the unpacked .bin files (in it or in the archive's
            own folder name); by default `data_folder()`. An archive with another checksum is read
            only from a folder named here.
        download: Fetch the archive if nothing is there.

    Returns:
        Images (N, 32, 32, 3) uint8, labels (N,) int64, class names, and whether the data are the
        official archive, by SHA-256.

    Raises:
        FileNotFoundError: If the files are missing.
        ValueError: If a file is truncated, or the archive of the default folder is not the
            official one.
    """
    layout = _LAYOUTS[name]
    folder = Path(root) if root is not None else data_folder()
    wanted = layout.train if split == "train" else layout.test
    archive = folder / layout.archive
    loose = next(
        (f for f in (folder, folder / layout.folder) if all((f / w).is_file() for w in wanted)),
        None,
    )
    if not archive.is_file() and loose is None and download:
        from nmlib.data.fetch import fetch

        archive = fetch(layout.archive, folder)
    official = False
    if archive.is_file():
        from nmlib.data.fetch import REMOTE

        found = f"sha256:{_sha256(archive)}"
        official = found == REMOTE[layout.archive].hash
        if not official and root is None:
            raise ValueError(
                f"{archive} has {found}, the official archive {REMOTE[layout.archive].hash}: "
                f"remove it and load with download=True, or pass root={str(folder)!r} if it is "
                "meant to differ"
            )
        blobs = _from_archive(archive, (*wanted, layout.names))
        missing = [w for w in wanted if w not in blobs]
        if missing:
            raise ValueError(f"{archive} holds no {', '.join(missing)}; remove it")
        where = str(archive)
    elif loose is not None:
        names = [w for w in (*wanted, layout.names) if (loose / w).is_file()]
        blobs = {w: (loose / w).read_bytes() for w in names}
        where = str(loose)
    else:
        raise FileNotFoundError(
            f"no {name} in {folder}: nmlib.load({name!r}, download=True) fetches the official "
            f"archive (170 MB), or put {layout.archive} there, or pass root= the folder that has it"
        )
    parts = [_parse(blobs[w], f"{w} in {where}", layout) for w in wanted]
    images = torch.from_numpy(np.ascontiguousarray(np.concatenate([p[0] for p in parts])))
    labels = torch.from_numpy(np.concatenate([p[1] for p in parts]).astype(np.int64))
    lines = blobs.get(layout.names, b"").decode().splitlines()
    text = [line.strip() for line in lines if line.strip()]  # a name may hold spaces
    count = 10 if name == "cifar10" else 100
    classes = tuple(text) if len(text) == count else tuple(str(k) for k in range(count))
    if len(labels) and int(labels.max()) >= count:
        raise ValueError(f"{where} has label {int(labels.max())}, but {name} has {count} classes")
    return images, labels, classes, official


CIFAR_C_MD5: dict[str, tuple[str, str]] = {
    "labels": ("c439b113295ed5254878798ffe28fd54", "bb4026e9ce52996b95f439544568cdb2"),
    "gaussian_noise": ("ecaf8b9a2399ffeda7680934c33405fd", "ecc4d366eac432bdf25c024086f5e97d"),
    "shot_noise": ("3a7239bb118894f013d9bf1984be7f11", "b0a1fa6e1e465a747c1b204b1914048a"),
    "impulse_noise": ("2090e01c83519ec51427e65116af6b1a", "3b3c210ddfa0b5cb918ff4537a429fef"),
    "defocus_blur": ("7d1322666342a0702b1957e92f6254bc", "d923e3d9c585a27f0956e2f2ad832564"),
    "glass_blur": ("7361fb4019269e02dbf6925f083e8629", "0bf384f38e5ccbf8dd479d9059b913e1"),
    "motion_blur": ("fffa5f852ff7ad299cfe8a7643f090f4", "732a7e2e54152ff97c742d4c388c5516"),
    "zoom_blur": ("6ea8e63f1c5cdee1517533840641641b", "0204613400c034a81c4830d5df81cb82"),
    "snow": ("bb238de8555123da9c282dea23bd6e55", "0237be164583af146b7b144e73b43465"),
    "frost": ("31f6ab3bce1d9934abfb0cc13656f141", "3a39c6823bdfaa0bf8b12fe7004b8117"),
    "fog": ("7b397314b5670f825465fbcd1f6e9ccd", "4efc7ebd5e82b028bdbe13048e3ea564"),
    "brightness": ("0a81ef75e0b523c3383219c330a85d48", "f22d7195aecd6abb541e27fca230c171"),
    "contrast": ("3c8262171c51307f916c30a3308235a8", "322bb385f1d05154ee197ca16535f71e"),
    "elastic_transform": ("9421657c6cd452429cf6ce96cc412b5f", "a0792bd6581f6810878be71acedfc65a"),
    "pixelate": ("0f14f7e2db14288304e1de10df16832f", "96c00c60f144539e14cffb02ddbd0640"),
    "jpeg_compression": ("2b9cc4c864e0193bb64db8d7728f8187", "c851b7f1324e1d2ffddeb76920576d11"),
    "speckle_noise": ("ef00b87611792b00df09c0b0237a1e30", "e3f215b1a0f9fd9fd6f0d1cf94a7ce99"),
    "gaussian_blur": ("c33370155bc9b055fb4a89113d3c559d", "5204ba0d557839772ef5a4196a052c3e"),
    "spatter": ("8a5a3903a7f8f65b59501a6093b4311e", "12ccf41d62564d36e1f6a6ada5022728"),
    "saturate": ("1cfae0964219c5102abbb883e538cc56", "c0697e9fdd646916a61e9c312c77bf6b"),
}
"""MD5 of the official .npy files of CIFAR-10-C and CIFAR-100-C."""


def _open_array(path: Path, axes: int) -> NDArray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if not path.exists():
            raise FileNotFoundError(
                f"no {path.name} in {path.parent}: nmlib.data.fetch.fetch_cifar_c() downloads the "
                "official files, `nmlib corrupt` makes sets of the same layout"
            ) from error
        raise ValueError(f"{path} is truncated or not an array ({error}); remove it") from error
    if array.dtype != np.uint8 or array.ndim != axes:
        raise ValueError(
            f"{path} holds {array.dtype} of shape {array.shape}, expected uint8 with {axes} axes"
        )
    return array


def _verify(path: Path, name: str, dataset: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    expected = CIFAR_C_MD5[name][("cifar10", "cifar100").index(dataset)]
    if found != expected:
        raise ValueError(
            f"{path} has MD5 {found}, the official file has {expected}: it is truncated, altered "
            "or of your own making (then pass verify=False)"
        )


def read_cifar_c(
    folder: str | Path,
    name: str,
    severity: int | None = None,
    *,
    dataset: str = "cifar10",
    verify: bool = True,
) -> tuple[NDArray, NDArray]:
    """Read a set of CIFAR-10-C or CIFAR-100-C.

    The files stack the five severities: with 10,000 test images, rows 0 ... 9,999 are severity 1,
    and the labels repeat five times.

    Args:
        folder: Where NAME.npy and labels.npy lie.
        name: Corruption.
        severity: 1 to 5, or None for all five.
        dataset: "cifar10" or "cifar100": whose checksums.
        verify: Compare both files with the official MD5; False for sets of one's own.

    Returns:
        Images, a read-only view of the file, uint8 (N, 32, 32, 3), and labels, uint8 (N,).

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: For an unknown name, a severity outside 1 ... 5, a wrong checksum or shape.
    """
    _checks.choice("corruption", name, [n for n in CIFAR_C_MD5 if n != "labels"])
    _checks.choice("data set", dataset, ("cifar10", "cifar100"))
    if severity is not None and severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"severity must be an integer from 1 to 5, got {severity!r}")
    folder = Path(folder)
    images = _open_array(folder / f"{name}.npy", 4)
    labels = _open_array(folder / "labels.npy", 1)
    if len(images) != len(labels) or len(images) % 5:
        raise ValueError(
            f"{name}.npy has {len(images)} images and labels.npy {len(labels)}: they must agree "
            "and be a multiple of 5 severities"
        )
    if verify:
        _verify(folder / f"{name}.npy", name, dataset)
        _verify(folder / "labels.npy", "labels", dataset)
    if severity is None:
        return images, labels
    share = len(images) // 5
    rows = slice((severity - 1) * share, severity * share)
    return images[rows], labels[rows]


def read_cifar_p(folder: str | Path, name: str) -> NDArray:
    """Read a perturbation sequence of CIFAR-10-P: a view, uint8 (10000, frames, 32, 32, 3).

    Args:
        folder: Where NAME.npy lies.
        name: Perturbation, e.g. "gaussian_noise".

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it has another shape. There is no official checksum.
    """
    array = _open_array(Path(folder) / f"{name}.npy", 5)
    if array.shape[2:] != (32, 32, 3):
        raise ValueError(f"{name}.npy has frames of shape {array.shape[2:]}, expected (32, 32, 3)")
    return array
