"""Grids of cells: run once, resumed, killed, failed."""

import contextlib
import dataclasses
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import nmlib as nm
from nmlib._files import write_json, write_text
from nmlib.lab.cifar import grid as grid_module
from nmlib.lab.cifar.cell import finished, run_cell
from nmlib.lab.cifar.experiments import cells
from nmlib.lab.cifar.grid import collect, run_grid
from nmlib.lab.cifar.progress import CellFailed, Progress
from nmlib.schemes import ABLATION, SCHEMES, suited


def pretend(cell, out, device, threads):
    """Leave a result without the work, and a mark for each time it is done."""
    folder = cell.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "runs").open("a") as file:
        file.write("x")
    runs = len((folder / "runs").read_text())
    if cell.scheme.name == "mixup" and cell.seed == 1 and runs == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if cell.scheme.name == "cutmix":
        raise ValueError("no such luck")
    numbers = {"clean_accuracy": 0.5, "robust_accuracy": 0.25, "flip_probability": None}
    write_json(folder / "result.json", {"settings": cell.settings, **numbers})


def runs(cell, out):
    return len((cell.folder(out) / "runs").read_text())


def test_a_table_has_its_rows_and_seeds():
    for table, wanted in (("table2", SCHEMES), ("table4", ABLATION)):
        made = cells(table, budget="paper", seeds=2)
        names = {c.scheme.name for c in made}
        assert names <= set(wanted) and {"baseline", "noisymix"} <= names
        assert {c.seed for c in made} == {0, 1}
        assert len(set(made)) == len(made)
    assert len(cells("table4", budget="paper", seeds=1)) == 10
    assert {c.dataset for c in cells("table2", budget="paper")} == {"cifar10", "cifar100"}
    assert {c.model for c in cells("table3", budget="paper")} == {"wrn28_4"}
    assert {c.dataset for c in cells("table3", budget="smoke")} == {"fashion-mini"}
    assert all(c.perturbations for t in ("table4", "table13") for c in cells(t))


def test_tables_of_the_same_runs_share_their_cells(tmp_path):
    by_corruption = {c.folder(tmp_path) for c in cells("table7", budget="paper")}
    assert by_corruption < {c.folder(tmp_path) for c in cells("table2", budget="paper")}


def test_schemes_suit_data_and_network():
    for cell in (*cells("table3", budget="paper", seeds=1), *cells("table10", seeds=1)):
        wanted = suited(SCHEMES[cell.scheme.name], cell.dataset, cell.model)
        assert cell.scheme == wanted, (cell.dataset, cell.model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"table": "table44"}, "did you mean 'table4'"),
        ({"budget": "laptob"}, "did you mean 'laptop'"),
        ({"schemes": ["noisymx"]}, "did you mean 'noisymix'"),
        ({"seeds": 0}, "seeds must be an integer >= 1, got 0"),
        ({"seeds": [-1]}, "seeds must be an integer >= 0, got -1"),
        ({"model": "wrn28"}, "unknown model 'wrn28'"),
    ],
)
def test_unknown_names_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        cells(**{"table": "table4", **options})


def test_a_killed_process_is_tried_again_and_nothing_twice(tmp_path):
    grid = cells("table2", schemes=["baseline", "mixup"], seeds=2)
    story = grid[0].folder(tmp_path) / "error.txt"
    write_text(story, "of a call that failed")
    results = run_grid(grid, tmp_path, workers=2, device="cpu", run=pretend)
    assert len(results) == len(grid) == 4 and not story.exists()
    assert [runs(c, tmp_path) for c in grid] == [1, 1, 1, 2]
    more = cells("table2", schemes=["baseline", "mixup"], seeds=3)
    assert len(run_grid(more, tmp_path, workers=2, device="cpu", run=pretend)) == 6
    assert [runs(c, tmp_path) for c in more] == [1, 1, 1, 2, 1, 1]
    assert len(collect(tmp_path)) == 6


def endless(cell, out, device, threads):
    """Work until interrupted, then save, as training does."""
    folder = cell.folder(out)
    folder.mkdir(parents=True)
    (folder / "started").write_text(str(os.getpid()))
    asked = 0
    while asked < 1:
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            asked += 1
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(0.5)  # a second one would come now
        (folder / "saved").write_text(str(asked))


