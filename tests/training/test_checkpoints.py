"""Checkpoints: killed and resumed, damaged, of another run, without space."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from training.small import LAST, SCHEMES, equal, images, main, network, quick

import nmlib as nm
from nmlib.training import (
    CheckpointMismatch,
    Recipe,
    TrainingInterrupted,
    checkpoints,
    load_weights,
)
from nmlib.training.record import read_rows

SCRIPT = Path(__file__).with_name("small.py")
EVERY = {"log_every": 1, "checkpoint_seconds": 0}


def start(out, *more):
    command = [sys.executable, str(SCRIPT), str(out), *more]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)


def wait_for(process, out, step):
    """Wait until the checkpoint of `step` steps or a later one is there."""
    for _ in range(60_000):
        if any(int(p.stem[-8:]) >= step for p in out.glob("checkpoint-*.pt")):
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    raise AssertionError("no checkpoint came")


def steps_of(out):
    return [int(p.stem[-8:]) for p in sorted(out.glob("checkpoint-*.pt"))]


@pytest.fixture
def one_thread():
    """As in the subprocesses: sums over threads differ in the last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_killed_twice_and_interrupted_it_ends_with_the_same_weights(tmp_path, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    main(whole)
    # At some moment, in the middle of an epoch or of anything else.
    process = start(broken)
    wait_for(process, broken, 17)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    reached = steps_of(broken)[-1]
    assert 17 <= reached < LAST
    # While a checkpoint is being written (two synchronisations each: file and folder).
    process = start(broken, "9")
    assert process.wait() == -signal.SIGKILL
    assert steps_of(broken)[-1] == reached + 4
    assert list(broken.glob(".checkpoint-*"))  # what it was writing
    # By Ctrl-C: saves first, and says how to go on.
    process = start(broken)
    wait_for(process, broken, reached + 8)
    process.send_signal(signal.SIGINT)
    message = process.communicate()[1]
    assert process.returncode != 0
    if steps_of(broken)[-1] < LAST:
        assert "TrainingInterrupted" in message and "goes on from there" in message
    main(broken)
    assert "going on in" in capsys.readouterr().err
    assert steps_of(broken) == steps_of(whole) == [LAST - 1, LAST]
    assert equal(load_weights(broken), load_weights(whole))
    assert not list(broken.glob(".checkpoint-*"))
    # Metrics hold each step once, with the same values.
    first, second = (
        [{k: v for k, v in row.items() if "second" not in k} for row in read_rows(folder)]
        for folder in (whole, broken)
    )
    assert first == second
    assert [row["step"] for row in first if row["kind"] == "step"] == list(range(1, LAST + 1))
    assert json.loads((broken / "run.json").read_text())["finished"]


def test_resumed_in_the_middle_of_an_epoch_in_one_process(tmp_path):
    recipe = Recipe(epochs=4, batch_size=16, validation=8)
    whole = quick(network(dropout=0.3), recipe=recipe, log_every=1)

    def stop(run):
        if run.epochs[-1]["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    model = network(dropout=0.3)
    with pytest.raises(TrainingInterrupted, match="goes on from there"):
        quick(model, recipe=recipe, out=tmp_path, on_epoch=stop, log_every=1)
    assert steps_of(tmp_path) == [9]  # one step into the third epoch of four steps
    again = quick(network(seed=9, dropout=0.3), recipe=recipe, out=tmp_path, log_every=1)
    assert equal(again.model.state_dict(), whole.model.state_dict())
    for a, b in zip(again.epochs, whole.epochs, strict=True):
        assert {k: v for k, v in a.items() if "second" not in k} == {
            k: v for k, v in b.items() if "second" not in k
        }
    # A finished run is not trained again, whatever the model that is passed.
    third = quick(network(seed=3, dropout=0.3), recipe=recipe, out=tmp_path)
    assert third.finished
    assert third.rows == again.rows
    assert equal(third.model.state_dict(), whole.model.state_dict())


def test_two_checkpoints_are_kept_and_hold_plain_data(tmp_path):
    run = quick(network(), out=tmp_path, **EVERY)
    assert steps_of(tmp_path) == [14, 15]
    for path in tmp_path.glob("checkpoint-*.pt"):
        content = torch.load(path, weights_only=True)["content"]
        assert set(content) == {
            "format", "identity", "step", "model", "optimiser", "epoch_sums", "seconds", "rows",
            "stretches",
        }  # fmt: skip
        assert content["identity"]["seed"] == 0
    fresh = network(seed=4)
    fresh.load_state_dict(load_weights(tmp_path))
    assert equal(fresh.state_dict(), run.model.state_dict())
    older = load_weights(tmp_path / "checkpoint-00000014.pt")
    assert not equal(older, run.model.state_dict())
    with pytest.raises(FileNotFoundError, match="nmlib train --out"):
        load_weights(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        load_weights(tmp_path / "empty")


def flip_a_byte(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, damage):
    whole = quick(network(), out=tmp_path, **EVERY)
    newest = tmp_path / "checkpoint-00000015.pt"
    if damage == "flip":
        # A bit of a weight: inside the archive all is well formed.
        stored = torch.load(newest, weights_only=True)
        stored["content"]["model"]["stages.2.2.bias"][0] += 1e-6
        torch.save(stored, newest)
    elif damage == "cut":
        cut_in_half(newest)
    elif damage == "empty":
        newest.write_bytes(b"")
    else:
        torch.save({"weights": torch.zeros(3)}, newest)
    with pytest.warns(RuntimeWarning, match=r"00000015.*falling back to checkpoint-00000014"):
        load_weights(tmp_path)
    messages = []
    again = quick(network(seed=2), out=tmp_path, log=messages.append, **EVERY)
    assert "checkpoint-00000015.pt" in messages[0]
    assert "falling back to checkpoint-00000014.pt" in messages[0]
    assert equal(again.model.state_dict(), whole.model.state_dict())
    assert steps_of(tmp_path) == [14, 15]
    assert (tmp_path / "checkpoint-00000015.damaged").exists()


def test_any_flipped_byte_is_noticed(tmp_path):
    quick(network(), out=tmp_path, recipe=Recipe(epochs=1, batch_size=72))
    (path,) = tmp_path.glob("checkpoint-*.pt")
    good, size = path.read_bytes(), path.stat().st_size
    expected = load_weights(path)
    for at in range(0, size, size // 60):
        flip_a_byte(path, at)
        try:
            weights = load_weights(path)
        except ValueError:
            pass
        else:  # padding of the archive: nothing that is read
            assert equal(weights, expected), at
        path.write_bytes(good)


def test_all_damaged_is_an_error_that_says_so(tmp_path):
    quick(network(), out=tmp_path, **EVERY)
    for path in tmp_path.glob("checkpoint-*.pt"):
        cut_in_half(path)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read.*start anew"):
        quick(network(), out=tmp_path)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("scheme", {"scheme": "mixup"}),
        ("scheme", {"scheme": nm.Scheme("baseline", noise=nm.Noise(0.1))}),
        ("model", {"model": network(width=16)}),
        ("data", {"data": images(seed=6)}),
        ("recipe", {"recipe": Recipe(epochs=4, batch_size=16)}),
        ("seed", {"seed": 1}),
        ("layout", {"channels_last": False}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, what, change):
    quick(network(), scheme="baseline", out=tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    arguments = {"model": network(), "scheme": "baseline"} | change
    with pytest.raises(CheckpointMismatch) as error:
        quick(arguments.pop("model"), out=tmp_path, **arguments)
    message = str(error.value)
    assert f"\n  {what}" in message and "now: " in message
    assert "out=" in message and "delete the folder" in message
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
    others = {"scheme", "model", "data", "recipe", "seed", "layout"} - {what}
    assert not [o for o in others if f"\n  {o}" in message]


FIRST_VERSION = {
    "scheme": "Scheme(name='noisymix', views=Plain(copies=3), mix=Mixup(alpha=1.0, beta=None), "
    "noise=Noise(additive=0.5, multiplicative=0.5, sparsity=0.65, view_gain=1.0, clean_views=0, "
    "law='released'), points=(0, 1, 2), stability=2.0, pairing='shared', divergence='jsd')",
    "model": "StagedModel with 851 parameters (6a7adc88)",
    "data": "squares, 72 images, fingerprint dcc7e3aa8b02ab44",
    "recipe": "Recipe(epochs=3, batch_size=16, learning_rate=0.1, final_learning_rate=1e-06, "
    "momentum=0.9, nesterov=True, weight_decay=0.0005, decay_all=True, augment=True, "
    "drop_last=False, parts=1, precision='fp32', validation=0)",
    "seed": "0",
    "layout": "channels_last",
}


def with_identity(folder, change):
    """Let the checkpoints of a folder say that they are of another run."""
    for path in folder.glob("checkpoint-*.pt"):
        content = torch.load(path, weights_only=True)["content"]
        content["identity"] = change(content["identity"])
        torch.save({"content": content, "digest": checkpoints._digest(content)}, path)


def test_a_checkpoint_of_the_first_version_goes_on(tmp_path):
    """Then the identity was a text for each entry."""
    whole = quick(network(), **EVERY)

    def stop(run):
        if run.step == 7:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        quick(network(), out=tmp_path, on_row=stop, **EVERY)
    with_identity(tmp_path, lambda now: FIRST_VERSION)
    changes = {"seed": {"seed": 1}, "model": {"model": network(dropout=0.1)},
               "data": {"data": images(seed=6)}, "layout": {"channels_last": False},
               "recipe.batch_size": {"recipe": Recipe(epochs=3, batch_size=20)},
               "scheme.mix.alpha": {"scheme": dataclasses.replace(SCHEMES["noisymix"],
                                                                  mix=nm.Mixup(0.5))}}  # fmt: skip
    for name, change in changes.items():
        with pytest.raises(CheckpointMismatch, match=rf"\n  {name}: [\s\S]*now: ") as error:
            quick(**{"model": network(), "out": tmp_path, **change})
        assert str(error.value).count("now: ") == 1
    messages = []
    again = quick(network(seed=9), out=tmp_path, log=messages.append, **EVERY)
    assert "going on in" in messages[0] and "at step 7" in messages[0]
    assert equal(again.model.state_dict(), whole.model.state_dict())


def test_a_checkpoint_of_a_newer_version_says_so(tmp_path):
    quick(network(), out=tmp_path)
    with_identity(tmp_path, lambda now: {**now, "version": 99})
    with pytest.raises(ValueError, match="newer nmlib"):
        quick(network(), out=tmp_path)


def test_without_space_the_last_checkpoint_stays(tmp_path, monkeypatch):
    class Full:
        """A file on a full disk: some bytes go in, then no more."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            self.file.close()

        def write(self, data):
            self.file.write(bytes(data[:100]))
            raise OSError(errno.ENOSPC, "No space left on device")

    opened = Path.open

    def open_(path, mode="r", *args, **options):
        file = opened(path, mode, *args, **options)
        full = ".checkpoint-00000008" in path.name and "w" in mode
        return Full(file) if full else file

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(OSError, match=r"no space for a checkpoint of 0\.0 MB") as error:
        quick(network(), out=tmp_path, **EVERY)
    assert error.value.errno == errno.ENOSPC
    assert "checkpoint-00000007.pt" in str(error.value)
    assert steps_of(tmp_path) == [6, 7]
    assert not list(tmp_path.glob(".checkpoint-*"))
    monkeypatch.undo()
    again = quick(network(), out=tmp_path, **EVERY)
    assert equal(again.model.state_dict(), quick(network()).model.state_dict())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["metrics.jsonl", "run.json"])
def test_no_space_for_the_small_files(tmp_path, monkeypatch, name):
    """/dev/full answers every write with "no space left on device"."""
    quick(network(), out=tmp_path, recipe=Recipe(epochs=1, batch_size=16), **EVERY)
    before = (tmp_path / name).read_bytes()
    opened, armed = Path.open, []

    def open_(path, mode="r", *args, **options):
        # Only now: `fit` writes both before its first step.
        wanted = armed and name in path.name and mode[0] in "wa"
        return opened(Path("/dev/full") if wanted else path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", open_)
    with pytest.raises(OSError, match=r"no space is left to write it.*run the same again") as error:
        quick(network(), out=tmp_path / "b", on_row=armed.append, **EVERY)
    assert error.value.errno == errno.ENOSPC and name in str(error.value.filename)
    assert (tmp_path / name).read_bytes() == before
    monkeypatch.undo()
    again = quick(network(), out=tmp_path / "b", **EVERY)
    assert equal(again.model.state_dict(), quick(network()).model.state_dict())


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        quick(network(), out=tmp_path / "file")


def test_two_runs_cannot_share_a_folder(tmp_path):
    def second(run):
        with pytest.raises(ValueError, match="another process is training in"):
            quick(network(), out=tmp_path)
        seen.append(run.step)

    seen = []
    quick(network(), recipe=Recipe(epochs=1, batch_size=16), out=tmp_path, on_epoch=second)
    assert seen == [5]


def test_interrupted_without_a_folder():
    def stop(run):
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted, match="With out=FOLDER a run is saved"):
        quick(network(), on_epoch=stop)
    # Handlers are put back.
    assert signal.getsignal(signal.SIGINT) is before


def test_stopped_from_outside_in_a_thread_and_resumed(tmp_path):
    """No signal reaches a thread; `stop` does, and `on_row` tells of every row."""
    recipe = Recipe(epochs=3, batch_size=16)  # steps of 5
    whole = quick(network(dropout=0.3), recipe=recipe)
    seen, ended = [], []

    def train():
        try:
            quick(
                network(dropout=0.3), recipe=recipe, out=tmp_path, log_every=2,
                on_row=lambda run: seen.append((run.step, len(run.rows))),
                stop=lambda: len(seen) == 4,
            )  # fmt: skip
        except TrainingInterrupted as error:
            ended.append(str(error))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    # Asked for after the row of step 6: the next step is the last, and has a row of its own.
    assert seen == [(2, 1), (4, 2), (5, 4), (6, 5), (7, 6)]
    assert len(ended) == 1 and "interrupted after step 7 of 15" in ended[0]
    assert steps_of(tmp_path) == [7]
    again = quick(network(seed=9, dropout=0.3), recipe=recipe, out=tmp_path)
    assert equal(again.model.state_dict(), whole.model.state_dict())


def test_a_finished_run_gets_its_small_files_back(tmp_path):
    """Killed after its last checkpoint, a run has no last line yet; a damaged file says so."""

    def again():
        return quick(network(), out=tmp_path, **EVERY)

    run = again()
    record, metrics = tmp_path / "run.json", tmp_path / "metrics.jsonl"
    whole = record.read_text(), metrics.read_text()
    for damaged in ('{"details": {}, "finished": false}', "", "[]", '{"details": {"options": 3}}'):
        record.write_text(damaged)
        again()
        assert record.read_text() == whole[0], damaged
    lines = whole[1].splitlines(keepends=True)
    for damaged in ("", lines[0] + "oops\n", "".join(lines[:-1]), whole[1][:-9]):
        metrics.write_text(damaged)
        again()
        assert metrics.read_text() == whole[1], damaged
    before = record.stat().st_mtime_ns, metrics.stat().st_mtime_ns
    assert again().rows == run.rows
    assert (record.stat().st_mtime_ns, metrics.stat().st_mtime_ns) == before, "nothing to do"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []), ('{"step": 1}\n', [1]), ('{"step": 1}\n{"ste', [1]), ('{"step": 1}', [1]),
        ('{"step": 1}\r\n\r\n{"step": 2}\r\n', [1, 2]),
        ('{"step": 1}\noops\n{"step": 2}\n', 2), ("[]\n", 1), ("3\n4\n", 1),
        ("[" * 100_000 + "\n", 1), ("\udcff\n", 1),
    ],
)  # fmt: skip
def test_rows_are_read_whole(tmp_path, text, rows):
    """A line that is being written is left out; one that is none is never passed over."""
    (tmp_path / "metrics.jsonl").write_bytes(text.encode(errors="surrogateescape"))
    if isinstance(rows, int):
        with pytest.raises(ValueError, match=rf"line {rows} of .*metrics\.jsonl is no row"):
            read_rows(tmp_path)
    else:
        assert [row["step"] for row in read_rows(tmp_path)] == rows
