"""fashion-mini, the CIFAR readers, and downloads from a server that breaks off."""

import contextlib
import gzip
import hashlib
import io
import itertools
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torch

import nmlib as nm
from nmlib._files import explained
from nmlib.data import cifar, fetch
from nmlib.data.cifar import read_cifar_c, read_cifar_p
from nmlib.data.corrupted import write_corrupted_set


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
    with pytest.raises(ValueError, match=r"truncated or damaged|lacks"):
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
    for name, pair in digests.items():
        monkeypatch.setitem(cifar.CIFAR_C_MD5, name, pair)
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


def own_set(folder, severities, labels=(0, 1) * 5):
    """Write a set of one's own; return its clean images."""
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    write_corrupted_set(images, list(labels), folder, names=["contrast"], severities=severities)
    return images


@pytest.mark.parametrize("order", [(5, 4, 3, 2, 1), (5,), (1, 3), (2, 3, 4, 5, 1)])
def test_the_record_beside_the_files_is_obeyed(tmp_path, order):
    images = own_set(tmp_path, order)
    for severity in range(1, 6):
        if severity in order:
            found, labels = read_cifar_c(tmp_path, "contrast", severity, verify=False)
            assert (found == nm.corrupt(images, "contrast", severity)).all()
            assert labels.tolist() == [0, 1] * 5
        else:
            with pytest.raises(ValueError, match=f"holds severity .*, not {severity}"):
                read_cifar_c(tmp_path, "contrast", severity, verify=False)
    if len(order) == 5:
        found, labels = read_cifar_c(tmp_path, "contrast", verify=False)
        every = [nm.corrupt(images, "contrast", severity) for severity in range(1, 6)]
        assert (found == np.concatenate(every)).all() and len(labels) == 50
    else:
        with pytest.raises(ValueError, match="holds severity"):
            read_cifar_c(tmp_path, "contrast", verify=False)


def test_without_a_record_labels_must_repeat_five_times(tmp_path):
    own_set(tmp_path, (5,), labels=range(10))
    record = tmp_path / "nmlib-corrupt.json"
    text = record.read_text()
    record.unlink()
    with pytest.raises(ValueError, match="does not repeat 5 times"):
        read_cifar_c(tmp_path, "contrast", 1, verify=False)
    for bad in ('"severities": [7]', '"severities": 5', '"severities": [1, 1]', '"severities": []'):
        record.write_text(re.sub(r'"severities": \[[^]]*\]', bad, text))
        with pytest.raises(ValueError, match=r"nmlib-corrupt\.json is damaged"):
            read_cifar_c(tmp_path, "contrast", 1, verify=False)
    record.write_text(re.sub(r'"severities": \[[^]]*\]', '"severities": [1, 2]', text))
    with pytest.raises(ValueError, match=r"10 images, but nmlib-corrupt\.json .* says 2 sev"):
        read_cifar_c(tmp_path, "contrast", 1, verify=False)


def official_folder(folder, monkeypatch, place):
    """Make a small folder pass as that of CIFAR-10-C (0) or CIFAR-100-C (1)."""
    folder.mkdir()
    own_set(folder, range(1, 6))
    (folder / "nmlib-corrupt.json").unlink()
    for name in ("contrast", "labels"):
        digest = hashlib.md5((folder / f"{name}.npy").read_bytes()).hexdigest()
        pair = list(cifar.CIFAR_C_MD5[name])
        pair[place] = digest
        monkeypatch.setitem(cifar.CIFAR_C_MD5, name, tuple(pair))
    return folder


@pytest.mark.parametrize("place", [0, 1])
def test_which_official_files_they_are_is_tried(tmp_path, monkeypatch, place):
    folder = official_folder(tmp_path / "c", monkeypatch, place)
    mine, other = ("cifar10", "cifar100")[:: 1 - 2 * place]
    for dataset in (None, mine):
        assert len(read_cifar_c(folder, "contrast", 3, dataset=dataset)[0]) == 10
    with pytest.raises(ValueError, match=r"it belongs to CIFAR-10+-C"):
        read_cifar_c(folder, "contrast", dataset=other)
    labels = np.load(folder / "labels.npy")
    np.save(folder / "labels.npy", labels[::-1])
    with pytest.raises(ValueError, match=r"\(CIFAR-10-C\) or .* \(CIFAR-100-C\): .*verify=False"):
        read_cifar_c(folder, "contrast")


