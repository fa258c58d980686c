"""Metrics with a state: the functions' values to the last digit, in any pieces and processes."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import multiprocessing
from torchmetrics import MetricCollection

from nmlib import metrics

CASES = [
    (metrics.RMSCalibrationError, metrics.rms_calibration_error, {}),
    (metrics.RMSCalibrationError, metrics.rms_calibration_error, {"bin_size": 7}),
    (
        metrics.RMSCalibrationError,
        metrics.rms_calibration_error,
        {"bin_size": 20, "reference_compatible": True},
    ),
    (metrics.AURRA, metrics.aurra, {}),
    (metrics.FlipProbability, metrics.flip_probability, {}),
    (metrics.FlipProbability, metrics.flip_probability, {"reference": "first"}),
    (metrics.FlipProbability, metrics.flip_probability, {"stride": 2}),
]


def data(kind, count=230, dtype=torch.float32):
    rng = np.random.default_rng(2)
    if kind is metrics.FlipProbability:
        return (torch.from_numpy(rng.integers(0, 3, (count, 7))),)
    # Coarse, so that many confidences are equal and their order counts.
    p = rng.dirichlet(np.ones(5), count).round(1) + 0.1
    p /= p.sum(1, keepdims=True)
    return torch.from_numpy(p).to(dtype), torch.from_numpy(rng.integers(0, 5, count))


def pieces(given, sizes=(100, 1, 129)):
    return zip(*(part.split(list(sizes)) for part in given), strict=True)


@pytest.mark.parametrize(("kind", "function", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_in_any_pieces_it_is_the_function_of_all(kind, function, options, dtype):
    given, metric = data(kind, dtype=dtype), kind(**options)
    for _ in range(2):
        for piece in pieces(given):
            metric.update(*piece)
        assert metric.compute().item() == function(*given, **options)
        metric.reset()
    with pytest.raises(ValueError, match="call update first"), pytest.warns(UserWarning):
        metric.compute()


@pytest.mark.parametrize(("kind", "function", "options"), CASES)
def test_a_call_gives_the_value_of_the_batch_and_a_copy_goes_on(kind, function, options):
    given, metric = data(kind), kind(**options)
    first = tuple(part[:120] for part in given)
    assert metric(*first).item() == function(*first, **options)
    copy = pickle.loads(pickle.dumps(metric))
    copy.update(*(part[120:] for part in given))
    assert copy.compute().item() == function(*given, **options)


def test_in_a_collection_measures_of_confidence_share_their_state():
    given = data(metrics.AURRA)
    both = MetricCollection([metrics.RMSCalibrationError(), metrics.AURRA()])
    for piece in pieces(given):
        both.update(*piece)
    assert [set(group) for group in both.compute_groups.values()] == [
        {"RMSCalibrationError", "AURRA"}
    ]
    found = both.compute()
    assert found["AURRA"].item() == metrics.aurra(*given)
    assert found["RMSCalibrationError"].item() == metrics.rms_calibration_error(*given)


def one_of_two(rank, file, results):
    torch.distributed.init_process_group("gloo", f"file://{file}", rank=rank, world_size=2)
    found = []
    for kind, _, options in CASES:
        metric, given = kind(**options), data(kind)
        # Shares of different sizes, in order of the processes.
        metric.update(*(part[:90] if rank == 0 else part[90:] for part in given))
        found.append(metric.compute().item())
    results[rank] = found
    torch.distributed.destroy_process_group()


def test_over_two_processes_it_is_the_function_of_all(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Manager().dict()
    processes = [
        context.Process(target=one_of_two, args=(rank, tmp_path / "store", results))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    wanted = [function(*data(kind), **options) for kind, function, options in CASES]
    assert results[0] == results[1] == wanted


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: metrics.AURRA().update(torch.ones(2, 3), [0, 1]), ValueError, "must sum to 1"),
        (lambda: metrics.AURRA().update(torch.ones(2, 1), [0, 1]), ValueError, "out of range"),
        (lambda: metrics.RMSCalibrationError(bin_size=0), ValueError, "bin_size must be"),
        (lambda: metrics.FlipProbability(reference="last"), ValueError, "unknown reference"),
        (lambda: metrics.FlipProbability().update(torch.rand(2, 3)), TypeError, "argmax"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_without_torchmetrics_the_functions_work_and_the_classes_name_it():
    code = """
import sys
sys.modules["torchmetrics"] = None
from nmlib import metrics
assert metrics.aurra([[0.9, 0.1]], [0]) == 1
try:
    metrics.AURRA
except ImportError as error:
    assert "pip install torchmetrics" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
