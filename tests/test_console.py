"""The command line on odd consoles: without characters, without readers, without streams."""

import os
import signal
import subprocess
import sys
import time

import pytest

from nmlib._progress import lasting_output
from nmlib.cli import main
from nmlib.lab.toy import demo

FEW = ["--dataset", "fashion-mini", "--limit", "2", "--corruptions", "fog", "--severities", "1"]


def nmlib(*words, **options):
    def listening():  # under `nohup` every child would ignore hang-ups
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    before = listening if hasattr(signal, "SIGHUP") else None
    return subprocess.Popen([sys.executable, "-m", "nmlib", *words], preexec_fn=before, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    few = ["--budget", "smoke", "--epochs", "1", "--subset", "64", "--batch-size", "32", "--quiet"]
    model = ["--model", "preact_resnet_small", "--scheme", "baseline"]
    assert main(["train", *model, *few, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_a_console_that_lacks_characters(run, tmp_path, encoding):
    """The work goes on: flips are measured after the line with the sign that ASCII lacks."""
    out = tmp_path / "Ω"
    process = nmlib(
        "evaluate", "--checkpoint", str(run), *FEW, "--quiet", "--perturbations", "tilt",
        "--out", str(out), env=os.environ | {"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    printed, error = process.communicate()
    assert process.returncode == 0, error
    assert (out / "perturbations.json").exists()
    text = printed.decode(encoding)
    assert "\\u03a9" in text or "Ω" in text
    assert ("+-" in text) == (encoding == "ascii") and "tilt" in text


@pytest.mark.parametrize("gone", ["stdout", "stderr", "both"])
def test_nobody_reads(run, tmp_path, gone):
    """A reader that ends at once, as `head` does, or a terminal that is closed."""
    read, write = os.pipe()
    os.close(read)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    streams |= {name: write for name in streams if gone in (name, "both")}
    process = nmlib(
        "evaluate", "--checkpoint", str(run), *FEW, "--perturbations", "tilt",
        "--out", str(tmp_path), **streams,
    )  # fmt: skip
    os.close(write)
    assert process.wait() == 0
    assert (tmp_path / "perturbations.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="closes file descriptors with a shell")
def test_without_streams(run, tmp_path):
    words = ["evaluate", "--checkpoint", str(run), *FEW, "--out", str(tmp_path)]
    script = '"$@" >&- 2>&-'
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "nmlib", *words]
    assert subprocess.run(command).returncode == 0
    assert (tmp_path / "corruptions.json").exists()


def test_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with lasting_output():
        print("±")
    assert (sys.stdout, sys.stderr) == before and capsys.readouterr().out == "±\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there are no terminals to hang up")
def test_a_terminal_that_is_closed_saves_the_training(tmp_path):
    words = ["--budget", "smoke", "--epochs", "500", "--subset", "64", "--batch-size", "32"]
    process = nmlib(
        "train", "--scheme", "baseline", "--model", "preact_resnet_small", *words, "--quiet",
        "--out", str(tmp_path), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    metrics = tmp_path / "metrics.jsonl"
    for _ in range(6000):
        if metrics.exists() and metrics.stat().st_size:
            break
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    _, error = process.communicate()
    assert process.returncode == 130 and "saved in" in error
    assert list(tmp_path.glob("checkpoint-*.pt"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["reproduce", "table4", "--workers", "-1"], "--workers: must be an integer >= 1, got -1"),
        (["reproduce", "table4", "--seeds", "0"], "--seeds: must be an integer >= 1"),
        (["reproduce", "table4", "--epochs", "x"], "--epochs: must be an integer >= 1, got x"),
        (["reproduce", "table4", "--cluster", "--gpus", "nan"], "--gpus: must be a number > 0"),
        (["reproduce", "table4", "--label", ".."], "label '..' cannot name a folder"),
        (["train", "--scheme", "baseline", "--subset", "-3"], "--subset: must be an integer >= 1"),
        (["train", "--scheme", "baseline", "--device", "x"], "unknown device 'x'"),
        (["train", "--scheme", "baseline", "--device", "meta"], "device 'meta' cannot be used"),
        (["train", "--shceme", "baseline"], "--help lists the options"),
        (["train", "--scheme", "baseline", "--label", "a\nb"], "printable characters, got 'a\\nb'"),
        (["reproduce", "table4", "--label", "\x1b[2J"], r"printable characters, got '\x1b[2J'"),
        (["reproduce", "table4", "--device", "CPU"], "unknown device 'CPU'"),
        (["reproduce", "table4", "--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
        (["corrupt", "--device", "CPU"], "unknown device 'CPU'"),
        (["corrupt", "--device", "meta"], "device 'meta' cannot be used here"),
        (["corrupt", "--device", "cuda:99"], "device 'cuda:99' cannot be used here"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path, capsys, words, told):
    more = {"train": ["--budget", "smoke"], "corrupt": ["--quiet"], "reproduce": []}[words[0]]
    more += [] if words[0] == "reproduce" else ["--dataset", "fashion-mini"]
    out = tmp_path / "a" / "b"
    assert main([*words, *more, "--out", str(out)]) == 2
    # `reproduce` counts its cells first.
    message = capsys.readouterr().err.removeprefix("[0 of 10 cells] 10 cells to run\n")
    assert told in message and message.startswith(f"nmlib {words[0]}: ")
    assert message.count("\n") == 1
    assert not any(tmp_path.rglob("*.json")), "nothing was begun"


@pytest.mark.parametrize("device", ["x", "meta", "cuda:99"])
def test_devices_that_are_not_here(run, tmp_path, capsys, device):
    words = ["evaluate", "--checkpoint", str(run), *FEW, "--quiet", "--out", str(tmp_path)]
    assert main([*words, "--device", device]) == 2
    message = capsys.readouterr().err
    assert device in message and "this machine has" in message and message.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed", "-1"], "seed must be an integer from 0 to 4294967295, got -1"),
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--out", "{file}"], "{file}: File exists"),
        (["--out", "{file}/below"], "{file}/below: "),
    ],
)
def test_the_demo_says_what_is_wrong_in_a_line(tmp_path, capsys, monkeypatch, words, told):
    """And before it trains."""
    file = tmp_path / "file"
    file.touch()
    words = ["--out", str(tmp_path / "out"), *(word.format(file=file) for word in words)]
    monkeypatch.setattr(sys, "argv", ["demo", *words])
    monkeypatch.setattr(demo.ToyLab, "step", lambda *_: pytest.fail("it trains"))
    try:
        status = demo.main()
    except SystemExit as end:
        status = end.code
    message = capsys.readouterr().err
    assert status == 2 and told.format(file=file) in message and message.count("\n") == 1