def test_sets_of_other_sizes_and_types(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 40, 48, 3), dtype=np.uint8)
    write_corrupted_set(images, [0, 1, 2, 3], tmp_path, names="fog")
    found, _ = read_cifar_c(tmp_path, "fog", 2, verify=False)
    expected = nm.corrupt(images, "fog", 2)
    assert (found == expected).all() and isinstance(found, np.memmap)
    np.save(tmp_path / "fog.npy", np.load(tmp_path / "fog.npy").astype(np.int64))
    np.save(tmp_path / "labels.npy", np.tile([0, 1, 2, 999], 5))
    again, labels = read_cifar_c(tmp_path, "fog", 2, verify=False)
    assert (
        again.dtype == np.uint8 and (again == expected).all() and labels.tolist() == [0, 1, 2, 999]
    )
    np.save(tmp_path / "fog.npy", np.full((20, 40, 48, 3), 256))
    with pytest.raises(ValueError, match=r"fog\.npy must lie in 0 \.\.\. 255, got 256"):
        read_cifar_c(tmp_path, "fog", 2, verify=False)
    for shape in ((0, 32, 32, 3), (20, 0, 32, 3), (20, 32, 32)):
        np.save(tmp_path / "fog.npy", np.zeros(shape, np.uint8))
        with pytest.raises(ValueError, match="expected uint8 with 4 axes, none of them empty"):
            read_cifar_c(tmp_path, "fog", 2, verify=False)
    for frames, told in ((1, "1 frames"), (300, "300 frames")):
        np.save(tmp_path / "tilt.npy", np.zeros((1, frames, 32, 32, 3), np.uint8))
        with pytest.raises(ValueError, match=told):
            read_cifar_p(tmp_path, "tilt")


def as_python_version(root, name, protocol, keys=str.encode):
    """Write the binary files of `make_folder` as torchvision keeps them."""
    binary, files = make_folder(root / "binary", name)
    layout, old = cifar._PICKLED[name], cifar._LAYOUTS[name]
    folder = root / layout.folder
    folder.mkdir()
    fine = "labels" if name == "cifar10" else "fine_labels"
    names = "label_names" if name == "cifar10" else "fine_label_names"
    for source, target in zip((*old.train, *old.test), (*layout.train, *layout.test), strict=True):
        rows = files[source]
        content = {keys("data"): np.ascontiguousarray(rows[:, old.label_bytes :]),
                   keys(fine): rows[:, old.label_bytes - 1].tolist()}  # fmt: skip
        (folder / target).write_bytes(pickle.dumps(content, protocol))
    classes = {keys(names): [keys(f"c{k}") for k in range(10 if name == "cifar10" else 100)]}
    (folder / layout.names).write_bytes(pickle.dumps(classes, protocol))
    return binary, folder


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_torchvisions_folder_and_archive(tmp_path, name, protocol):
    binary, folder = as_python_version(
        tmp_path, name, protocol, str.encode if protocol == 2 else str
    )
    with tarfile.open(tmp_path / cifar._PICKLED[name].archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    (tmp_path / "archive").mkdir()
    archive = tmp_path / cifar._PICKLED[name].archive
    archive.rename(tmp_path / "archive" / archive.name)
    for split in ("train", "test"):
        expected = nm.load(name, split, root=binary)
        for root in (tmp_path, folder, tmp_path / "archive"):
            found = nm.load(name, split, root=root)
            assert found.fingerprint == expected.fingerprint
            assert found.classes[3] == "c3" and found.label == f"{name} (local files)"


def test_a_file_as_python_2_wrote_it(tmp_path):
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).tobytes()
    pickled = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
        b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01"
        b"\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(pixels).to_bytes(4, "little") + pixels + b"tbU\x06labels]q\x07(K\x03K\x05eu."
    )  # fmt: skip
    (tmp_path / "test_batch").write_bytes(pickled)
    data = nm.load("cifar10", "test", root=tmp_path)
    assert data.labels.tolist() == [3, 5]
    assert data.images[1, 0, 1].tolist() == [pixels[3072 + 1024 * c + 1] for c in range(3)]


