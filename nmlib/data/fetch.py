"""Downloads with checksum, resumption and progress: the only module that uses the network."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nmlib import _checks
from nmlib._files import alone_in, explained, file_digest, open_array, rename_into, sweep, user_path
from nmlib.corruptions import FROST_PHOTOGRAPHS
from nmlib.data.cache import data_folder

__all__ = [
    "CIFAR_C_MD5",
    "REMOTE",
    "RemoteFile",
    "fetch",
    "fetch_cifar_c",
    "fetch_frost_photographs",
]


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server.

    Attributes:
        url: Address.
        hash: "md5:..." or "sha256:...", of the whole digest or its first digits; "" if none is
            published.
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


def _agent() -> str:
    try:
        version = metadata.version("nmlib")
    except metadata.PackageNotFoundError:
        version = "source"
    return f"nmlib/{version}"


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a connection error, in one line."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error).partition("\n")[0] or type(error).__name__


def _fits(path: Path, remote: RemoteFile) -> bool:
    kind, _, digest = remote.hash.partition(":")
    if not path.is_file() or not digest:
        return path.is_file()
    return file_digest(path, kind).startswith(digest.lower())


@dataclass(frozen=True)
class _Download:
    """A download that keeps the bytes received when the connection breaks, and then resumes."""

    path: Path
    remote: RemoteFile
    progress: bool

    @property
    def part(self) -> Path:
        """The partial file."""
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def have(self) -> int:
        """Bytes received so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def by_hand(self) -> str:
        """How to fetch the file without nmlib."""
        wrong = ", in place of the file there, which has another checksum"
        wrong = wrong if self.path.exists() else ""
        return (
            f"fetch {self.path.name} by hand, in a browser or from a mirror, and put it at "
            f"{self.path}{wrong}: its address is {self.remote.url}, its checksum "
            f"{self.remote.hash or 'not published'}"
        )

    def check_room(self) -> None:
        """Raise OSError if the rest does not fit on the disk; drop a part that is too long."""
        if self.remote.size and self.have > self.remote.size:
            self.part.unlink()
        rest = self.remote.size - self.have
        free = shutil.disk_usage(self.path.parent).free
        if free < rest:
            raise OSError(
                f"{self.path.name} needs {rest:,} bytes and {self.path.parent} has {free:,} free; "
                "make room or set NMLIB_DATA"
            )

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """Ask the server for the missing bytes and yield its response.

        Raises:
            OSError: If the server does not answer, or not with a file.
        """
        import requests

        url = self.remote.url
        # Without compression on the way: the checksum and the offset count the file's own bytes.
        headers = {"Accept-Encoding": "identity", "User-Agent": _agent()}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
        try:
            response = requests.get(url, headers=headers, stream=True, timeout=30)
        except requests.RequestException as error:
            raise OSError(f"no connection to {url} ({_reason(error)}); {self.by_hand}") from error
        with response:
            code, kind = response.status_code, response.headers.get("Content-Type", "")
            later = "try again later, or " if code == 429 or code >= 500 else ""
            if code not in (200, 206, 416):
                raise OSError(f"{url} answers {code} {response.reason}; {later}{self.by_hand}")
            if code == 200 and kind.startswith("text/html"):
                raise OSError(f"{url} answers with a web page, {response.url}; {self.by_hand}")
            yield response

    def run(self) -> None:
        """Download the rest.

        Raises:
            OSError: If the connection breaks off or the disk is full; the bytes received stay.
        """
        with self._request() as response:
            if response.status_code == 416:  # nothing is left to send
                return
            resumed = response.status_code == 206
            start = f"bytes {self.have}-"
            if resumed and not response.headers.get("Content-Range", start).startswith(start):
                raise OSError(f"{self.remote.url} sends another range than asked; {self.by_hand}")
            length = int(response.headers.get("Content-Length") or 0)
            whole = length + self.have * resumed if length else 0
            with self.part.open("ab" if resumed else "wb") as file:
                self._copy(response.raw, file, whole)
        if self.have < min(whole, self.remote.size or whole):
            raise self._broken("the connection was closed")

    def _broken(self, reason: str) -> OSError:
        return OSError(
            f"{self.remote.url} broke off after {self.have:,} bytes ({reason}); call again to "
            f"resume. If it always breaks off, {self.by_hand}"
        )

    def _copy(self, raw: Any, file: Any, whole: int) -> None:
        """Write the bytes as they arrive, undecoded."""
        from urllib3.exceptions import HTTPError

        bar = None
        if self.progress:
            from tqdm.auto import tqdm

            bar = tqdm(
                total=whole or None, initial=self.have, unit="B", unit_scale=True,
                desc=self.path.name,
            )  # fmt: skip
        # read1 does not wait for a full block, so a break loses nothing that has arrived.
        read, size = (raw.read1, 1 << 16) if hasattr(raw, "read1") else (raw.read, 1 << 13)
        try:
            while True:
                try:
                    block = read(size, decode_content=False)
                except (HTTPError, OSError) as error:
                    raise self._broken(_reason(error)) from error
                if not block or 0 < self.remote.size < self.have:
                    return
                with explained(self.path):
                    file.write(block)
                    file.flush()
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

    The download goes to a hidden .part file, resumes where it broke off, and gets its final name
    only when the checksum is right. If several processes ask at once (under `accelerate launch`),
    one downloads and the others wait.

    Args:
        name: A key of `REMOTE`, or any file name if `remote` is given.
        folder: Destination; by default `data_folder()`.
        remote: Address and checksum of another file.
        progress: Show a progress bar (TQDM_DISABLE=1 also silences it).

    Raises:
        ValueError: For an unknown name, or a download with a wrong checksum, which is removed.
        OSError: If there is no connection, no such file, no room or no permission; the message
            says how to get the file by hand.
    """
    if remote is None:
        _checks.choice("file", name, REMOTE)
        remote = REMOTE[name]
    folder = user_path(folder) if folder is not None else data_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot create {folder}: {error.strerror}; set NMLIB_DATA") from error
    path = folder / name
    if not os.access(folder, os.W_OK) and not path.exists():
        raise PermissionError(f"no permission to write in {folder}; set NMLIB_DATA")
    with alone_in(folder, "downloading", lock=f".{name}.lock", wait=True):
        if _fits(path, remote):
            return path
        if find_spec("requests") is None:
            raise ImportError("downloads need requests: pip install requests tqdm")
        download = _Download(path, remote, progress)
        download.check_room()
        begun = download.have > 0
        download.run()
        if begun and not _fits(download.part, remote):  # the old part was of another file
            download.part.unlink()
            download.run()
        if not _fits(download.part, remote):
            download.part.unlink()
            raise ValueError(
                f"the download from {remote.url} does not have the checksum of {name} and was "
                "removed: the file there has changed, or something on the way alters it; "
                f"{download.by_hand}"
            )
        download.part.replace(path)
    return path


def fetch_cifar_c(dataset: str = "cifar10", folder: str | Path | None = None) -> Path:
    """Download and unpack CIFAR-10-C or CIFAR-100-C (2.9 GB); return its folder.

    Args:
        dataset: "cifar10" or "cifar100".
        folder: Destination of the archive and its folder; by default `data_folder()`.
    """
    _checks.choice("data set", dataset, ("cifar10", "cifar100"))
    stem = {"cifar10": "CIFAR-10-C", "cifar100": "CIFAR-100-C"}[dataset]
    folder = user_path(folder) if folder is not None else data_folder()
    target = folder / stem
    if not _missing(target, CIFAR_C_MD5):
        return target
    archive = fetch(f"{stem}.tar", folder)
    target.mkdir(exist_ok=True)
    with alone_in(target, "unpacking", wait=True):
        sweep(target, "*")
        missing = _missing(target, CIFAR_C_MD5)  # another process may have unpacked meanwhile
        try:
            with tarfile.open(archive, "r:") as tar:
                for member in tar:
                    name = Path(member.name).name
                    if member.isfile() and name in missing:
                        source = tar.extractfile(member)
                        assert source is not None
                        with rename_into(target / name) as temporary, temporary.open("wb") as file:
                            shutil.copyfileobj(source, file, 1 << 20)
        except tarfile.TarError as error:
            raise ValueError(f"{archive} is damaged ({error}); remove it") from error
    if missing := _missing(target, CIFAR_C_MD5):
        raise ValueError(f"{archive} lacks a complete {', '.join(missing)}; remove it")
    return target


def _missing(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the files that are missing or incomplete; readers check the MD5 of the others."""
    missing = []
    for name in names:
        try:
            open_array(folder / f"{name}.npy")
        except (OSError, ValueError):
            missing.append(f"{name}.npy")
    return missing


def fetch_frost_photographs(folder: str | Path | None = None) -> Path:
    """Download the benchmark's five frost photographs (2 MB); return their folder.

    Their licence is unknown, so nmlib does not ship them. Read them with
    `nmlib.corruptions.read_frost_photographs`.

    Args:
        folder: Destination; by default the folder frost in `data_folder()`.
    """
    folder = user_path(folder) if folder is not None else data_folder() / "frost"
    for name in FROST_PHOTOGRAPHS:
        fetch(name, folder, progress=False)
    return folder