def grid_without_end(out, ignore):
    if ignore:  # as under nohup
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    run_grid(cells("table4", seeds=1), out, workers=2, device="cpu", run=endless)


@pytest.mark.parametrize("ignore", [False, True])
def test_processes_save_and_end_when_their_parent_is_killed(tmp_path, ignore):
    context = multiprocessing.get_context("spawn")
    parent = context.Process(target=grid_without_end, args=(tmp_path, ignore))
    parent.start()
    grid = [cell.folder(tmp_path) for cell in cells("table4", seeds=1)[:2]]
    wait_for(lambda: all((folder / "started").is_file() for folder in grid))
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    wait_for(lambda: all((folder / "saved").is_file() for folder in grid))
    assert len(list(tmp_path.rglob("started"))) == 2


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_ctrl_c_on_a_terminal_lets_every_process_save(tmp_path):
    """It goes to the whole group of processes at once, and once more from the parent."""
    code = (
        "import signal, sys; sys.path[:0] = sys.argv[2:]\n"
        # Tests that were started in the background ignore it, and so would this process.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from lab.cifar.test_grid import grid_without_end\n"
        "if __name__ == '__main__': grid_without_end(sys.argv[1], False)"
    )
    here = Path(__file__).parents[2]
    script = tmp_path / "grid.py"
    script.write_text(code)
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path / "out", here],
        env=os.environ | {"PYTHONPATH": f"{here}{os.pathsep}{here.parent}"},
        start_new_session=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    grid = [cell.folder(tmp_path / "out") for cell in cells("table4", seeds=1)[:2]]
    try:
        wait_for(lambda: all((folder / "started").is_file() for folder in grid))
        os.killpg(parent.pid, signal.SIGINT)
        assert parent.wait(60) != 0
    finally:
        parent.kill()
    assert all((folder / "saved").read_text() == "1" for folder in grid)


def test_a_long_story_of_an_error_ends_the_process(tmp_path, monkeypatch):
    (cell,) = cells("table2", schemes=["baseline"], seeds=1)
    with pytest.raises(CellFailed, match="ValueError: " + "x" * 3000):
        run_grid([cell], tmp_path, workers=1, device="cpu", run=fail_at_length)
    story = (cell.folder(tmp_path) / "error.txt").read_text()
    assert story.startswith("x") and len(story) <= 20_000


def fail_at_length(cell, out, device, threads):
    def fail(*arguments, **options):
        raise ValueError("x" * 200_000)

    grid_module.run_cell = fail  # in a process of its own
    grid_module.run_alone(cell, out, device, threads)


def test_results_of_other_images_are_not_taken(tmp_path, monkeypatch):
    grid = cells("table2", schemes=["baseline", "mixup"], seeds=1)
    data = nm.load("fashion-mini", "train").first(1000)
    there = {"train_fingerprint": data.fingerprint, "test_fingerprint": "other"}
    run_grid(grid, tmp_path, workers=2, device="cpu", run=pretend)
    path = grid[0].folder(tmp_path) / "result.json"
    write_json(path, {**json.loads(path.read_text()), **there})
    with pytest.raises(ValueError, match=r"result\.json is of other images .*, other\) than those"):
        run_grid(grid, tmp_path, workers=2, device="cpu", run=pretend)
    # Whoever does not have the data may read the results.
    monkeypatch.setattr("nmlib.lab.cifar.cell.load", no_data)
    assert len(run_grid(grid, tmp_path, workers=2, device="cpu", run=pretend)) == 2


def no_data(*arguments, **options):
    raise FileNotFoundError("not here")


def test_a_cell_that_fails_is_named_and_the_others_go_on(tmp_path):
    grid = cells("table2", schemes=["cutmix", "baseline"], seeds=1)
    stream = io.StringIO()
    with pytest.raises(CellFailed, match=r"(?s)1 of 2 cells.*cutmix, seed 0: ValueError: no such"):
        run_grid(grid, tmp_path, workers=1, device="cpu", stream=stream, run=pretend)
    by_name = {c.scheme.name: c for c in grid}
    assert finished(by_name["baseline"], tmp_path)["clean_accuracy"] == 0.5
    folder = by_name["cutmix"].folder(tmp_path)
    story = (folder / "error.txt").read_text()
    assert story.startswith("Traceback") and "in pretend" in story
    assert "[2 of 2 cells] cutmix, seed 0: failed" in stream.getvalue()
    assert runs(by_name["cutmix"], tmp_path) == 1


