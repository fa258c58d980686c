"""Provenance: of nmlib's own repository alone, of each set, of each stretch of training."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from evaluation.nets import Colours
from training.small import SCHEMES, images, network, quick

import nmlib as nm
from nmlib import provenance as module
from nmlib.evaluation import (
    CorruptionReport,
    PerturbationReport,
    corruptions,
    perturbations,
)
from nmlib.training import Recipe, fitting


def git(folder, *arguments):
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(("tracked", "known"), [(False, False), (True, True)])
def test_a_repository_counts_only_if_it_tracks_nmlib(tmp_path, tracked, known):
    """A package installed inside somebody's project is not of that project's commit."""
    package = tmp_path / "site" / "nmlib"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.copy(module.__file__, package / "provenance.py")
    (tmp_path / "README").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "." if tracked else "README")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "tag", "-a", "v9", "-m", "may be moved")
    code = "from nmlib.provenance import provenance as p; print(p()['provenance']['commit'])"
    # As in a hook of yet another repository.
    env = os.environ | {
        "PYTHONPATH": str(tmp_path / "site"), "GIT_DIR": str(Path.cwd() / ".git"),
        "GIT_INDEX_FILE": str(tmp_path / "index"), "GIT_OBJECT_DIRECTORY": str(tmp_path),
    }  # fmt: skip
    found = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True,
        check=True,
    ).stdout.strip()  # fmt: skip
    head = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(head, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert found == (commit.strip() if known else "unknown")


class Commits:
    """Stands for the `provenance` of modules: the commit is whatever `now` is."""

    def __init__(self, monkeypatch, *modules):
        self.now = "one"
        for where in modules:
            monkeypatch.setattr(where, "provenance", self)

    def __call__(self, **more):
        return {"provenance": {"commit": self.now, **more}}


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini", "test").first(20)


def test_each_corrupted_set_keeps_its_own(data, tmp_path, monkeypatch):
    commits = Commits(monkeypatch, corruptions)
    settings = {"severities": 1, "out": tmp_path}
    nm.evaluate_corruptions(Colours(), data, corruptions="fog", **settings)
    commits.now = "two"
    cached = nm.evaluate_corruptions(Colours(), data, corruptions="fog", **settings)
    assert cached.provenance["commit"] == "one", "nothing was measured again"
    both = nm.evaluate_corruptions(Colours(), data, corruptions=["fog", "snow"], **settings)
    assert both.provenance["commit"] == "one, two"
    assert CorruptionReport.read(tmp_path).provenance == both.provenance
    again = nm.evaluate_corruptions(Colours(), data, corruptions="fog", **settings)
    assert again.provenance["commit"] == "one", "snow plays no part in it"
    record = json.loads((tmp_path / "corruptions.json").read_text())
    assert [m["commit"] for m in record["made"]] == ["one", "two"]
    assert {n: s["made"] for n, s in record["sets"].items()} == {"fog-1": 0, "snow-1": 1}


def test_clean_images_are_predicted_once_unless_their_file_is_damaged(data, tmp_path):
    seen = []

    class Counting(Colours):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    settings = {"corruptions": "fog", "severities": 1, "out": tmp_path}
    first = nm.evaluate_corruptions(Counting(), data, **settings)
    count = len(seen)
    again = nm.evaluate_corruptions(Counting(), data, **settings)
    assert len(seen) == count and again.rows == first.rows
    (tmp_path / "clean.npz").write_bytes(b"")
    repaired = nm.evaluate_corruptions(Counting(), data, **settings)
    assert len(seen) > count and repaired.rows == first.rows


def test_each_sequence_keeps_its_own(data, tmp_path, monkeypatch):
    commits = Commits(monkeypatch, perturbations)
    few, out = data.first(3), {"out": tmp_path}
    nm.evaluate_perturbations(Colours(), few, perturbations="tilt", **out)
    commits.now = "two"
    found = nm.evaluate_perturbations(Colours(), few, perturbations=["tilt", "scale"], **out)
    assert found.provenance["commit"] == "one, two"
    assert PerturbationReport.read(tmp_path).provenance == found.provenance


def test_each_stretch_of_training_keeps_its_own(tmp_path, monkeypatch):
    commits = Commits(monkeypatch, fitting)
    recipe = Recipe(epochs=3, batch_size=24)

    def train(**more):
        return quick(network(), images(), SCHEMES["mixup"], recipe=recipe, out=tmp_path, **more)

    for commit, steps in (("one", 2), ("two", 4), ("two", 6)):
        commits.now = commit
        rows = []
        with pytest.raises(nm.training.TrainingInterrupted):
            train(log_every=1, on_row=rows.append, stop=partial(_at, rows, steps))
    commits.now = "three"
    run = train()
    assert [(s["step"], s["commit"]) for s in run.stretches] == [
        (0, "one"), (2, "two"), (6, "three"),
    ]  # fmt: skip
    assert run.provenance["commit"] == "one, two, three"
    commits.now = "four"
    loaded = train()
    assert loaded.finished and loaded.stretches == run.stretches, "nothing was trained again"
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["stretches"] == run.stretches and record["provenance"] == run.provenance


def _at(rows, until):
    return bool(rows) and rows[-1].step >= until
