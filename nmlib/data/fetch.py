"""The only place that uses the network: downloads with checksum, resumption and progress."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmlib import _checks
from nmlib._files import rename_into
from nmlib.corruptions import FROST_PHOTOGRAPHS
from nmlib.data.cache import data_folder

__all__ = ["REMOTE", "RemoteFile", "fetch", "fetch_cifar_c", "fetch_frost_photographs"]


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        url: Address.
        hash: "md5:..." or "sha256:...".
        size: Bytes, if known, else 0.
    """

    url: str
    hash: str
    size: int = 0


_FROST = "https://raw.githubusercontent.com/hendrycks/robustness/master/ImageNet-C/create_c/"

REMOTE: dict[str, RemoteFile] = {
    "cifar-10-binary.tar.gz": RemoteFile(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        170_052_171,
    ),
    "cifar-100-binary.tar.gz": RemoteFile(
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        "sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        168_513_733,
    ),
    "CIFAR-10-C.tar": RemoteFile(
        "https://zenodo.org/records/2535967/files/CIFAR-10-C.tar",
        "md5:56bf5dcef84df0e2308c6dcbcbbd8499",
        2_918_471_680,
    ),
    "CIFAR-100-C.tar": RemoteFile(
        "https://zenodo.org/records/3555552/files/CIFAR-100-C.tar",
        "md5:11f0ed0f1191edbf9fa23466ae6021d3",
        2_918_473_216,
    ),
    **{
        name: RemoteFile(_FROST + name, f"sha256:{digest}")
        for name, digest in FROST_PHOTOGRAPHS.items()
    },
}


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Wait until no other process holds this lock; where there are no locks, do not wait."""
    try:
        import fcntl

        file = path.open("w")
    except (ImportError, OSError):  # Windows; a folder that may only be read
        yield
        return
    with file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


class _Resuming:
    """A pooch downloader that keeps what it has and asks for the rest.

    Args:
        part: Where the bytes gather; left in place when the transfer breaks off.
        progress: Show a progress bar.
    """

    def __init__(self, part: Path, progress: bool) -> None:
        self.part = part
        self.progress = progress

    def __call__(self, url: str, output_file: Any, pooch: Any, **_: Any) -> None:
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=30) as response:
            if response.status_code == 416:  # nothing is left to send
                have_all = True
            else:
                response.raise_for_status()
                have_all = False
            if not have_all:
                resumed = response.status_code == 206
                if not resumed:
                    have = 0
                left = int(response.headers.get("Content-Length", 0))
                with self.part.open("ab" if resumed else "wb") as file:
                    self._copy(response, file, have, left)
                if left and self.part.stat().st_size < have + left:
                    raise OSError(
                        f"{url} broke off after {self.part.stat().st_size} of {have + left} "
                        "bytes; call again to go on from there"
                    )
        os.replace(self.part, output_file)

    def _copy(self, response: Any, file: Any, have: int, left: int) -> None:
        bar = None
        if self.progress:
            from tqdm.auto import tqdm

            bar = tqdm(
                total=have + left or None, initial=have, unit="B", unit_scale=True,
                desc=self.part.name.strip(".").removesuffix(".part"),
            )  # fmt: skip
        try:
            for block in response.iter_content(1 << 18):
                file.write(block)
                if bar is not None:
                    bar.update(len(block))
        finally:
            if bar is not None:
                bar.close()


def fetch(
    name: str,
    folder: str | Path | None = None,
    *,
    remote: RemoteFile | None = None,
    progress: bool = True,
) -> Path:
    """Return the path of an official file, downloading it if it is not there.

    The transfer goes to a hidden .part file, is resumed where it broke off, and gets its final
    name only when the checksum is right. Of several processes that ask for it (those of
    `accelerate launch`), one downloads and the others wait.

    Args:
        name: A key of `REMOTE`, or any file name if `remote` is given.
        folder: Where it shall lie; by default `data_folder()`.
        remote: Address and checksum of another file.
        progress: Show a progress bar (TQDM_DISABLE=1 also silences it).

    Raises:
        ValueError: For an unknown name, or if the checksum is wrong (the file is removed).
        OSError: If there is no connection, no room or no permission.
    """
    if remote is None:
        _checks.choice("file", name, REMOTE)
        remote = REMOTE[name]
    try:
        import pooch
    except ImportError as error:
        raise ImportError("downloads need pooch: pip install pooch tqdm") from error
    folder = Path(folder) if folder is not None else data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot create {folder}: {error.strerror}; set NMLIB_DATA") from error
    if not os.access(folder, os.W_OK) and not (folder / name).exists():
        raise PermissionError(f"no permission to write in {folder}; set NMLIB_DATA")
    with _one_at_a_time(folder / f".{name}.lock"):
        part = folder / f".{name}.part"
        have = part.stat().st_size if part.exists() else 0
        if remote.size and not (folder / name).exists():
            free = shutil.disk_usage(folder).free
            if free < remote.size - have:
                raise OSError(
                    f"{name} needs {remote.size - have:,} bytes and {folder} has {free:,} free; "
                    "make room or set NMLIB_DATA"
                )
        logger = pooch.get_logger()
        level = logger.level
        logger.setLevel("WARNING")
        try:
            path = pooch.retrieve(
                remote.url,
                known_hash=remote.hash,
                fname=name,
                path=folder,
                downloader=_Resuming(part, progress),
            )
        except ValueError as error:
            part.unlink(missing_ok=True)
            raise ValueError(
                f"{name} from {remote.url} does not have checksum {remote.hash}; it was removed, "
                "try again"
            ) from error
        finally:
            logger.setLevel(level)
    return Path(path)


def fetch_cifar_c(dataset: str = "cifar10", folder: str | Path | None = None) -> Path:
    """Download and unpack CIFAR-10-C or CIFAR-100-C (2.9 GB); return its folder.

    Args:
        dataset: "cifar10" or "cifar100".
        folder: Where archive and folder shall lie; by default `data_folder()`.
    """
    _checks.choice("data set", dataset, ("cifar10", "cifar100"))
    stem = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C"}[dataset]
    folder = Path(folder) if folder is not None else data_folder()
    target = folder / stem
    if (target / "labels.npy").exists() and len(list(target.glob("*.npy"))) >= 20:
        return target
    archive = fetch(f"{stem}.tar", folder)
    with tarfile.open(archive) as tar:
        for member in tar:
            name = Path(member.name).name
            if member.isfile() and name.endswith(".npy") and not (target / name).exists():
                source = tar.extractfile(member)
                assert source is not None
                with rename_into(target / name) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
    return target


def fetch_frost_photographs(folder: str | Path | None = None) -> Path:
    """Download the benchmark's five frost photographs (2 MB); return their folder.

    Their licence is not known, so nmlib does not ship them. Read them with
    `nmlib.corruptions.read_frost_photographs`.

    Args:
        folder: Where they shall lie; by default the folder frost in `data_folder()`.
    """
    folder = Path(folder) if folder is not None else data_folder() / "frost"
    for name in FROST_PHOTOGRAPHS:
        fetch(name, folder, progress=False)
    return folder