@pytest.mark.parametrize(("workers", "limit", "threads"), [(1, 1, 1), (2, 8, 4), (16, 8, 1)])
def test_workers_share_the_cores_and_keep_to_the_limit(
    tmp_path, monkeypatch, workers, limit, threads
):
    monkeypatch.setattr("nmlib._threads.cpu_count", lambda: 8)
    monkeypatch.setattr("nmlib.lab.cifar.grid.cpu_count", lambda: 8)
    monkeypatch.setattr("torch.get_num_threads", lambda: limit)
    (cell,) = cells("table2", schemes=["baseline"], seeds=1)
    run_grid([cell], tmp_path, workers=workers, device="cpu", run=note_threads)
    assert json.loads((tmp_path / "threads").read_text()) == threads


def note_threads(cell, out, device, threads):
    pretend(cell, out, device, threads)
    (Path(out) / "threads").write_text(str(threads))


def test_the_table_says_what_is_left():
    grid = cells("table2", schemes=["baseline", "mixup"], seeds=2)
    progress = Progress(grid)
    progress.update(grid[0], "71.2/55.0", 30.0)
    progress.update(grid[1], "running")
    assert progress.table().splitlines() == [
        "scheme    0          1",
        "baseline  71.2/55.0  .",
        "mixup     running    .",
    ]
    assert len(progress.left()) == 3


def test_time_left_is_shared_by_the_workers():
    stream = io.StringIO()
    progress = Progress(cells("table2", schemes=["baseline"], seeds=3), stream, workers=2)
    progress.update(progress.cells[0], "71.2/55.0", 30.0)
    assert f"about {len(progress.left()) * 15} s left" in stream.getvalue()


