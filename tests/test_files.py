"""Files: `~`, the umask, one writer, full disks, and .npy files that are something else."""

import argparse
import errno
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from evaluation.nets import Colours

import nmlib as nm
from nmlib._files import (
    alone_in,
    open_array,
    path_option,
    read_json,
    rename_into,
    user_path,
    write_json,
    write_text,
)
from nmlib.cli import main
from nmlib.data.cache import data_folder
from nmlib.data.cifar import read_cifar_c
from nmlib.data.corrupted import write_corrupted_set
from nmlib.data.fetch import RemoteFile, fetch
from nmlib.evaluation import (
    CorruptionReport,
    PerturbationReport,
    evaluate,
    evaluate_corruptions,
    evaluate_perturbations,
)
from nmlib.evaluation.predictions import Predictions
from nmlib.training import Recipe, fit, load_weights

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder, beside the folder that one works in."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "home"
    assert not list((tmp_path / "here").iterdir()), "written beside the home folder"


def test_a_tilde_is_the_home_folder(home):
    data, net = nm.load("fashion-mini", "test").first(8), Colours()
    write_corrupted_set(data.images, data.labels, "~/sets", names="fog")
    assert len(read_cifar_c("~/sets", "fog", 2, verify=False)[0]) == 8
    options = {"corruptions": "fog", "severities": 1}
    evaluate_corruptions(net, data, **options, folder="~/sets", verify=False, out="~/a")
    assert CorruptionReport.read("~/a").save("~/b") == home / "b"
    evaluate_perturbations(net, data, perturbations="tilt", out="~/a")
    assert PerturbationReport.read("~/a").save("~/b") == home / "b"
    assert evaluate(net, data).save("~/p.npz") == home / "p.npz"
    assert len(Predictions.read("~/p.npz")) == 8
    (home / "f").write_bytes(b"x")
    known = RemoteFile("https://example.org", "md5:9dd4e461268c8034f5c8564e155c67a6")
    assert fetch("f", "~", remote=known) == home / "f"
    for call in (lambda: nm.load("cifar10", root="~/n"), lambda: load_weights("~/n")):
        with pytest.raises(FileNotFoundError, match=re.escape(str(home / "n"))):
            call()
    few = nm.load("fashion-mini").first(16)
    model = nm.build_model("preact_resnet_small")
    recipe = Recipe(epochs=1, batch_size=8)
    fit(model, few, nm.Scheme("baseline"), recipe, out="~/run", device="cpu", progress=False)
    assert load_weights("~/run")
    seen = {p.name for p in home.iterdir() if not p.name.endswith(".lock")}
    assert seen == {"sets", "a", "b", "p.npz", "f", "run"}


def test_a_tilde_on_the_command_line(home, capsys):
    images = nm.load("fashion-mini", "test").first(3).images.numpy()
    np.save(home / "x.npy", images)
    np.save(home / "y.npy", np.array([3, 1, 2]))
    command = ["corrupt", "--dataset", "~/x.npy", "--labels", "~/y.npy", "--out", "~/c", "--quiet"]
    assert main([*command, "--corruptions", "fog", "--severities", "2"]) == 0
    found, labels = read_cifar_c(home / "c", "fog", 2, verify=False)
    assert (found == nm.corrupt(images, "fog", 2)).all() and labels.tolist() == [3, 1, 2]
    assert main(["corrupt", "--dataset", "~/x.npy", "--out", "~nobody-of-this-name/c"]) == 2
    assert "home folder that does not exist here; write the path in full" in capsys.readouterr().err


@pytest.mark.parametrize("bad", ["", "a\0b", "~nobody-of-this-name/x"])
def test_what_is_no_path(bad):
    with pytest.raises(ValueError, match=r"not a path|home folder"):
        user_path(bad)
    with pytest.raises(argparse.ArgumentTypeError):
        path_option(bad)


