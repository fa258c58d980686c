"""Records of a grid, written, read and turned into cells of the ablation."""

import json

import numpy as np
import pytest

from nmlib.lab import measurements as files
from nmlib.lab.cifar.records import SWITCHES, ablation_cells, measured, seeds_complete, store
from nmlib.paper import SWITCHES as PAPER_SWITCHES
from nmlib.schemes import ABLATION

IMAGES = 6


def record(scheme, seed, **changes):
    draw = np.random.default_rng([seed, *scheme.encode()])
    hits = draw.integers(0, 5, IMAGES)
    return {
        "settings": {"seed": seed},
        "scheme": scheme,
        "seed": seed,
        "test_fingerprint": "abc",
        "accuracy": {"fog": [0.1, 0.2], "snow": [0.3, 0.4]},
        "robust_hits": hits.tolist(),
        "clean_hits": draw.integers(0, 2, IMAGES).tolist(),
        "robust_accuracy": float(hits.mean() / 4),
    } | changes


@pytest.fixture
def grid():
    return [record(scheme, seed) for seed in (1, 0) for scheme in reversed(ABLATION)]


def test_switches_are_the_columns_of_the_paper():
    assert SWITCHES == PAPER_SWITCHES


def test_written_and_read(grid, tmp_path, monkeypatch):
    store([*grid, record("cutmix", 0)], tmp_path / "some.jsonl")
    monkeypatch.setattr(files, "_folder", lambda: tmp_path)
    found = measured("some.jsonl")
    assert len(found) == 21
    assert all("settings" not in r for r in found)
    assert [r["seed"] for r in found[:2]] == [0, 1]
    assert found[0]["scheme"] == "baseline"
    assert json.loads((tmp_path / "some.jsonl").read_text().splitlines()[0]) == found[0]
    assert {r["scheme"] for r in measured("some.jsonl", schemes=ABLATION)} == set(ABLATION)
    with pytest.raises(ValueError, match="no record of augmax; it has: baseline"):
        measured("some.jsonl", schemes=["augmax"])


@pytest.mark.parametrize(("metric", "hits", "share"), [
    ("robust_accuracy", "robust_hits", 4), ("clean_accuracy", "clean_hits", 1),
])  # fmt: skip
def test_cells(grid, metric, hits, share):
    cells = ablation_cells(grid, metric)
    assert cells.switches == SWITCHES
    for scheme, ticks, values, correct in zip(
        ABLATION, cells.on, cells.values, cells.correct, strict=True
    ):
        assert tuple(ticks) == ABLATION[scheme].switches
        for seed in (0, 1):
            expected = np.array(record(scheme, seed)[hits]) / share
            assert correct[seed] == pytest.approx(expected)
            assert values[seed] == pytest.approx(100 * expected.mean())


def test_only_seeds_that_all_rows_have(grid):
    assert seeds_complete(grid) == [0, 1]
    without = [r for r in grid if (r["scheme"], r["seed"]) != ("augmix", 0)]
    assert seeds_complete(without) == [1]
    assert ablation_cells(without).seeds == 1
    other = [r for r in grid if r["scheme"] != "augmix" or r["seed"] == 0]
    with pytest.raises(ValueError, match="no seed in common"):
        ablation_cells([r for r in other if r["scheme"] == "augmix" or r["seed"] == 1])


def test_what_does_not_fit_is_refused(grid):
    with pytest.raises(ValueError, match="no record of noise"):
        ablation_cells([r for r in grid if r["scheme"] != "noise"])
    with pytest.raises(ValueError, match="2 different test sets"):
        ablation_cells([*grid[1:], grid[0] | {"test_fingerprint": "other"}])
    assert seeds_complete([]) == []
