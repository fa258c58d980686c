"""fashion-mini, the CIFAR readers, and downloads from a server that breaks off."""

import contextlib
import hashlib
import io
import multiprocessing
import os
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch

import nmlib as nm
from nmlib.data import cifar, fetch
from nmlib.data.cifar import read_cifar_c, read_cifar_p


def test_fashion_mini():
    for split, per_class in (("train", 600), ("test", 200)):
        data = nm.load("fashion-mini", split=split)
        assert data.images.shape == (10 * per_class, 32, 32, 3)
        assert data.images.dtype == torch.uint8 and data.labels.dtype == torch.int64
        assert (torch.bincount(data.labels) == per_class).all()
        assert (data.labels[:100].reshape(10, 10).sort(1).values == torch.arange(10)).all()
        assert (data.images[..., 0] == data.images[..., 2]).all()
        assert (data.images[:, :2] == 0).all() and (data.images[:, :, -2:] == 0).all()
        assert data.images.float().mean() > 40
        assert data.label == data.name == "fashion-mini" and len(data.classes) == 10
    assert data.first(7).fingerprint != data.fingerprint and len(data.first(7)) == 7
    assert nm.load("fashion-mini", "test").fingerprint == data.fingerprint


def test_fashion_mini_is_small_and_has_its_licence():
    from importlib import resources

    folder = resources.files("nmlib.data") / "fashion_mini"
    sizes = [len((folder / f).read_bytes()) for f in ("train.npz", "test.npz")]
    assert sum(sizes) <= 4_000_000
    text = (folder / "LICENSE").read_text()
    assert "MIT" in text and "Zalando" in text
    index = [np.load((folder / f"{s}.npz").open("rb"))["index"] for s in ("train", "test")]
    assert [len(np.unique(i)) for i in index] == [6000, 2000]


def blob(count, label_bytes, classes, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, label_bytes + 3072), dtype=np.uint8)
    rows[:, label_bytes - 1] = np.arange(count) % classes
    return rows


