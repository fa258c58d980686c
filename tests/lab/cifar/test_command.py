"""`nmlib reproduce`."""

import json

import pytest

from nmlib._files import write_json
from nmlib.cli import main
from nmlib.lab.cifar.experiments import cells

NUMBERS = {
    "clean_accuracy": 0.5,
    "robust_accuracy": 0.25,
    "flip_probability": {"tilt": 0.1},
}


def done(cell, out, **more):
    write_json(cell.folder(out) / "result.json", {"settings": cell.settings, **NUMBERS, **more})


def test_the_list_shows_what_is_left_and_does_nothing(tmp_path, capsys):
    grid = cells("table4", seeds=2)
    done(grid[0], tmp_path)
    command = ["reproduce", "table4", "--seeds", "2", "--list", "--out", str(tmp_path)]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["baseline", "50.0/25.0", "."]
    assert lines[-1] == "19 of 20 cells are left"
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_results_are_written_and_shown(tmp_path, capsys):
    command = ["reproduce", "table4", "--seeds", "1", "--schemes", "noisymix", "baseline"]
    for cell in cells("table4", seeds=1, schemes=["noisymix", "baseline"]):
        done(cell, tmp_path)
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "noisymix  50.0/25.0" in capsys.readouterr().out
    assert json.loads((tmp_path / "table4-smoke.json").read_text()) == [NUMBERS, NUMBERS]


def test_records_are_written_as_notebooks_read_them(tmp_path):
    conditions = {"dataset": "fashion-mini", "budget": "smoke", "model": "small"}
    for cell in cells("table4", seeds=1, schemes=["noisymix", "baseline"]):
        record = {"scheme": cell.scheme.name, "seed": cell.seed, **conditions, **NUMBERS}
        write_json(cell.folder(tmp_path) / "result.json", {"settings": cell.settings, **record})
    # Of another budget, so not of the same file.
    other = {**record, "budget": "laptop", "seed": 7}
    write_json(tmp_path / "another" / "result.json", other)
    file = tmp_path / "records.jsonl"
    command = ["reproduce", "table4", "--seeds", "1", "--schemes", "noisymix"]
    assert main([*command, "--out", str(tmp_path), "--records", str(file)]) == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(r["scheme"], r["seed"]) for r in rows] == [("baseline", 0), ("noisymix", 0)]


def test_a_wrong_name_is_an_error_with_the_nearest(capsys):
    assert main(["reproduce", "table4", "--budget", "laptob"]) == 2
    assert "did you mean 'laptop'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "2", "--cluster"], "--workers goes without --cluster; use --cpus"),
        (["--device", "cpu", "--cluster"], "--device goes without --cluster"),
        (["--gpus", "1"], "--gpus goes with --cluster; use --workers and --device"),
    ],
)
def test_options_of_a_cluster_and_of_one_machine_are_not_mixed(tmp_path, capsys, options, message):
    assert main(["reproduce", "table4", "--seeds", "1", "--out", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "given"), [([], (1, 0)), (["--cpus", "4", "--gpus", "0.5"], (4, 0.5))]
)
def test_a_cell_on_a_cluster_gets_what_it_needs(tmp_path, monkeypatch, options, given):
    seen = []

    def instead(grid, out, *, cpus, gpus, **others):
        seen.append((cpus, gpus))
        return [{"settings": cell.settings, "dataset": "d", "budget": "b", "model": "m", **NUMBERS}
                for cell in grid]  # fmt: skip

    monkeypatch.setattr("nmlib.lab.cifar.cluster.run_on_cluster", instead)
    command = ["reproduce", "table4", "--seeds", "1", "--out", str(tmp_path), *options, "--cluster"]
    assert main(command) == 0
    assert seen == [given]


def test_other_options_write_another_file_and_rows_stay(tmp_path):
    """A second call adds its rows; one with other epochs or another network touches none."""
    command = ["reproduce", "table4", "--seeds", "1", "--out", str(tmp_path), "--schemes"]
    for scheme in ("noisymix", "baseline"):
        for cell in cells("table4", seeds=1, schemes=[scheme]):
            done(cell, tmp_path, scheme=scheme, seed=0)
        assert main([*command, scheme]) == 0
    rows = json.loads((tmp_path / "table4-smoke.json").read_text())
    assert [r["scheme"] for r in rows] == ["noisymix", "baseline"]
    for cell in cells("table4", seeds=1, schemes=["baseline"], epochs=7):
        done(cell, tmp_path, scheme="baseline", seed=0)
    assert main([*command, "baseline", "--epochs", "7"]) == 0
    assert json.loads((tmp_path / "table4-smoke.json").read_text()) == rows
    other = json.loads((tmp_path / "table4-smoke-7 epochs.json").read_text())
    assert [r["scheme"] for r in other] == ["baseline"]


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": []}, {"model": 3}, {"seed": "x"}, {"precision": []}, {"clean_accuracy": None},
        {"robust_accuracy": 7}, {"accuracy": {"fog": "x"}}, {"accuracy": [1]}, {"sequences": "x"},
        {"flip_probability": []}, {"clean_hits": None}, {"test_fingerprint": []}, {"epochs": {}},
    ],
)  # fmt: skip
def test_a_damaged_result_is_named_and_enters_no_summary(tmp_path, capsys, change):
    (cell,) = cells("table4", seeds=1, schemes=["baseline"])
    command = ["reproduce", "table4", "--seeds", "1", "--schemes", "baseline"]
    command += ["--out", str(tmp_path), "--records", str(tmp_path / "records.jsonl")]
    done(cell, tmp_path, **change)
    assert main(command) == 2
    message = capsys.readouterr().err
    assert "result.json" in message and next(iter(change)) in message and "remove it" in message
    assert [p.name for p in tmp_path.rglob("*.json*")] == ["result.json"]


@pytest.mark.parametrize(
    "rows", ["", "{}", "[3, {}]", '[{"dataset": []}]', '[{"clean_accuracy": NaN}]', "[" * 100_000]
)
def test_a_damaged_summary_is_made_anew(tmp_path, rows):
    (cell,) = cells("table4", seeds=1, schemes=["baseline"])
    done(cell, tmp_path)
    (tmp_path / "table4-smoke.json").write_text(rows)
    command = ["reproduce", "table4", "--seeds", "1", "--schemes", "baseline"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "table4-smoke.json").read_text()) == [NUMBERS]
