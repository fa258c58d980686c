"""`evaluate_perturbations`: whole sequences by hand, resumption, files, bad requests."""

import json

import numpy as np
import pytest
import torch
from evaluation.nets import Colours

import nmlib as nm
from nmlib.evaluation import (
    PerturbationReport,
    evaluate_perturbations,
    predict,
)
from nmlib.evaluation import perturbations as module
from nmlib.evaluation.perturbation_report import PerturbedSet

NAMES = ("shot_noise", "translate", "brightness")


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini", "test").first(60)


@pytest.fixture(scope="module")
def report(data):
    return evaluate_perturbations(Colours(), data, perturbations=NAMES, seed=4)


def predicted(data, name, **options):
    frames = nm.perturbation_sequence(data.images, name, seed=4, **options)
    return predict(Colours(), frames.flatten(0, 1)).argmax(1).reshape(len(data), -1)


def test_equals_flip_probability_of_whole_sequences(data, report):
    for row, name in zip(report.rows, NAMES, strict=True):
        seen = predicted(data, name)
        reference = "first" if "noise" in name else "previous"
        expected = nm.flip_probability(seen, reference=reference)
        assert row["flip_probability"] == pytest.approx(expected, rel=1e-12)
        assert report.flip_probabilities[name] == row["flip_probability"]
        assert (row["perturbation"], row["frames"], row["images"]) == (name, seen.shape[1], 60)
        base = seen[:, :1] if "noise" in name else seen[:, :-1]
        np.testing.assert_allclose(report.curves[name], (seen[:, 1:] != base).double().mean(0))
    assert report.flip_probabilities["translate"] > 0  # else this test says nothing
    mean = np.mean(list(report.flip_probabilities.values()))
    assert report.mean_flip_probability == pytest.approx(mean)
    assert f"{100 * mean:.2f}" in report.table().splitlines()[-1]
    assert f"{100 * mean:.2f}" in repr(report)


def test_standard_error_counts_images(data, report):
    share = np.zeros(60)
    for name in NAMES:
        seen = predicted(data, name).numpy()
        base = seen[:, :1] if "noise" in name else seen[:, :-1]
        share += (seen[:, 1:] != base).mean(1) / 3
    assert report.standard_error == pytest.approx(share.std(ddof=1) / np.sqrt(60))


@pytest.mark.parametrize(("batch_size", "limit"), [(13, 1), (500, 1 << 20)])
def test_batches_and_chunks_change_nothing(data, report, monkeypatch, batch_size, limit):
    monkeypatch.setattr(module, "_CHUNK_BYTES", limit)
    again = evaluate_perturbations(
        Colours(), data, perturbations=NAMES, seed=4, batch_size=batch_size
    )
    assert again.rows == report.rows
    assert [s.flips.tolist() for s in again.sets] == [s.flips.tolist() for s in report.sets]


@pytest.mark.parametrize("name", ["gaussian_noise", "rotate"])
def test_difficulty(data, name):
    small = data.first(10)
    found = evaluate_perturbations(
        Colours(), small, perturbations=[name], seed=4, difficulty=3
    ).flip_probabilities[name]
    if name == "rotate":
        expected = nm.flip_probability(predicted(small, name), stride=3)
    else:
        expected = nm.flip_probability(predicted(small, name, difficulty=3), reference="first")
    assert found == pytest.approx(expected)


