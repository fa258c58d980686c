"""The grid on a local Ray cluster of two workers."""

import os
import signal
import sys
from pathlib import Path

import pytest

from nmlib._files import write_json
from nmlib.lab.cifar.cell import finished
from nmlib.lab.cifar.cluster import run_on_cluster
from nmlib.lab.cifar.experiments import cells
from nmlib.lab.cifar.progress import CellFailed

ray = pytest.importorskip("ray")


def pretend(marks):
    """Return what a worker does: no work, but a mark for every time it is done."""

    def work(cell, out, device, threads):
        place = Path(marks, f"{cell.scheme.name}-{cell.seed}")
        with place.open("a") as file:
            file.write("x")
        if cell.scheme.name == "mixup" and cell.seed == 1 and place.read_text() == "x":
            os.kill(os.getpid(), signal.SIGKILL)
        if cell.scheme.name == "cutmix":
            raise ValueError("no such luck")
        numbers = {"clean_accuracy": 0.5, "robust_accuracy": 0.25, "flip_probability": None}
        return {"settings": cell.settings, **numbers}

    return work


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    # Ray gives a node 30 seconds to start, which a busy machine may need more than once.
    for attempt in range(3):
        made = Cluster()
        try:
            made.add_node(num_cpus=0, include_dashboard=False)
            for _ in range(2):
                made.add_node(num_cpus=1)
            break
        except Exception:
            made.shutdown()
            if attempt == 2:
                raise
    ray.init(address=made.address, log_to_driver=False)
    # The functions above cannot be imported by a worker: send them along.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_killed_worker_loses_no_finished_cell(cluster, tmp_path):
    grid = cells("table2", schemes=["baseline", "mixup"], seeds=2)
    out, marks = tmp_path / "out", tmp_path / "marks"
    marks.mkdir()
    write_json(
        grid[0].folder(out) / "result.json",
        {"settings": grid[0].settings, "clean_accuracy": 0.9, "robust_accuracy": 0.8},
    )
    results = run_on_cluster(grid, out, run=pretend(marks))
    assert [r["clean_accuracy"] for r in results] == [0.9, 0.5, 0.5, 0.5]
    done = {place.name: len(place.read_text()) for place in marks.iterdir()}
    assert done == {"mixup-0": 1, "baseline-1": 1, "mixup-1": 2}


def test_a_cell_that_fails_is_named_and_the_others_go_on(cluster, tmp_path):
    grid = cells("table2", schemes=["cutmix", "baseline"], seeds=1)
    (tmp_path / "marks").mkdir()
    with pytest.raises(CellFailed, match=r"(?s)1 of 2 cells failed.*cutmix.*no such luck"):
        run_on_cluster(grid, tmp_path / "out", run=pretend(tmp_path / "marks"))
    assert sum(finished(cell, tmp_path / "out") is not None for cell in grid) == 1
