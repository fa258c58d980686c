"""`nmlib train`: what it writes, how it goes on, what it says of bad input."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import nmlib as nm
from nmlib.cli import main
from nmlib.training import load_model, load_weights, read_rows

QUICK = ["--dataset", "fashion-mini", "--scheme", "baseline", "--model", "preact_resnet_small",
         "--epochs", "2", "--subset", "64", "--batch-size", "32", "--device", "cpu"]  # fmt: skip


def run(out, *more):
    return main(["train", "--out", str(out), "--quiet", *QUICK, *more])


def test_it_trains_and_says_where_things_are(tmp_path, capsys):
    assert run(tmp_path, "--seed", "3", "--validation", "16", "--lr", "0.05") == 0
    shown = capsys.readouterr().out
    for part in ("baseline on fashion-mini (64 images), preact_resnet_small, 2 epochs, seed 3",
                 "finished: 4 steps, training loss", "% accuracy on the held-out images",
                 f"{tmp_path / 'checkpoint-00000004.pt'}, metrics.jsonl, run.json"):  # fmt: skip
        assert part in shown
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["details"] == {
        "model": "preact_resnet_small", "num_classes": 10, "options": {},
        "dataset": "fashion-mini", "budget": "paper",
    }  # fmt: skip
    assert record["recipe"]["learning_rate"] == 0.05 and record["seed"] == 3
    assert len([r for r in read_rows(tmp_path) if r["kind"] == "epoch"]) == 2
    # The same in Python.
    model = nm.build_model("preact_resnet_small", 10, seed=3)
    recipe = nm.Recipe(epochs=2, batch_size=32, validation=16, learning_rate=0.05)
    data = nm.load("fashion-mini").first(64)
    nm.fit(model, data, nm.SCHEMES["baseline"], recipe, seed=3, device="cpu", progress=False)
    loaded = load_model(tmp_path)
    assert not loaded.training
    for a, b in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_is_changed_for_a_network_or_for_processes_is_said(tmp_path, capsys, monkeypatch):
    words = ["--scheme", "nfm", "--model", "wrn28_2", "--epochs", "0"]
    assert run(tmp_path / "a", *words) == 2
    # Before the first step, so that a wrong value costs nothing.
    assert "--epochs: must be" in capsys.readouterr().err
    words[-1] = "1"
    assert run(tmp_path / "a", *words, "--subset", "4", "--batch-size", "4") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("nfm: noise Noise(additive=0.4, multiplicative=0.2")
    assert "-> Noise(additive=1.0, multiplicative=0.5" in shown.splitlines()[0]
    assert "as its authors do for fashion-mini and this model" in shown
    record = json.loads((tmp_path / "a/run.json").read_text())
    assert record["settings"]["noise"]["additive"] == 1.0
    assert run(tmp_path / "b") == 0
    assert capsys.readouterr().out.startswith("baseline on")
    # As a launcher of two processes sets it; the first of them speaks.
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(nm.training, "fit", lambda *args, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "c")
    assert capsys.readouterr().out.startswith("each step in 2 parts, one per process (--parts)")


def test_finished_it_does_nothing_and_other_settings_are_refused(tmp_path, capsys):
    assert run(tmp_path) == 0
    before = (tmp_path / "checkpoint-00000004.pt").stat().st_mtime_ns
    assert run(tmp_path) == 0
    assert "finished: 4 steps" in capsys.readouterr().out
    assert (tmp_path / "checkpoint-00000004.pt").stat().st_mtime_ns == before
    assert run(tmp_path, "--seed", "1") == 2
    error = capsys.readouterr().err
    assert "belongs to another run" in error and "seed: 0, now: 1. Give this run" in error
    assert error.count("\n") == 1


def test_ctrl_c_and_on_again(tmp_path):
    command = [sys.executable, "-m", "nmlib", "train", "--out", str(tmp_path), "--quiet", *QUICK,
               "--epochs", "500"]  # fmt: skip
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "metrics.jsonl").exists() or not read_rows(tmp_path):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert "interrupted after step" in error and "goes on from there" in error
    assert "Traceback" not in error
    assert load_weights(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scheme", "noisymx"], "unknown scheme 'noisymx'; did you mean 'noisymix'?"),
        (["--model", "preact_resnet"], "unknown model 'preact_resnet'; did you mean"),
        (["--dataset", "cifar11"], "unknown data set 'cifar11'; did you mean 'cifar10'?"),
        (["--budget", "labtop"], "unknown budget 'labtop'; did you mean 'laptop'?"),
        (["--precision", "bf15"], "unknown precision 'bf15'; did you mean 'bf16'?"),
        (["--epochs", "0"], "--epochs: must be an integer >= 1"),
        (["--lr", "-1"], "learning_rate must be a finite number > 0"),
        (["--batch-size", "63", "--scheme", "mixup"], "without a partner"),
        (["--device", "toaster"], "toaster"),
        (["--seed", "-1"], "--seed: must be an integer >= 0"),
    ],
)
def test_bad_input(tmp_path, capsys, words, message):
    assert run(tmp_path / "run", *words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("nmlib train: ")
    assert message in captured.err


def test_missing_data_names_what_fetches_it(tmp_path, capsys):
    assert run(tmp_path / "run", "--dataset", "cifar10", "--root", str(tmp_path)) == 2
    error = capsys.readouterr().err
    assert "download=True" in error or "--download" in error
    assert not (tmp_path / "run").exists()


def test_divergence_is_told_without_a_traceback(tmp_path, capsys):
    assert run(tmp_path, "--lr", "1e20", "--epochs", "6") == 1
    error = capsys.readouterr().err
    assert "nmlib train: the loss became" in error and "learning_rate" in error


def test_the_network_of_a_run_that_does_not_name_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="nmlib train --out"):
        load_model(tmp_path)
    (tmp_path / "run.json").write_text('{"details": {}}')
    with pytest.raises(ValueError, match="build it yourself"):
        load_model(tmp_path)


def test_a_run_that_leaves_out_the_input_scale_is_not_rebuilt_wrongly(tmp_path):
    model = nm.build_model("preact_resnet_small", 10, mean=0.1, std=0.2)
    data, recipe = nm.load("fashion-mini").first(32), nm.Recipe(epochs=1, batch_size=16)
    details = {"model": "preact_resnet_small", "num_classes": 10}
    options = {"device": "cpu", "progress": False}
    nm.fit(model, data, nm.SCHEMES["baseline"], recipe, out=tmp_path / "a", details=details,
           **options)  # fmt: skip
    with pytest.raises(ValueError, match=r"normalised its inputs by .*0\.1.*'options'"):
        load_model(tmp_path / "a")
    details["options"] = {"mean": 0.1, "std": 0.2}
    model = nm.build_model("preact_resnet_small", 10, **details["options"])
    nm.fit(model, data, nm.SCHEMES["baseline"], recipe, out=tmp_path / "b", details=details,
           **options)  # fmt: skip
    loaded = load_model(tmp_path / "b")
    assert torch.equal(nm.predict(loaded, data), nm.predict(model, data))
    # Nor does another scale go on from its checkpoint.
    other = nm.build_model("preact_resnet_small", 10)
    with pytest.raises(ValueError, match="model"):
        nm.fit(other, data, nm.SCHEMES["baseline"], recipe, out=tmp_path / "b", **options)