def test_the_result_of_other_settings_is_not_taken(tmp_path):
    (cell,) = cells("table2", schemes=["baseline"], seeds=1)
    other = {**cell.settings, "seed": 5}
    cell.folder(tmp_path).mkdir(parents=True)
    write_json(cell.folder(tmp_path) / "result.json", {"settings": other})
    with pytest.raises(ValueError, match=r"result of other settings \(settings.seed 5 -> 0\)"):
        finished(cell, tmp_path)
    (cell.folder(tmp_path) / "result.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        finished(cell, tmp_path)


def test_the_result_of_an_older_version_is_taken(tmp_path):
    """Then the scheme was written as its `repr`."""
    settings = {
        "dataset": "fashion-mini", "model": "preact_resnet_small",
        "scheme": "Scheme(name='noisymix', views=AugMix(severity=3, width=3, depth=-1, alpha=1, "
        "copies=2), mix=Mixup(alpha=1.0, beta=None), noise=Noise(additive=0.5, multiplicative=0.5, "
        "sparsity=0.65, view_gain=1.0, clean_views=0, law='released'), points=(0, 1, 2, 3), "
        "stability=12.0, pairing='shared', divergence='jsd')",
        "seed": 0,
        "budget": {"name": "smoke", "model": "preact_resnet_small", "epochs": 3, "subset": 1000,
                   "batch_size": 64},
        "test_images": [200, 10], "precision": "fp32",
    }  # fmt: skip
    (cell,) = cells("table2", schemes=["noisymix"], seeds=1)
    path = cell.folder(tmp_path) / "result.json"
    path.parent.mkdir(parents=True)
    write_json(path, {"settings": settings, "clean_accuracy": 0.5, "robust_accuracy": 0.25})
    assert finished(cell, tmp_path)["clean_accuracy"] == 0.5
    settings["scheme"] = settings["scheme"].replace("12.0", "10.0")
    write_json(path, {"settings": settings, "clean_accuracy": 0.5, "robust_accuracy": 0.25})
    with pytest.raises(ValueError, match=r"settings.scheme.stability 10.0 -> 12.0"):
        finished(cell, tmp_path)


def test_a_real_cell(tmp_path, monkeypatch):
    """Training and evaluation in miniature; a second call computes nothing."""
    from nmlib.lab.cifar import cell as module
    from nmlib.training import Budget

    monkeypatch.setitem(module.BUDGETS, "smoke", Budget("smoke", "preact_resnet_small", 1, 32, 16))
    monkeypatch.setitem(module.TEST_IMAGES, "smoke", (8, 2))
    (cell,) = cells("table13", schemes=["noisymix"], seeds=[4])
    result = run_cell(cell, tmp_path, device="cpu")
    assert result["scheme"] == "noisymix" and result["switches"] == [True] * 4
    assert (result["train_images"], result["test_images"], result["sequence_images"]) == (32, 8, 2)
    assert list(map(len, result["accuracy"].values())) == [5] * 15
    assert len(result["flip_probability"]) == 10
    mean = sum(sum(row) for row in result["accuracy"].values()) / 75
    assert result["robust_accuracy"] == pytest.approx(mean, abs=1e-5)
    assert sum(result["robust_hits"]) / 75 / 8 == pytest.approx(mean, abs=1e-5)
    assert sum(result["clean_hits"]) / 8 == result["clean_accuracy"]
    # All predictions on corrupted images in 15 bins of confidence; both conventions of the RMS.
    curve = {k: np.array(v) for k, v in result["reliability"].items()}
    assert {len(v) for v in curve.values()} == {15} and curve["count"].sum() == 75 * 8
    assert (curve["count"] * curve["accuracy"]).sum() / 75 / 8 == pytest.approx(mean, abs=1e-4)
    assert set(result["corrupted"]) >= {
        "expected_calibration_error", "rms_calibration_error", "rms_calibration_error_reference",
        "aurra",
    }  # fmt: skip
    assert result["corrupted"]["rms_calibration_error_reference"] is None  # of 8 images
    path = Path(cell.folder(tmp_path), "result.json")
    before = path.stat().st_mtime_ns
    stored = json.loads(path.read_text())
    assert run_cell(cell, tmp_path, device="cpu") == stored and stored["sequences"] == 2
    assert path.stat().st_mtime_ns == before
    # Flips along sequences of an older kind are measured again, nothing else is.
    write_json(path, {k: v for k, v in stored.items() if k != "sequences"})
    assert finished(cell, tmp_path) is None
    assert finished(dataclasses.replace(cell, perturbations=False), tmp_path) is not None
    again = run_cell(cell, tmp_path, device="cpu")
    assert again["sequences"] == 2 and again["flip_probability"] == stored["flip_probability"]


def test_precision_and_compiling_reach_training_and_evaluation(tmp_path, monkeypatch):
    from nmlib.lab.cifar import cell as module

    asked = {}

    def fit(model, train, scheme, recipe, **options):
        asked["train"] = recipe.precision, options["execution"].compile
        raise InterruptedError

    monkeypatch.setattr(module, "fit", fit)
    (cell,) = cells("table2", schemes=["mixup"], seeds=1, precision="bf16", compile=True)
    with pytest.raises(InterruptedError):
        run_cell(cell, tmp_path, device="cpu")
    assert asked == {"train": ("bf16", True)}
    assert cell.settings["precision"] == "bf16"
    with pytest.raises(ValueError, match="unknown precision 'bfloat16'; did you mean 'bf16'"):
        cells("table2", precision="bfloat16")


def test_a_budget_with_other_epochs_is_another(tmp_path):
    (plain,) = cells("table2", budget="long", schemes=["mixup"], dataset="cifar10", seeds=[0])
    (more,) = cells(
        "table2", budget="long", schemes=["mixup"], dataset="cifar10", seeds=[0], epochs=200
    )
    (same,) = cells(
        "table2", budget="long", schemes=["mixup"], dataset="cifar10", seeds=[0], epochs=60
    )
    assert (plain.size.name, more.size.name, same.size) == ("long", "long-200", plain.size)
    assert more.size.recipe().epochs == 200 and more.size.subset == plain.size.subset
    assert "long-200" in more.folder(tmp_path).parts
    assert plain.folder(tmp_path) == same.folder(tmp_path) != more.folder(tmp_path)
    with pytest.raises(ValueError, match="epochs must be an integer >= 1, got 0"):
        cells("table2", epochs=0)