def test_stored_resumed_and_read_again(data, report, tmp_path, monkeypatch):
    make = module.perturbation_sequence

    def failing(images, name, **options):
        if name == "brightness":
            raise KeyboardInterrupt
        return make(images, name, **options)

    monkeypatch.setattr(module, "perturbation_sequence", failing)
    options = dict(perturbations=NAMES, seed=4, out=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        evaluate_perturbations(Colours(), data, **options)
    assert list(PerturbationReport.read(tmp_path).flip_probabilities) == list(NAMES[:2])

    def brightness_only(images, name, **options):
        assert name == "brightness"
        return make(images, name, **options)

    monkeypatch.setattr(module, "perturbation_sequence", brightness_only)
    evaluate_perturbations(Colours(), data, **options)
    stored = PerturbationReport.read(tmp_path)
    assert stored.rows == report.rows and len(stored.frame()) == 3
    with pytest.raises(ValueError, match=r"other settings .*perturbation_seed 4 -> 5"):
        evaluate_perturbations(Colours(), data, **options | {"seed": 5})


def made_by_an_older_version(folder, **settings):
    """Take the version out of a stored evaluation, and turn rotate round."""
    path = folder / "perturbations.json"
    record = json.loads(path.read_text())
    del record["settings"]["sequences"]
    record["settings"] |= settings
    if "rotate" in record["sets"]:
        record["sets"]["rotate"]["curve"] = record["sets"]["rotate"]["curve"][::-1]
    path.write_text(json.dumps(record))


def test_sequences_of_an_older_kind_are_measured_again(data, tmp_path, monkeypatch):
    names = ("zoom_blur", "rotate", "tilt")
    options = dict(perturbations=names, seed=4, out=tmp_path)
    whole = evaluate_perturbations(Colours(), data, **options)
    assert whole.provenance["sequences"] == 2
    made_by_an_older_version(tmp_path)
    with pytest.warns(UserWarning, match="zoom_blur of .* is left out; evaluate again into the"):
        old = PerturbationReport.read(tmp_path)
    assert list(old.flip_probabilities) == ["rotate", "tilt"]
    np.testing.assert_array_equal(old.curves["rotate"], whole.curves["rotate"])
    make, measured = module.perturbation_sequence, []

    def noted(images, name, **options):
        measured.append(name)
        return make(images, name, **options)

    monkeypatch.setattr(module, "perturbation_sequence", noted)
    again = evaluate_perturbations(Colours(), data, **options)
    assert set(measured) == {"zoom_blur"} and again.rows == whole.rows
    assert PerturbationReport.read(tmp_path).flip_probabilities == whole.flip_probabilities


def test_crops_of_an_older_kind_are_not_read(data, tmp_path):
    options = dict(perturbations="tilt", benchmark="imagenet", crop=32, out=tmp_path)
    whole = evaluate_perturbations(Colours(), data, **options)
    made_by_an_older_version(tmp_path)
    with pytest.raises(ValueError, match=r"tilt of .* evaluate again into the same folder"):
        PerturbationReport.read(tmp_path)
    assert evaluate_perturbations(Colours(), data, **options).rows == whole.rows
    assert PerturbationReport.read(tmp_path).rows == whole.rows


def test_official_files_have_no_version(data, tmp_path):
    np.save(tmp_path / "zoom_blur.npy", nm.perturbation_sequence(data.images, "zoom_blur"))
    options = dict(perturbations="zoom_blur", folder=tmp_path, out=tmp_path)
    found = evaluate_perturbations(Colours(), data, **options)
    assert PerturbationReport.read(tmp_path).rows == found.rows
    assert "sequences" not in found.provenance


def test_files_instead_of_generated_frames(data, report, tmp_path):
    for name in NAMES:
        np.save(tmp_path / f"{name}.npy", nm.perturbation_sequence(data.images, name, seed=4))
    found = evaluate_perturbations(Colours(), data, perturbations=NAMES, folder=tmp_path)
    assert found.rows == report.rows and found.provenance["source"] == "files"
    with pytest.raises(ValueError, match=r"60 sequences .* 61 images"):
        more = nm.load("fashion-mini", "test").first(61)
        evaluate_perturbations(Colours(), more, perturbations=NAMES, folder=tmp_path)
    with pytest.raises(ValueError, match="difficulty 1 only"):
        evaluate_perturbations(Colours(), data, perturbations=NAMES, folder=tmp_path, difficulty=2)


def test_bad_requests(data):
    with pytest.raises(ValueError, match="did you mean 'rotate'"):
        evaluate_perturbations(Colours(), data, perturbations=["rotat"])
    with pytest.raises(ValueError, match="no perturbation"):
        evaluate_perturbations(Colours(), data, perturbations=[])
    with pytest.raises(ValueError, match="difficulty"):
        evaluate_perturbations(Colours(), data, difficulty=4)
    with pytest.raises(ValueError, match="benchmark"):
        evaluate_perturbations(Colours(), data, benchmark="cifra")
    assert torch.is_tensor(data.images)


def test_one_name_may_stand_alone_and_a_report_be_saved_later(data, tmp_path):
    found = evaluate_perturbations(Colours(), data.first(5), perturbations="tilt", seed=4)
    assert [s.perturbation for s in found.sets] == ["tilt"]
    read = PerturbationReport.read(found.save(tmp_path / "new"))
    assert read.rows == found.rows
    assert read.provenance == found.provenance


def test_files_with_other_content_are_not_taken_for_those_evaluated(data, tmp_path):
    small = data.first(4)
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        for name in ("tilt", "shot_noise"):
            frames = nm.perturbation_sequence(small.images, name, seed=seed)
            np.save(tmp_path / str(seed) / f"{name}.npy", frames.numpy())
    options = dict(perturbations=["tilt", "shot_noise"], out=tmp_path / "out")
    first = evaluate_perturbations(Colours(), small, folder=tmp_path / "0", **options)
    again = evaluate_perturbations(Colours(), small, folder=tmp_path / "0", **options)
    assert again.rows == first.rows
    with pytest.raises(ValueError, match=r"shot_noise\.npy has changed since it was evaluated"):
        evaluate_perturbations(Colours(), small, folder=tmp_path / "1", **options)
    options["out"] = tmp_path / "new"
    np.save(tmp_path / "1" / "shot_noise.npy", np.zeros((4, 300, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="300 frames"):
        evaluate_perturbations(Colours(), small, folder=tmp_path / "1", **options)
    assert not list((tmp_path / "new").glob("*.json")), "refused before anything was measured"
    with pytest.raises(ValueError, match="256 frames"):
        PerturbedSet.of("tilt", torch.zeros(1, 300))