def make_folder(root, name="cifar10"):
    if name == "cifar10":
        files = {f"data_batch_{k}.bin": blob(20, 1, 10, k) for k in range(1, 6)}
        files["test_batch.bin"] = blob(20, 1, 10, 9)
        stem = "cifar-10-batches-bin"
        files["batches.meta.txt"] = "\n".join("abcdefghij").encode()
    else:
        files = {"train.bin": blob(30, 2, 100, 1), "test.bin": blob(10, 2, 100, 2)}
        stem = "cifar-100-binary"
    folder = root / stem
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file).write_bytes(bytes(content) if isinstance(content, bytes) else content)
    return folder, files


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_from_folder_and_archive(tmp_path, name):
    folder, files = make_folder(tmp_path, name)
    skip = 1 if name == "cifar10" else 2
    for root in (tmp_path, folder):
        test = nm.load(name, "test", root=root)
        rows = files["test_batch.bin" if name == "cifar10" else "test.bin"]
        image = rows[3, skip:].reshape(3, 32, 32)
        assert (test.images[3].numpy() == image.transpose(1, 2, 0)).all()
        assert test.labels[3] == rows[3, skip - 1] == 3
        assert test.label == f"{name} (local files)"
    train = nm.load(name, "train", root=folder, label="stand-in")
    assert len(train) == (100 if name == "cifar10" else 30) and train.label == "stand-in"
    archive = tmp_path / "other" / cifar._LAYOUTS[name].archive
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    packed = nm.load(name, "test", root=archive.parent)
    assert torch.equal(packed.images, test.images) and packed.fingerprint == test.fingerprint
    damaged = archive.read_bytes()
    archive.write_bytes(damaged[: len(damaged) // 2])
    with pytest.raises(ValueError, match=r"truncated or damaged|holds no"):
        nm.load(name, "test", root=archive.parent)


def test_missing_and_truncated_cifar(tmp_path, monkeypatch):
    monkeypatch.setenv("NMLIB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="download=True"):
        nm.load("cifar10")
    with pytest.raises(ValueError, match="did you mean 'cifar10'"):
        nm.load("cifar-10")
    with pytest.raises(ValueError, match="split"):
        nm.load("fashion-mini", "validation")
    folder, _ = make_folder(tmp_path)
    file = folder / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match="truncated"):
        nm.load("cifar10", "test", root=folder)


def test_cifar_c_reader(tmp_path, monkeypatch):
    assert len(cifar.CIFAR_C_MD5) == 20
    assert all(len(m) == 32 for pair in cifar.CIFAR_C_MD5.values() for m in pair)
    images = np.arange(10 * 32 * 32 * 3, dtype=np.uint64).astype(np.uint8).reshape(10, 32, 32, 3)
    labels = np.tile(np.array([4, 7], np.uint8), 5)
    np.save(tmp_path / "fog.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    with pytest.raises(ValueError, match="MD5"):
        read_cifar_c(tmp_path, "fog")
    found, y = read_cifar_c(tmp_path, "fog", 2, verify=False)
    assert (found == images[2:4]).all() and y.tolist() == [4, 7]
    digests = {
        n: (hashlib.md5((tmp_path / f"{n}.npy").read_bytes()).hexdigest(), "")
        for n in ("fog", "labels")
    }
    monkeypatch.setattr(cifar, "CIFAR_C_MD5", cifar.CIFAR_C_MD5 | digests)
    assert len(read_cifar_c(tmp_path, "fog")[0]) == 10
    with pytest.raises(ValueError, match="severity"):
        read_cifar_c(tmp_path, "fog", 6, verify=False)
    with pytest.raises(FileNotFoundError, match="fetch_cifar_c"):
        read_cifar_c(tmp_path, "snow")
    (tmp_path / "fog.npy").write_bytes((tmp_path / "fog.npy").read_bytes()[:500])
    with pytest.raises(ValueError, match="truncated"):
        read_cifar_c(tmp_path, "fog", verify=False)
    np.save(tmp_path / "fog.npy", images[:9])
    with pytest.raises(ValueError, match="must agree"):
        read_cifar_c(tmp_path, "fog", verify=False)
    np.save(tmp_path / "fog.npy", images.astype(np.float32))
    with pytest.raises(ValueError, match="expected uint8"):
        read_cifar_c(tmp_path, "fog", verify=False)
    np.save(tmp_path / "tilt.npy", np.zeros((2, 31, 32, 32, 3), np.uint8))
    assert read_cifar_p(tmp_path, "tilt").shape == (2, 31, 32, 32, 3)


CONTENT = bytes(range(256)) * 8000


class Flaky(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; breaks off after `limit` bytes of a response."""

    limit: int | None = None
    seen: ClassVar[list[str | None]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.seen.append(wanted)
        start = int(wanted[6:].rstrip("-")) if wanted else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body if self.limit is None else body[: self.limit])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Flaky.limit, Flaky.seen = None, []
    server = HTTPServer(("127.0.0.1", 0), Flaky)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_download_resumes_and_verifies(tmp_path, server):
    good = fetch.RemoteFile(server, "sha256:" + hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    Flaky.limit = 700_000
    with pytest.raises(OSError):
        fetch.fetch("thing", tmp_path, remote=good, progress=False)
    assert not (tmp_path / "thing").exists()
    have = (tmp_path / ".thing.part").stat().st_size
    assert 0 < have <= 700_000
    Flaky.limit = None
    path = fetch.fetch("thing", tmp_path, remote=good, progress=False)
    assert path.read_bytes() == CONTENT
    assert Flaky.seen == [None, f"bytes={have}-"]
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]
    fetch.fetch("thing", tmp_path, remote=good, progress=False)
    assert len(Flaky.seen) == 2  # not fetched again
    bad = fetch.RemoteFile(server, "md5:" + "0" * 32)
    with pytest.raises(ValueError, match="checksum"):
        fetch.fetch("other", tmp_path, remote=bad, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_of_several_processes_one_downloads(tmp_path, server):
    good = fetch.RemoteFile(server, "sha256:" + hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    context = multiprocessing.get_context("spawn")
    options = {"remote": good, "progress": False}
    every = [
        context.Process(target=fetch.fetch, args=("thing", tmp_path), kwargs=options)
        for _ in range(3)
    ]
    for process in every:
        process.start()
    for process in every:
        process.join()
    assert [process.exitcode for process in every] == [0, 0, 0]
    assert Flaky.seen == [None]
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


def test_download_refuses_early(tmp_path, monkeypatch):
    huge = fetch.RemoteFile("http://127.0.0.1:9/x", "md5:" + "0" * 32, 10**18)
    with pytest.raises(OSError, match="free"):
        fetch.fetch("huge", tmp_path, remote=huge)
    with pytest.raises(ValueError, match="did you mean"):
        fetch.fetch("CIFAR-10-C.tgz", tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OSError, match="NMLIB_DATA"):
        fetch.fetch("frost1.png", blocked / "below")


def test_cifar_c_archive_is_unpacked_whole_or_not_at_all(tmp_path, server, monkeypatch):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for k in range(21):
            data = io.BytesIO()
            np.save(data, np.full(4, k, np.uint8))
            info = tarfile.TarInfo(f"CIFAR-10-C/{'labels' if k == 20 else f'set{k}'}.npy")
            info.size = data.tell()
            data.seek(0)
            tar.addfile(info, data)
    archive = tmp_path / "CIFAR-10-C.tar"
    archive.write_bytes(buffer.getvalue())
    monkeypatch.setattr(fetch, "fetch", lambda name, folder: archive)
    target = fetch.fetch_cifar_c("cifar10", tmp_path)
    assert len(list(target.glob("*.npy"))) == 21
    assert np.load(target / "set7.npy").tolist() == [7] * 4
    assert fetch.fetch_cifar_c("cifar10", tmp_path) == target


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root, and Windows, may write anywhere"
)
def test_download_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="NMLIB_DATA"):
        fetch.fetch("frost1.png", tmp_path)
