"""`nmlib corrupt`: the official layout, interruption, bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import nmlib as nm
from nmlib.cli import main
from nmlib.corruptions import CORRUPTIONS
from nmlib.data import corrupted
from nmlib.data.cifar import read_cifar_c

FAST = ["--limit", "1500", "--corruptions", "contrast", "fog", "pixelate"]


def run(out, *more):
    return main(["corrupt", "--dataset", "fashion-mini", "--out", str(out), "--quiet", *more])


def test_layout(tmp_path):
    assert run(tmp_path, "--limit", "12", "--seed", "3") == 0
    data = nm.load("fashion-mini", "test").first(12)
    assert {p.stem for p in tmp_path.glob("*.npy")} == {*CORRUPTIONS, "labels"}
    for name in CORRUPTIONS:
        for severity in (1, 5):
            images, labels = read_cifar_c(tmp_path, name, severity, verify=False)
            expected = nm.corrupt(data.images, name, severity, seed=3)
            assert (images == expected.numpy()).all()
            assert (labels == data.labels.numpy()).all()
    stored = np.load(tmp_path / "fog.npy")
    assert stored.shape == (60, 32, 32, 3) and stored.dtype == np.uint8
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_images_from_a_file_and_all_nineteen(tmp_path):
    images = nm.load("fashion-mini", "test").images[:3].numpy()
    np.save(tmp_path / "mine.npy", images)
    command = ["corrupt", "--dataset", str(tmp_path / "mine.npy"), "--out", str(tmp_path / "c")]
    assert main([*command, "--corruptions", "all", "--severities", "2", "--quiet"]) == 0
    assert len(list((tmp_path / "c").glob("*.npy"))) == 19  # no labels were given
    stored = np.load(tmp_path / "c" / "spatter.npy")
    assert (stored == nm.corrupt(images, "spatter", 2)).all()


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_resumed(tmp_path, kill):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(whole, *FAST) == 0
    command = [sys.executable, "-m", "nmlib", "corrupt", "--dataset", "fashion-mini",
               "--out", str(broken), "--quiet", *FAST]  # fmt: skip
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"},
        # Tests that a shell started in the background ignore SIGINT, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        part = broken / ".fog.npy.part"
        while not (part.exists() and part.stat().st_size > 4_000_000):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(kill)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == (-signal.SIGKILL if kill == signal.SIGKILL else 130)
    if kill == signal.SIGINT:
        assert b"goes on from here" in told
    assert (broken / "contrast.npy").exists() and not (broken / "fog.npy").exists()
    finished = (broken / "contrast.npy").stat().st_mtime_ns
    # A crash may cut a row in two.
    with part.open("ab") as file:
        file.write(b"half a row")
    assert run(broken, *FAST) == 0
    assert (broken / "contrast.npy").stat().st_mtime_ns == finished
    for path in whole.glob("*.npy"):
        assert path.read_bytes() == (broken / path.name).read_bytes()
    assert not list(broken.glob(".*.part"))


def test_full_disk_leaves_no_final_name(tmp_path, monkeypatch, capsys):
    calls = []

    def fails(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return nm.corrupt(*arguments, **options)

    monkeypatch.setattr(corrupted, "corrupt", fails)
    assert run(tmp_path, *FAST) == 2
    assert "No space left" in capsys.readouterr().err
    assert not list(tmp_path.glob("contrast.npy"))
    monkeypatch.setattr(corrupted, "corrupt", nm.corrupt)
    assert run(tmp_path, *FAST) == 0
    assert len(np.load(tmp_path / "contrast.npy")) == 7_500
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(corrupted.shutil, "disk_usage", lambda _: usage)
    assert run(tmp_path / "more", *FAST) == 2
    assert "bytes free" in capsys.readouterr().err


def test_other_settings_are_not_mixed_in(tmp_path, capsys):
    assert run(tmp_path, "--limit", "3", "--corruptions", "fog") == 0
    assert run(tmp_path, "--limit", "3", "--corruptions", "fog", "--seed", "1") == 2
    assert "seed 0 -> 1" in capsys.readouterr().err
    assert json.loads((tmp_path / "nmlib-corrupt.json").read_text())["seed"] == 0
    before = (tmp_path / "fog.npy").read_bytes()
    assert run(tmp_path, "--limit", "3", "--corruptions", "fog", "snow") == 0
    assert (tmp_path / "fog.npy").read_bytes() == before


def test_bad_input(tmp_path, capsys):
    def told(*words):
        assert main(["corrupt", *words, "--quiet"]) == 2
        return capsys.readouterr().err

    out = ["--out", str(tmp_path / "x")]
    assert "did you mean 'cifar10'" in told("--dataset", "cifar-10", *out)
    fashion = ["--dataset", "fashion-mini"]
    assert "did you mean 'fog'" in told(*fashion, *out, "--corruptions", "foog")
    assert "1 to 5" in told(*fashion, *out, "--severities", "6")
    assert "--limit" in told(*fashion, *out, "--limit", "0")
    assert "download=True" in told("--dataset", "cifar10", "--root", str(tmp_path), *out)
    assert "fetch_frost_photographs" in told(*fashion, *out, "--frost", str(tmp_path))
    (tmp_path / "file").write_text("")
    assert "cannot create" in told(*fashion, "--out", str(tmp_path / "file" / "x"))
    np.save(tmp_path / "floats.npy", np.zeros((2, 32, 32, 3)))
    assert "uint8" in told("--dataset", str(tmp_path / "floats.npy"), *out)
    assert not list((tmp_path / "x").glob("[!.]*.npy"))


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root, and Windows, may write anywhere"
)
def test_no_permission(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert run(tmp_path) == 2
    assert "no permission" in capsys.readouterr().err
