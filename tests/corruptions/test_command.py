"""`nmlib corrupt`: the official layout, interruption, bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rounding import same_images

import nmlib as nm
from nmlib.cli import main
from nmlib.corruptions import CORRUPTIONS
from nmlib.data import corrupted
from nmlib.data.cifar import read_cifar_c

# The same bytes in pieces of any size.
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
            same_images(name, images, expected)
            assert (labels == data.labels.numpy()).all()
    stored = np.load(tmp_path / "fog.npy")
    assert stored.shape == (60, 32, 32, 3) and stored.dtype == np.uint8
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_images_from_a_file_and_all_corruptions(tmp_path):
    images = nm.load("fashion-mini", "test").images[:3].numpy()
    np.save(tmp_path / "mine.npy", images)
    command = ["corrupt", "--dataset", str(tmp_path / "mine.npy"), "--out", str(tmp_path / "c")]
    assert main([*command, "--corruptions", "all", "--severities", "2", "--quiet"]) == 0
    written = {path.stem for path in (tmp_path / "c").glob("*.npy")}
    assert written == {*nm.CORRUPTIONS, *nm.EXTRA_CORRUPTIONS}  # no labels were given
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


def pictures(seed=0, count=6):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def tree(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


ONE = {"names": ["contrast"], "severities": [1, 3]}


def test_other_content_under_the_same_name_is_refused(tmp_path, capsys):
    out, file = tmp_path / "c", tmp_path / "test.npy"
    command = ["corrupt", "--dataset", str(file), "--out", str(out), "--quiet"]
    for seed, status in ((0, 0), (1, 2), (0, 0)):
        np.save(file, pictures(seed))
        assert main([*command, "--corruptions", "fog", "--severities", "1"]) == status
    told = capsys.readouterr().err
    assert "content of the images" in told and "choose another folder" in told
    assert (np.load(out / "fog.npy") == nm.corrupt(pictures(), "fog", 1)).all()
    # Under another name it is the same set.
    file.rename(tmp_path / "renamed.npy")
    command[2] = str(tmp_path / "renamed.npy")
    assert main([*command, "--corruptions", "snow", "--severities", "1"]) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"images": pictures(1)}, "content of the images"),
        ({"labels": np.arange(6)[::-1]}, "content of the labels"),
        ({"severities": [3, 1]}, r"severities \[1, 3\] -> \[3, 1\]"),
        ({"images": pictures(count=5), "labels": np.arange(5)}, r"images \[6, 32, 32, 3\] ->"),
        ({"benchmark": "imagenet"}, "benchmark"),
        ({"names": ["frost"], "frost": [pictures(2)[0].repeat(30, 0).repeat(30, 1)]}, "frost"),
    ],
)
def test_what_decides_the_pixels_is_never_mixed(tmp_path, change, told):
    first = {"images": pictures(), "labels": np.arange(6), "out": tmp_path, **ONE}
    corrupted.write_corrupted_set(**first)
    corrupted.write_corrupted_set(**first | {"names": ["frost"]})
    # Not even begun files are gone on with.
    (tmp_path / "contrast.npy").rename(tmp_path / ".contrast.npy.part")
    before = tree(tmp_path)
    with pytest.raises(ValueError, match=told):
        corrupted.write_corrupted_set(**first | change)
    assert tree(tmp_path) == before


def test_frost_counts_where_there_is_frost(tmp_path):
    photographs = [pictures(2)[0].repeat(30, 0).repeat(30, 1)]
    corrupted.write_corrupted_set(pictures(), None, tmp_path, **ONE)
    options = {"names": "frost", "severities": [1, 3], "frost": photographs}
    corrupted.write_corrupted_set(pictures(), None, tmp_path, **options)
    corrupted.write_corrupted_set(pictures(), None, tmp_path, **ONE)
    expected = nm.corrupt(pictures(), "frost", 1, frost=photographs)
    assert (np.load(tmp_path / "frost.npy")[:6] == expected).all()


@pytest.mark.parametrize("name", ["contrast.npy", ".contrast.npy.part", "labels.npy"])
def test_files_of_unknown_origin_are_neither_kept_nor_continued(tmp_path, name):
    out = tmp_path / "c"
    corrupted.write_corrupted_set(pictures(), None, out, names="fog", severities=[1, 3])
    (out / name).write_bytes(b"something")
    with pytest.raises(ValueError, match=name):
        corrupted.write_corrupted_set(pictures(), np.arange(6), out, **ONE)
    (out / "nmlib-corrupt.json").unlink()
    (out / "fog.npy").unlink()
    with pytest.raises(ValueError, match=f"{name}, but no nmlib-corrupt.json"):
        corrupted.write_corrupted_set(pictures(), np.arange(6), out, **ONE)
    assert (out / name).read_bytes() == b"something"


@pytest.mark.parametrize("damage", [lambda b: b + b"0" * 5000, lambda b: b[:-1], lambda b: b""])
@pytest.mark.parametrize("part", [False, True])
def test_exact_sizes_decide_what_is_complete(tmp_path, damage, part):
    first = (pictures(), np.arange(6), tmp_path)
    corrupted.write_corrupted_set(*first, **ONE)
    whole = tree(tmp_path)
    for name in ("contrast.npy", "labels.npy"):
        path = tmp_path / name
        if part:
            path = path.rename(tmp_path / f".{name}.part")
        path.write_bytes(damage(path.read_bytes()))
    corrupted.write_corrupted_set(*first, **ONE)
    after = tree(tmp_path)
    after.pop(".labels.npy.part", None)
    assert after == whole


@pytest.mark.parametrize("cut", [1, 60, 128, 128 + 3072, 128 + 7 * 3072 + 5])
def test_any_beginning_is_gone_on_with(tmp_path, cut, monkeypatch):
    monkeypatch.setattr(corrupted, "_PART_IMAGES", 2)
    first = (pictures(), None, tmp_path)
    corrupted.write_corrupted_set(*first, **ONE)
    whole = (tmp_path / "contrast.npy").read_bytes()
    (tmp_path / "contrast.npy").unlink()
    (tmp_path / ".contrast.npy.part").write_bytes(whole[:cut])
    seen = []
    corrupted.write_corrupted_set(*first, **ONE, progress=lambda *told: seen.append(told[1]))
    assert (tmp_path / "contrast.npy").read_bytes() == whole
    assert seen[0] == max(0, cut - 128) // 3072 // 2 * 2 + 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_two_at_once(tmp_path):
    """One says who is there, or both write the same; never wrong rows."""
    command = [sys.executable, "-m", "nmlib", "corrupt", "--dataset", "fashion-mini", "--limit",
               "1200", "--corruptions", "fog", "--out"]  # fmt: skip
    assert run(tmp_path / "a", "--limit", "1200", "--corruptions", "fog") == 0
    two = [
        subprocess.Popen([*command, str(tmp_path / "b")], stderr=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    told = [process.communicate()[1] for process in two]
    for process, text in zip(two, told, strict=True):
        assert process.returncode == 0 or "is writing corrupted sets in" in text
    assert 0 in [process.returncode for process in two]
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_names_and_severities_given_twice_count_once(tmp_path, capsys):
    words = ["--corruptions", "fog", "contrast", "fog", "--severities", "3", "1", "3"]
    assert run(tmp_path, "--limit", "4", *words) == 0
    assert "2 corruptions" in capsys.readouterr().out
    data = nm.load("fashion-mini", "test").first(4)
    stored = np.load(tmp_path / "fog.npy")
    assert (stored[:4] == nm.corrupt(data.images, "fog", 3).numpy()).all() and len(stored) == 8
    twice = {"names": ["fog", "fog"], "severities": (3, np.int64(1), 3)}
    paths = corrupted.write_corrupted_set(data.images, data.labels, tmp_path / "b", **twice)
    assert [p.name for p in paths] == ["fog.npy"]
    assert (tmp_path / "b" / "fog.npy").read_bytes() == (tmp_path / "fog.npy").read_bytes()
    assert run(tmp_path, "--corruptions", "all", "foog") == 2


def test_images_of_other_types_and_orders(tmp_path):
    images = pictures()
    expected = nm.corrupt(images, "contrast", 2)
    np.save(tmp_path / "big.npy", np.asfortranarray(images.astype(">i4")))
    forms = [
        images.astype(np.int64), images.transpose(0, 3, 1, 2), np.asfortranarray(images),
        images[::-1][::-1], np.load(tmp_path / "big.npy", mmap_mode="r"),
        nm.load("fashion-mini").images[:0].new_tensor(images).permute(0, 3, 1, 2), list(images),
    ]  # fmt: skip
    out = tmp_path / "c"
    for form in forms:  # all of one content: one set
        corrupted.write_corrupted_set(form, np.arange(6), out, names="contrast", severities=2)
        assert (np.load(out / "contrast.npy") == expected).all()
    assert corrupted.bytes_of(images, "images") is images


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": [0, 256, 300, -1, 0, 0]}, "labels must lie in 0 ... 255, got -1"),
        ({"labels": [0, 256, 300, 1, 0, 0]}, "labels must lie in 0 ... 255, got 300"),
        ({"labels": np.arange(6) * 256}, "got 1280"),
        ({"labels": [0, 1]}, r"need labels of shape \(6,\), got shape \(2,\)"),
        ({"labels": np.zeros((6, 1), int)}, r"got shape \(6, 1\)"),
        ({"labels": np.zeros(6)}, "labels must be integers, got float64"),
        ({"images": pictures().astype(np.int16) + 1}, "images must lie in 0 ... 255, got 256"),
        ({"images": pictures().astype(np.int8)}, "images must lie in 0 ... 255, got -"),
        ({"images": pictures() / 255}, r"must be uint8 .* got float64; for floats in \[0, 1\] use"),
        ({"images": pictures()[:0], "labels": []}, "no images"),
        ({"images": pictures()[..., :0]}, "3 channels"),
        ({"images": pictures()[..., 0]}, r"must have shape .* got \(6, 32, 32\)"),
        ({"images": pictures()[None]}, r"must have shape .* got \(1, 6, 32, 32, 3\)"),
        ({"images": np.array(3)}, r"must have shape .* got \(\)"),
        ({"device": "CPU"}, "unknown device 'CPU'"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"images": pictures()[:, :0]}, "too small"),
        ({"names": []}, "no corruptions"),
        ({"names": ["fog", "foog"]}, "did you mean 'fog'"),
        ({"severities": []}, "no severities"),
        ({"severities": [1, 6]}, "severity must be an integer from 1 to 5, got 6"),
        ({"severities": [1, 2.5]}, "severity must be an integer from 1 to 5, got 2.5"),
        ({"seed": -1}, "seed"),
        ({"benchmark": "cifra"}, "did you mean 'cifar'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, change, told):
    options = {"images": pictures(), "labels": [0] * 6, "out": tmp_path / "c", **ONE}
    with pytest.raises((ValueError, TypeError), match=told):
        corrupted.write_corrupted_set(**options | change)
    assert not (tmp_path / "c").exists()


def test_a_disk_that_fills_up_names_the_file(tmp_path, monkeypatch, capsys):
    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(corrupted.os, "fsync", full)
        assert run(tmp_path, "--limit", "4", "--corruptions", "fog") == 2
    told = capsys.readouterr().err
    assert str(tmp_path / "fog.npy") in told and "run the same again" in told
    assert not (tmp_path / "fog.npy").exists()
    assert run(tmp_path, "--limit", "4", "--corruptions", "fog") == 0


def test_labels_of_a_file(tmp_path, capsys):
    np.save(tmp_path / "x.npy", pictures())
    np.save(tmp_path / "y.npy", np.arange(6))
    command = ["corrupt", "--dataset", str(tmp_path / "x.npy"), "--out", str(tmp_path / "c"),
               "--corruptions", "fog", "--quiet", "--limit", "4"]  # fmt: skip
    assert main(command) == 0
    with pytest.raises(FileNotFoundError, match="--labels"):
        read_cifar_c(tmp_path / "c", "fog", verify=False)
    assert main([*command, "--labels", str(tmp_path / "y.npy")]) == 0
    assert read_cifar_c(tmp_path / "c", "fog", 2, verify=False)[1].tolist() == [0, 1, 2, 3]
    assert main([*command[:2], "fashion-mini", *command[3:], "--labels", "y.npy"]) == 2
    assert "labels of its own" in capsys.readouterr().err
    command[2] = str(tmp_path / "z.npz")
    assert main(command) == 2
    assert "No such file" in capsys.readouterr().err
    np.savez(tmp_path / "z.npz", images=pictures())
    assert main(command) == 2
    assert "save one array of it with np.save" in capsys.readouterr().err


def test_a_damaged_record_is_named(tmp_path):
    corrupted.write_corrupted_set(pictures(), None, tmp_path, **ONE)
    for text in ("", "[]", "null", "{}", "{" * 9999, '{"seed": 0}'):
        (tmp_path / "nmlib-corrupt.json").write_text(text)
        with pytest.raises(ValueError, match=r"nmlib-corrupt\.json is not the record of") as caught:
            corrupted.write_corrupted_set(pictures(), None, tmp_path, **ONE)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"names": None}, {"names": 3}, {"names": "fog"}, {"names": [3]}, {"severities": "12"},
        {"severities": [1, 1]}, {"severities": []}, {"images": 6}, {"images": ["six"]},
    ],
)  # fmt: skip
def test_a_record_that_was_edited_is_named(tmp_path, change):
    settings = ONE | {"labels": [0] * 6}
    corrupted.write_corrupted_set(pictures(), out=tmp_path, **settings)
    path = tmp_path / "nmlib-corrupt.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    for again in (
        lambda: corrupted.write_corrupted_set(pictures(), out=tmp_path, **settings),
        lambda: read_cifar_c(tmp_path, settings["names"][0], 1, verify=False),
    ):
        with pytest.raises(ValueError, match=r"nmlib-corrupt\.json is damaged: "):
            again()
