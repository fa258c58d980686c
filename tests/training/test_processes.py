"""Two processes on the CPU (gloo) against one with the same global batch."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training.small import images, network, quick

from nmlib.training import Recipe, load_weights
from nmlib.training.record import read_rows
from nmlib.training.workers import workers

SCRIPT = Path(__file__).with_name("shared.py")


def launch(count, *arguments, **environment):
    """Start so many processes as a launcher does, wait, and return their errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(count):
        environ = os.environ | {
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1",
            "WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank),
            "ACCELERATE_USE_CPU": "true",
            "PYTHONPATH": os.pathsep.join(map(str, SCRIPT.parents[1:3])),
        } | environment  # fmt: skip
        command = [sys.executable, str(SCRIPT), *map(str, arguments)]
        started.append(subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True))
    return [(p.communicate(timeout=300)[1], p.returncode) for p in started]


RUNS = [
    ("noisymix", 4, "group"),
    ("noisymix", 4, "batch"),
    ("noisymix", 2, "running mean"),
    ("baseline", 2, "batch"),
    ("baseline", 2, "group"),
]


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    words = ["-".join(map(str, run)) for run in RUNS]
    for error, status in launch(2, folder, *words):
        assert status == 0, error
    return folder


@pytest.mark.parametrize(("scheme", "parts", "norm"), RUNS)
def test_two_processes_equal_one(shared_folder, scheme, parts, norm):
    """Mixing partners, noise and batch statistics are those of each part of a step.

    So one process with as many parts is the reference, with its running statistics, too.
    """
    folder = shared_folder / f"{scheme}-{parts}-{norm}"
    shared = load_weights(folder)
    recipe = Recipe(epochs=3, batch_size=16, parts=parts)
    alone = quick(network(norm=norm, dropout=0.2), scheme=scheme, recipe=recipe, log_every=2)
    weights = alone.model.state_dict()
    assert ("0.1.running_mean" in " ".join(weights)) == (norm != "group")
    for name, weight in weights.items():
        torch.testing.assert_close(shared[name], weight, rtol=1e-4, atol=1e-6)
    # Metrics are those of all images, once.
    rows = read_rows(folder)
    assert len(rows) == len(alone.rows)
    for mine, theirs in zip(alone.rows, rows, strict=True):
        for key in ("step", "loss", "ce", "jsd", "accuracy", "learning_rate"):
            assert theirs[key] == pytest.approx(mine[key], rel=1e-4, abs=1e-7)
    # One process may go on with what two have left.
    (folder / f"checkpoint-{alone.steps:08d}.pt").unlink(missing_ok=True)
    again = quick(
        network(norm=norm, dropout=0.2), scheme=scheme, recipe=recipe, out=folder, log_every=2
    )
    assert again.finished


def test_accelerators_of_ones_own():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    run = quick(network(), accelerator=accelerator)
    plain = quick(network())
    assert all(
        torch.equal(a, b)
        for a, b in zip(run.model.parameters(), plain.model.parameters(), strict=True)
    )
    assert workers(None, accelerator).accelerator is accelerator


class Stub:
    device = torch.device("cpu")
    mixed_precision = "no"
    gradient_accumulation_steps = 1
    process_index, num_processes, is_main_process = 0, 1, True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mixed_precision": "bf16"},
            r"Recipe\(precision='bf16'\), which covers the network alone",
        ),
        ({"gradient_accumulation_steps": 4}, r"use Recipe\(parts=...\) instead"),
    ],
)
def test_settings_of_an_accelerator_that_are_ours(change, message):
    accelerator = Stub()
    vars(accelerator).update(change)
    with pytest.raises(ValueError, match=message):
        quick(network(), images(), accelerator=accelerator)


def test_processes_that_cannot_share_a_step():
    accelerator = Stub()
    accelerator.num_processes = 2
    with pytest.raises(ValueError, match=r"2 processes cannot share 1 parts .* Recipe\(parts=2\)"):
        quick(network(), accelerator=accelerator)


def test_several_processes_without_accelerate(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ImportError, match=r"2 processes need .* pip install accelerate"):
        quick(network())