def test_the_data_folder_is_named_where_there_is_no_home(monkeypatch, home):
    monkeypatch.setenv("NMLIB_DATA", "~/data")
    assert data_folder() == home / "data"
    monkeypatch.delenv("NMLIB_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_folder() == home / ".cache" / "nmlib"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
    assert data_folder() == home / "cache" / "nmlib"
    for name in ("XDG_CACHE_HOME", "NMLIB_DATA"):
        monkeypatch.setenv(name, "~nobody-of-this-name/x")
        with pytest.raises(ValueError, match="NMLIB_DATA"):
            data_folder()


@POSIX
@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_the_umask_decides(tmp_path, umask):
    data = nm.load("fashion-mini", "test").first(2)
    before = os.umask(umask)
    try:
        write_text(tmp_path / "text", "a")
        write_corrupted_set(data.images, data.labels, tmp_path, names="fog", severities=1)
        evaluate(Colours(), data).save(tmp_path / "p.npz")
    finally:
        os.umask(before)
    files = list(tmp_path.iterdir())
    assert len(files) == 6
    for path in files:
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask, path.name


HOLD = """
import sys
from pathlib import Path
from nmlib._files import alone_in
with alone_in(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


@POSIX
def test_a_second_writer_hears_who_is_there(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        data = nm.load("fashion-mini", "test").first(2)
        with pytest.raises(
            ValueError, match=rf"another process is writing .* \(process {other.pid} on "
        ):
            write_corrupted_set(data.images, None, tmp_path, names="fog")
        assert [p.name for p in tmp_path.iterdir()] == [".lock"]
        other.kill()
    # A killed process holds nothing.
    write_corrupted_set(data.images, None, tmp_path, names="fog", severities=1)
    with alone_in(tmp_path, "busy"), pytest.raises(ValueError, match="busy"), alone_in(
        tmp_path, "busy"
    ):  # fmt: skip
        pass


@POSIX
def test_a_lock_file_is_never_taken_away(tmp_path):
    """A second process may wait for it, and a third would get in by a new one."""
    known = RemoteFile("https://example.org", "md5:9dd4e461268c8034f5c8564e155c67a6")
    (tmp_path / "f").write_bytes(b"x")
    fetch("f", tmp_path, remote=known)
    lock = tmp_path / ".f.lock"
    number = lock.stat().st_ino
    fetch("f", tmp_path, remote=known)
    assert lock.stat().st_ino == number


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left"), OSError("3072 requested and 128 written")],
    ids=["system", "NumPy"],
)
def test_a_full_disk_names_the_file(tmp_path, error):
    (tmp_path / "x").write_text("before")
    told = r"no space is left.*'.*x'"
    with pytest.raises(OSError, match=told) as caught, rename_into(tmp_path / "x"):
        raise error
    assert caught.value.errno == errno.ENOSPC
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and (
        tmp_path / "x"
    ).read_text() == "before"


def header(shape, kind="|u1"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def test_arrays_are_mapped_as_they_are(tmp_path):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for array in (
        values,
        np.asfortranarray(values),
        values.astype(">i8"),
        values[:0],
        values % 2 > 0,
    ):
        np.save(tmp_path / "x.npy", array)
        found = open_array(tmp_path / "x.npy")
        assert found.dtype == array.dtype and found.shape == array.shape
        assert (found == array).all()
    np.save(tmp_path / "x.npy", values)
    assert isinstance(open_array(str(tmp_path / "x.npy")), np.memmap)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"PK\3\4 and so on", r"zip archive: save one array"),
        (b"\x1f\x8b and so on", "is compressed"),
        (b"\x00\x05\x16\x07\x00", r"macOS.*without '\._'"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<html>", "truncated or not an array"),
        (b"\x93NUMPY", "truncated or not an array"),
        (header((2, 3))[:40], "truncated or not an array"),
        (header((2, 3)), "truncated or not an array.*greater than file size"),
        (header((2, 3)) + b"0" * 7, "is too long: it has 135 bytes"),
        (header((-1, 3)), "truncated or not an array"),
        (header((0, 10**30)), "truncated or not an array"),
        (header((10**12, 32, 32, 3)), "truncated or not an array"),
        (header((10**40,)), "truncated or not an array"),
        (header((1,), "|O") + b"0" * 8, "Python objects"),
        (header((1,), [("a", "<i4")]) + b"0" * 4, "records"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_is_no_array_is_named(tmp_path, capsys, content, told):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told) as caught:
        open_array(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    np.save(tmp_path / "labels.npy", np.zeros(5, np.uint8))
    command = ["corrupt", "--dataset", str(path), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 2
    assert re.search(told, capsys.readouterr().err) and not (tmp_path / "out").exists()
    path.rename(tmp_path / "fog.npy")
    with pytest.raises(ValueError, match=told):
        read_cifar_c(tmp_path, "fog", verify=False)


def test_a_folder_is_no_array(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        open_array(tmp_path)


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    """Not the temporary name beside it."""
    (tmp_path / "a.json").mkdir()
    for path in (tmp_path / "a.json", tmp_path / ("x" * 250)):
        with pytest.raises(OSError) as caught:
            write_json(path, {})
        assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_byte_order_mark_is_no_damage(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json", "a record") == {"a": 1}