class Hostile:
    def __reduce__(self):
        return (open, ("hostile", "w"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (Hostile(), r"asks for _?io\.open"),
        ({"data": Hostile(), "labels": [1]}, r"asks for _?io\.open"),
        ({"data": np.zeros((1, 3072), np.float32), "labels": [1]}, "not bytes"),
        ({"data": np.zeros((1, 3072), object), "labels": [1]}, "not bytes"),
        ({"data": np.zeros((1, 99), np.uint8), "labels": [1]}, r"shape \(1, 99\)"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "1 labels"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "not a CIFAR file"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [-1]}, "got -1"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [12]}, "label 12"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["a"]}, "not a CIFAR file"),
        ({"labels": [1]}, "KeyError"),
        ([], "not a CIFAR file"),
        (b"", "not a CIFAR file"),
        (b"\x80\x05", "not a CIFAR file"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_run_nothing(tmp_path, monkeypatch, content, told, protocol):
    monkeypatch.chdir(tmp_path)
    raw = content if isinstance(content, bytes) else pickle.dumps(content, protocol)
    (tmp_path / "test_batch").write_bytes(raw)
    with pytest.raises(ValueError, match=told) as caught:
        nm.load("cifar10", "test", root=tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["test_batch"]


@pytest.mark.parametrize("where", ["batch", "before", "header", "loose"])
def test_bombs_are_not_unpacked(tmp_path, monkeypatch, where):
    monkeypatch.setattr(cifar, "_LARGEST", 200_000)
    monkeypatch.setattr(cifar, "_UNPACKED", 300_000)
    zeros = b"\0" * 3073 * 200
    if where == "loose":
        (tmp_path / "test_batch.bin").write_bytes(zeros)
    else:
        with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as tar:
            info = tarfile.TarInfo("test_batch.bin" if where == "batch" else "junk")
            if where == "header":
                info.pax_headers = {"comment": "0" * 500_000}
            else:
                info.size = len(zeros)
            tar.addfile(info, io.BytesIO(zeros))
            info = tarfile.TarInfo("test_batch.bin")
            info.size = 3073
            tar.addfile(info, io.BytesIO(zeros))
    read = []
    inside = gzip.GzipFile.read

    def counting(self, size=-1):
        found = inside(self, size)
        read.append(len(found))
        return found

    monkeypatch.setattr(gzip.GzipFile, "read", counting)
    with pytest.raises(ValueError, match=r"unpacks to more|no CIFAR file has more") as caught:
        nm.load("cifar10", "test", root=tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    assert sum(read) < 300_000


@pytest.mark.parametrize("cut", [0, 5, 30, 0.3, 0.9])
def test_damaged_archives_are_named(tmp_path, cut):
    folder, _ = make_folder(tmp_path / "a")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    whole = archive.read_bytes()
    at = int(cut * len(whole)) if isinstance(cut, float) else cut
    for damaged in (whole[:at], whole[:at] + b"\xff" * 40 + whole[at + 40 :]):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz (is truncated|lacks)"):
            nm.load("cifar10", "train", root=tmp_path)


def test_an_archive_that_a_browser_unpacked_half_way(tmp_path):
    folder, _ = make_folder(tmp_path / "a")
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:") as tar:
        tar.add(folder, arcname=folder.name)
        tar.add(folder / "test_batch.bin", arcname="cifar-10-batches-bin/._test_batch.bin")
    expected = nm.load("cifar10", "test", root=folder)
    assert nm.load("cifar10", "test", root=tmp_path).fingerprint == expected.fingerprint


def visible(folder):
    """Names of the files that a person sees; lock files stay, hidden."""
    return [p.name for p in folder.iterdir() if not p.name.endswith(".lock")]


CONTENT = bytes(range(256)) * 8000


class Flaky(BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; breaks off after `limit` bytes of a response."""

    limit: int | None = None
    status: int | None = None
    more: ClassVar[dict[str, str]] = {}
    seen: ClassVar[list[str | None]] = []
    asked: ClassVar[list[dict[str, str]]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.seen.append(wanted)
        self.asked.append(dict(self.headers))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        if self.status:
            self.send_error(self.status)
            return
        start = int(wanted[6:].rstrip("-")) if wanted else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.more.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body if self.limit is None else body[: self.limit])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Flaky.limit, Flaky.status, Flaky.more, Flaky.seen, Flaky.asked = None, None, {}, [], []
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
    assert have == 700_000  # all that arrived
    Flaky.limit = None
    path = fetch.fetch("thing", tmp_path, remote=good, progress=False)
    assert path.read_bytes() == CONTENT
    assert Flaky.seen == [None, f"bytes={have}-"]
    assert visible(tmp_path) == ["thing"]
    fetch.fetch("thing", tmp_path, remote=good, progress=False)
    assert len(Flaky.seen) == 2  # not fetched again
    bad = fetch.RemoteFile(server, "md5:" + "0" * 32)
    with pytest.raises(ValueError, match="checksum"):
        fetch.fetch("other", tmp_path, remote=bad, progress=False)
    assert visible(tmp_path) == ["thing"]


def good(url, size=None):
    size = len(CONTENT) if size is None else size
    return fetch.RemoteFile(url, "sha256:" + hashlib.sha256(CONTENT).hexdigest(), size)


def fetched(folder, remote):
    path = fetch.fetch("thing", folder, remote=remote, progress=False)
    assert path.read_bytes() == CONTENT and visible(folder) == ["thing"]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity"])
def test_downloads_are_the_servers_bytes(tmp_path, server, encoding):
    Flaky.more = {"Content-Encoding": encoding}
    fetched(tmp_path, good(server))
    assert Flaky.asked[0]["Accept-Encoding"] == "identity"
    assert Flaky.asked[0]["User-Agent"].startswith("nmlib/")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_other_addresses_are_followed(tmp_path, server):
    fetched(tmp_path, good(server.replace("/file", "/moved")))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"status": 403}, "answers 403 Forbidden; fetch thing by hand"),
        ({"status": 404}, "answers 404 Not Found; fetch thing by hand"),
        ({"status": 429}, "answers 429 Too Many Requests; try again later, or fetch thing by hand"),
        ({"status": 503}, "answers 503 Service Unavailable; try again later, or fetch"),
        ({"more": {"Content-Type": "text/html; charset=utf-8"}}, "answers with a web page, http"),
        ({"limit": 5}, r"broke off after 5 bytes \(.*\); call again to resume"),
    ],
)
def test_what_a_server_refuses_can_be_fetched_by_hand(tmp_path, server, setting, told):
    for name, value in setting.items():
        setattr(Flaky, name, value)
    with pytest.raises(OSError, match=told) as caught:
        fetch.fetch("thing", tmp_path, remote=good(server), progress=False)
    words = str(caught.value)
    assert "\n" not in words
    assert f"put it at {tmp_path / 'thing'}: its address is {server}, its checksum sha256" in words
    assert visible(tmp_path) == ([".thing.part"] if "limit" in setting else [])
    # Put there by hand, it is taken without the network.
    (tmp_path / "thing").write_bytes(CONTENT)
    count = len(Flaky.seen)
    assert fetch.fetch("thing", tmp_path, remote=good(server)) == tmp_path / "thing"
    assert len(Flaky.seen) == count


def test_no_connection_is_said_in_a_line(tmp_path):
    with pytest.raises(OSError, match=r"no connection to http://127\.0\.0\.1:9/x \(.*by hand") as e:
        fetch.fetch("thing", tmp_path, remote=good("http://127.0.0.1:9/x"), progress=False)
    assert "\n" not in str(e.value) and "object at 0x" not in str(e.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("size", [0, len(CONTENT)])
@pytest.mark.parametrize(
    "part", [CONTENT, CONTENT + b"more", b"x" * len(CONTENT), b"x" * 100, b""],
    ids=["whole", "too long", "other", "other beginning", "empty"],
)  # fmt: skip
def test_a_part_of_anything_ends_in_the_right_file(tmp_path, server, part, size):
    (tmp_path / ".thing.part").write_bytes(part)
    fetched(tmp_path, good(server, size))
    assert len(Flaky.seen) <= 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_wrong_checksum_leads_to_advice_that_ends(tmp_path, server):
    (tmp_path / "thing").write_bytes(b"something else")
    bad = fetch.RemoteFile(server, "md5:" + "0" * 32)
    with pytest.raises(ValueError, match=r"not have the checksum.*by hand.*in place of") as e:
        fetch.fetch("thing", tmp_path, remote=bad, progress=False)
    assert "try again" not in str(e.value) and visible(tmp_path) == ["thing"]
    assert (tmp_path / "thing").read_bytes() == b"something else"
    fetched(tmp_path, good(server))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_that_does_not_stop(tmp_path, server):
    endless = fetch.RemoteFile(server, "md5:" + "0" * 32, 1000)
    with pytest.raises(ValueError, match="checksum"):
        fetch.fetch("thing", tmp_path, remote=endless, progress=False)
    assert visible(tmp_path) == []


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_disk_that_fills_up_during_a_download(tmp_path, server, monkeypatch):
    @contextlib.contextmanager
    def full(path):
        with explained(path):
            yield
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch, "explained", full)
    with pytest.raises(OSError, match=f"no space is left.*'{tmp_path / 'thing'}'") as caught:
        fetch.fetch("thing", tmp_path, remote=good(server), progress=False)
    assert "broke off" not in str(caught.value)
    monkeypatch.undo()
    fetched(tmp_path, good(server))
    assert Flaky.seen[1].startswith("bytes=")


HOLDER = """
import sys, time
from pathlib import Path
from nmlib._files import alone_in
with alone_in(Path(sys.argv[1]), "downloading", lock=".thing.lock", wait=True):
    print(time.monotonic(), flush=True)
    time.sleep(0.3)
    print(time.monotonic(), flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_third_process_does_not_get_in_when_the_first_is_done(tmp_path):
    """Whoever waits for a lock file waits for the one that all others open."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    spans = sorted([float(t) for t in p.communicate()[0].split()] for p in processes)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


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
    assert visible(tmp_path) == ["thing"]


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
        for k, name in enumerate(["._fog", *cifar.CIFAR_C_MD5]):
            data = io.BytesIO()
            np.save(data, np.full(4, k, np.uint8))
            info = tarfile.TarInfo(f"CIFAR-10-C/{name}.npy")
            info.size = data.tell()
            data.seek(0)
            tar.addfile(info, data)
    archive = tmp_path / "CIFAR-10-C.tar"
    archive.write_bytes(buffer.getvalue())
    monkeypatch.setattr(fetch, "fetch", lambda name, folder: archive)
    target = fetch.fetch_cifar_c("cifar10", tmp_path)
    assert {p.stem for p in target.glob("*.npy")} == set(cifar.CIFAR_C_MD5)
    seventh = target / f"{list(cifar.CIFAR_C_MD5)[6]}.npy"
    assert np.load(seventh).tolist() == [7] * 4
    untouched = (target / "fog.npy").stat().st_mtime_ns
    # What is not whole is unpacked again, and nothing else; other files do not count.
    for damage in (b"", seventh.read_bytes() + b"0"):
        seventh.write_bytes(damage)
        (target / "._snow.npy").write_bytes(b"")
        assert fetch.fetch_cifar_c("cifar10", tmp_path) == target
        assert np.load(seventh).tolist() == [7] * 4
    assert (target / "fog.npy").stat().st_mtime_ns == untouched
    monkeypatch.setattr(fetch, "fetch", None)  # nothing is fetched for a whole folder
    assert fetch.fetch_cifar_c("cifar10", tmp_path) == target
    archive.write_bytes(buffer.getvalue()[:4096])
    monkeypatch.setattr(fetch, "fetch", lambda name, folder: archive)
    seventh.unlink()
    with pytest.raises(ValueError, match=r"CIFAR-10-C\.tar (is damaged|lacks a complete)"):
        fetch.fetch_cifar_c("cifar10", tmp_path)


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root, and Windows, may write anywhere"
)
def test_download_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="NMLIB_DATA"):
        fetch.fetch("frost1.png", tmp_path)
