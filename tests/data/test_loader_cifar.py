"""CIFAR files of one's own: named as such, and only when asked for."""

import io
import tarfile

import numpy as np
import pytest
import torch

import nmlib as nm
from nmlib._files import file_digest
from nmlib.data import fetch
from nmlib.data.loader import Batches

NAMES = [f"class number {k}" for k in range(10)]


def make_archive(folder, count=20):
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:

        def add(name, content):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))

        for name in [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]:
            rows = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
            rows[:, 0] = np.arange(count) % 10
            add(name, rows.tobytes())
        add("batches.meta.txt", ("\n".join(NAMES) + "\n\n").encode())
    return path


def test_an_archive_with_another_checksum_is_read_when_its_folder_is_named(tmp_path, monkeypatch):
    path = make_archive(tmp_path / "data")
    monkeypatch.setenv("NMLIB_DATA", str(path.parent))
    with pytest.raises(ValueError, match=r"the official archive has sha256:c4a38c.*pass root="):
        nm.load("cifar10")
    data = nm.load("cifar10", root=path.parent)
    assert data.label == "cifar10 (local files)" and len(data) == 100
    assert nm.load("cifar10", root=path.parent, label="mine").label == "mine"
    # What tells two such archives apart in the results is the fingerprint.
    assert len(data.fingerprint) == 16
    assert nm.load("cifar10", "test", root=path.parent).fingerprint != data.fingerprint
    assert data.classes == tuple(NAMES)


def test_the_official_archive_needs_no_word(tmp_path, monkeypatch):
    path = make_archive(tmp_path / "data")
    monkeypatch.setenv("NMLIB_DATA", str(path.parent))
    known = fetch.RemoteFile("https://example.org", f"sha256:{file_digest(path, 'sha256')}")
    monkeypatch.setitem(fetch.REMOTE, path.name, known)
    assert nm.load("cifar10").label == "cifar10"


def test_files_on_disk_become_batches(tmp_path):
    data = nm.load("cifar10", root=make_archive(tmp_path / "data").parent)
    batches = Batches(data, 10, rng=nm.Rng(0), augment=False, shuffle=False)
    x, y = batches.at(0, 3)
    assert torch.equal(x, data.images[30:40].permute(0, 3, 1, 2) / 255)
    assert torch.equal(y, data.labels[30:40])


def test_missing_data_name_the_call_that_fetches_them(tmp_path, monkeypatch):
    monkeypatch.setenv("NMLIB_DATA", str(tmp_path / "nowhere"))
    for name in ("cifar10", "cifar100"):
        with pytest.raises(FileNotFoundError) as caught:
            nm.load(name)
        assert f"nmlib.load({name!r}, download=True)" in str(caught.value)
        assert str(tmp_path / "nowhere") in str(caught.value)
