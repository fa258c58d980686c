"""`evaluate_corruptions`: whole sets made and predicted by hand, resumption, official files."""

import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch
from evaluation.nets import Colours

import nmlib as nm
from nmlib import metrics
from nmlib.cli import main
from nmlib.data import cifar
from nmlib.data.corrupted import write_corrupted_set
from nmlib.evaluation import (
    CorruptionReport,
    evaluate,
    evaluate_corruptions,
    evaluate_perturbations,
    predict,
)
from nmlib.evaluation import corruptions as module

# Whole numbers, or one rounded operation an element after another: the same pixels in any chunks.
NAMES = ("shot_noise", "fog", "contrast", "pixelate")


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini", "test").first(240)


@pytest.fixture(scope="module")
def report(data):
    return evaluate_corruptions(
        Colours(), data, corruptions=NAMES, severities=(1, 3), seed=5, key={"scheme": "plain"}
    )


def test_other_corruptions_alone_have_no_robust_accuracy(data, capsys, tmp_path):
    """The four that the benchmark keeps for validation."""
    found = evaluate_corruptions(
        Colours(), data.first(20), corruptions=["spatter", "saturate"], severities=[2],
        out=tmp_path,
    )  # fmt: skip
    assert "robust" not in found.table() + found.summary
    assert found.table().count("\n") == 3  # heading, clean and two
    clean, corrupted = found.calibration["clean"], found.calibration["corrupted"]
    assert set(corrupted.values()) == {None} and set(corrupted) == set(clean)
    with pytest.raises(ValueError, match="has no such set; it has spatter, saturate"):
        _ = found.robust_accuracy


def test_equals_whole_sets_made_by_hand(data, report):
    model = Colours()
    rows = {(r["corruption"], r["severity"]): r for r in report.rows}
    assert list(rows) == [("clean", 0), *((n, s) for n in NAMES for s in (1, 3))]
    for name in NAMES:
        for severity in (1, 3):
            p = predict(model, nm.corrupt(data.images, name, severity, seed=5))
            row = rows[name, severity]
            assert row["accuracy"] == float((p.argmax(1) == data.labels).double().mean())
            for measure, function, options in (
                ("expected_calibration_error", metrics.expected_calibration_error, {}),
                ("rms_calibration_error", metrics.rms_calibration_error, {}),
                (
                    "rms_calibration_error_reference",
                    metrics.rms_calibration_error,
                    {"reference_compatible": True},
                ),
                ("aurra", metrics.aurra, {}),
                ("brier_score", metrics.brier_score, {}),
                ("negative_log_likelihood", metrics.negative_log_likelihood, {}),
            ):
                expected = function(p, data.labels, **options)
                assert row[measure] == pytest.approx(expected, rel=1e-5), (name, measure)
    assert torch.equal(report.clean.probabilities, evaluate(model, data).probabilities)


def test_rows_are_keyed(report, data):
    keys = ("dataset", "model", "scheme", "seed", "corruption", "severity")
    for row in report.rows:
        assert tuple(row)[:6] == keys and row["images"] == 240
        assert [row[k] for k in keys[:4]] == ["fashion-mini", "colours", "plain", None]
    assert report.rows[0]["family"] == "clean" and report.rows[1]["family"] == "noise"
    frame = report.frame()
    assert list(frame.columns) == list(report.rows[0]) and len(frame) == 9
    assert report.provenance["corruption_seed"] == 5
    assert report.provenance["data_fingerprint"] == data.fingerprint
    assert {"commit", "torch", "model_fingerprint", "frost"} <= set(report.provenance)


def test_means(report):
    a = {n: [report.accuracies[n][s] for s in (1, 3)] for n in NAMES}
    assert report.robust_accuracy == pytest.approx(np.mean(list(a.values())))
    assert report.by_corruption["fog"] == pytest.approx(np.mean(a["fog"]))
    assert report.by_severity[3] == pytest.approx(np.mean([v[1] for v in a.values()]))
    assert report.robust_accuracy_without_noise == pytest.approx(np.mean([a[n] for n in NAMES[1:]]))
    assert report.families == {
        "noise": pytest.approx(np.mean(a["shot_noise"])),
        "weather": pytest.approx(np.mean(a["fog"])),
        "digital": pytest.approx(np.mean([a["contrast"], a["pixelate"]])),
    }
    assert report.errors["fog"] == pytest.approx([1 - v for v in a["fog"]])
    corrupted = report.calibration["corrupted"]
    assert corrupted["aurra"] == pytest.approx(np.mean([r["aurra"] for r in report.rows[1:]]))
    assert report.calibration["clean"] == report.clean.measures()
    assert report.coverage == "4 corruptions x severity 1, 3, 240 images" and not report.complete
    assert f"{100 * report.robust_accuracy:.1f}" in report.table().splitlines()[-1]
    assert report.coverage in repr(report)


def test_pooled_reliability(data, report):
    model = Colours()
    images = [nm.corrupt(data.images, n, 3, seed=5) for n in NAMES]
    p = torch.cat([predict(model, x) for x in images])
    whole = metrics.reliability_curve(p, data.labels.repeat(4))
    pooled = report.reliability(severities=[3])
    assert pooled.count.tolist() == whole.count.tolist()
    np.testing.assert_allclose(pooled.accuracy, whole.accuracy, rtol=1e-9)
    np.testing.assert_allclose(pooled.confidence, whole.confidence, rtol=1e-5)


def test_standard_errors_count_images(data, report):
    share = np.zeros(240)
    for s in report.sets:
        share += s.correct / 8
    assert report.standard_error == pytest.approx(share.std(ddof=1) / np.sqrt(240))
    other = evaluate_corruptions(
        Colours(seed=1), data, corruptions=NAMES, severities=(1, 3), seed=5
    )
    gain, error = report.minus(other)
    assert gain == pytest.approx(report.robust_accuracy - other.robust_accuracy)
    theirs = np.mean([s.correct for s in other.sets], axis=0)
    assert error == pytest.approx((share - theirs).std(ddof=1) / np.sqrt(240))
    assert report.minus(report) == (0, 0)
    few = evaluate_corruptions(Colours(), data, corruptions=NAMES[:1], severities=(1, 3), seed=5)
    with pytest.raises(ValueError, match="different sets"):
        report.minus(few)
    with pytest.raises(ValueError, match="different images"):
        report.minus(evaluate_corruptions(Colours(), data.first(9), corruptions=["fog"]))


@pytest.mark.parametrize(("batch_size", "chunk"), [(7, 1), (64, 1 << 17), (1000, 1 << 24)])
def test_batches_and_chunks_change_nothing(data, report, monkeypatch, batch_size, chunk):
    seen = []
    make = module.corrupt

    def counting(images, *args, **options):
        seen.append(len(images))
        return make(images, *args, **options)

    monkeypatch.setattr(module, "corrupt", counting)
    monkeypatch.setattr(module, "_CHUNK_BYTES", chunk)
    again = evaluate_corruptions(
        Colours(), data, corruptions=NAMES, severities=(1, 3), seed=5, batch_size=batch_size
    )
    assert [s.correct.tolist() for s in again.sets] == [s.correct.tolist() for s in report.sets]
    assert max(seen) <= max(batch_size, chunk // 3072)
    assert sum(seen) == 8 * 240


def test_the_extra_four_stay_out_of_the_mean(data):
    small = data.first(30)
    report = evaluate_corruptions(
        Colours(), small, corruptions=["fog", "spatter"], severities=[2], seed=1
    )
    assert report.robust_accuracy == report.accuracies["fog"][2]
    assert report.corruptions == ("fog", "spatter")
    alone = evaluate_corruptions(Colours(), small, corruptions=["saturate"], severities=[2])
    assert "robust" not in alone.summary
    with pytest.raises(ValueError, match="no such set"):
        assert alone.robust_accuracy
    with pytest.raises(ValueError, match="needs more images"):
        report.mean("rms_calibration_error_reference")
    assert report.calibration["corrupted"]["rms_calibration_error_reference"] is None


def test_complete_report_feeds_the_benchmarks_measures(data):
    report = evaluate_corruptions(Colours(), data.first(8))
    assert report.complete and report.coverage == "15 corruptions x 5 severities, 8 images"
    assert metrics.robust_accuracy(report.errors) == pytest.approx(report.robust_accuracy)
    assert metrics.family_errors(report.errors) == pytest.approx(
        {k: 1 - v for k, v in report.families.items()}
    )


def test_stored_and_read_again(data, report, tmp_path):
    seen = []
    made = evaluate_corruptions(
        Colours(), data, corruptions=NAMES, severities=(1, 3), seed=5, key={"scheme": "plain"},
        out=tmp_path, progress=lambda *args: seen.append(args),
    )  # fmt: skip
    assert seen[-1] == ("pixelate-3", 240, 240)
    for again in (made, CorruptionReport.read(tmp_path)):
        assert again.rows == report.rows and again.key == report.key
        assert again.table() == report.table()
        assert again.reliability().error() == pytest.approx(report.reliability().error())
        assert [s.correct.tolist() for s in again.sets] == [s.correct.tolist() for s in report.sets]
    assert sorted(p.name for p in tmp_path.glob("[!.]*")) == ["clean.npz", "corruptions.json"]


def test_goes_on_where_it_stopped(data, report, tmp_path, monkeypatch):
    made = []
    make = module.corrupt

    def failing(images, name, *args, **options):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(name)
        return make(images, name, *args, **options)

    monkeypatch.setattr(module, "corrupt", failing)
    options = dict(corruptions=NAMES, severities=(1, 3), seed=5, key={"scheme": "plain"})
    with pytest.raises(KeyboardInterrupt):
        evaluate_corruptions(Colours(), data, out=tmp_path, **options)
    partial = CorruptionReport.read(tmp_path)
    assert len(partial.sets) == 3 and "only 3 sets" in partial.coverage
    monkeypatch.setattr(module, "corrupt", make)
    counted = []
    evaluate_corruptions(
        Colours(), data, out=tmp_path, progress=lambda *args: counted.append(args[0]), **options
    )
    assert counted.count("shot_noise-1") == 1 and counted.count("pixelate-3") == 2
    assert CorruptionReport.read(tmp_path).rows == report.rows
    # More severities later: what is there is kept, the report holds what was asked for.
    options["severities"] = (1, 2)
    more = evaluate_corruptions(Colours(), data, out=tmp_path, **options)
    assert more.severities == (1, 2)
    assert CorruptionReport.read(tmp_path).severities == (1, 2, 3)


def test_killed(data, tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(os.path.dirname(os.path.dirname(__file__)))!r})
import nmlib as nm
from evaluation.nets import Colours
from nmlib.evaluation import evaluate_corruptions
data = nm.load("fashion-mini", "test")
told = lambda *a: print(*a, flush=True)
names = nm.CORRUPTIONS[1:]  # the first has pixels that a chunk of another size rounds otherwise
evaluate_corruptions(Colours(), data, corruptions=names, out={str(tmp_path)!r}, progress=told)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    record = json.loads((tmp_path / "corruptions.json").read_text())
    assert 1 <= len(record["sets"]) < 70
    stored = CorruptionReport.read(tmp_path)
    first = stored.sets[0]
    whole = nm.load("fashion-mini", "test")
    p = predict(Colours(), nm.corrupt(whole.images, first.corruption, first.severity))
    assert (p.argmax(1) == whole.labels).tolist() == first.correct.tolist()


def test_never_mixes_two_evaluations(data, tmp_path):
    small = data.first(20)
    options = dict(corruptions=["fog"], severities=[1], out=tmp_path)
    evaluate_corruptions(Colours(), small, **options)
    for change, told in (
        (dict(model=Colours(seed=1)), "model_fingerprint"),
        (dict(data=data.first(21)), "data_fingerprint"),
        (dict(seed=3), "corruption_seed 0 -> 3"),
        (dict(precision="bf16"), "precision"),
        (dict(key={"scheme": "noisymix"}), "scheme None -> 'noisymix'"),
    ):
        with pytest.raises(ValueError, match=f"other settings .*{told}"):
            evaluate_corruptions(**({"model": Colours(), "data": small} | options | change))
    (tmp_path / "corruptions.json").write_text('{"settings": {')
    with pytest.raises(ValueError, match="damaged"):
        evaluate_corruptions(Colours(), small, **options)
    with pytest.raises(FileNotFoundError, match="nmlib evaluate"):
        CorruptionReport.read(tmp_path / "nowhere")


def test_files_instead_of_generated_images(data, report, tmp_path):
    command = ["corrupt", "--dataset", "fashion-mini", "--limit", "240", "--out", str(tmp_path)]
    command += ["--corruptions", *NAMES, "--seed", "5", "--quiet"]
    assert main(command) == 0
    options = dict(corruptions=NAMES, severities=(1, 3), folder=tmp_path, verify=False)
    found = evaluate_corruptions(Colours(), data, **options, key={"scheme": "plain"})
    assert found.rows == report.rows and found.provenance["source"] == "own files"
    part = evaluate_corruptions(Colours(), data.first(100), batch_size=16, **options)
    for mine, whole in zip(part.sets, report.sets, strict=True):
        assert mine.correct.tolist() == whole.correct[:100].tolist()
    with pytest.raises(ValueError, match="MD5"):
        evaluate_corruptions(Colours(), data, **options | {"verify": True})
    with pytest.raises(ValueError, match=r"240 images .* 2000"):
        evaluate_corruptions(Colours(), nm.load("fashion-mini", "test"), **options)
    with pytest.raises(ValueError, match="another order"):
        evaluate_corruptions(Colours(), (data.images, data.labels.flip(0)), **options)
    with pytest.raises(FileNotFoundError, match=r"no snow\.npy"):
        evaluate_corruptions(Colours(), data, **options | {"corruptions": ["snow"]})


def test_bad_requests(data):
    model = Colours()
    with pytest.raises(ValueError, match="did you mean 'fog'"):
        evaluate_corruptions(model, data, corruptions=["fogg"])
    for bad in (0, 6, 2.5, "3", True):
        with pytest.raises(ValueError, match="severity must be an integer from 1 to 5"):
            evaluate_corruptions(model, data, severities=[bad])
    with pytest.raises(ValueError, match="no severity"):
        evaluate_corruptions(model, data, severities=[])
    with pytest.raises(ValueError, match="no corruption"):
        evaluate_corruptions(model, data, corruptions=[])
    with pytest.raises(ValueError, match="unknown benchmark 'cifra'; did you mean 'cifar'"):
        evaluate_corruptions(model, data, corruptions=["fog"], benchmark="cifra")
    with pytest.raises(TypeError, match="torch module"):
        evaluate_corruptions(None, data)


def test_questions_that_the_report_cannot_answer(report):
    with pytest.raises(ValueError, match="unknown measure 'acuracy'; did you mean 'accuracy'"):
        report.mean("acuracy")
    with pytest.raises(ValueError, match="severity 5 was not evaluated; this report has 1, 3"):
        report.mean(severities=[5])
    with pytest.raises(ValueError, match="unknown family"):
        report.mean(without=["noises"])


def test_names_that_were_not_evaluated_are_refused(report):
    with pytest.raises(ValueError, match="unknown corruption of this report 'snw'"):
        report.mean(corruptions=[NAMES[0], "snw"])
    with pytest.raises(ValueError, match="severity 2 was not evaluated; this report has 1, 3"):
        report.reliability(severities=[1, 2])


def test_one_name_or_severity_may_stand_alone(report, data):
    assert report.mean(corruptions=NAMES[0]) == report.mean(corruptions=[NAMES[0]])
    assert report.mean(severities=3) == report.mean(severities=[3])
    assert report.mean(without="noise") == report.mean(without=["noise"])
    single = evaluate_corruptions(Colours(), data.first(20), corruptions="fog", severities=3)
    assert [(s.corruption, s.severity) for s in single.sets] == [("fog", 3)]


@pytest.mark.parametrize("change", [{"seed": 6}, {"benchmark": "imagenet"}])
def test_differences_need_the_same_pixels(report, data, change):
    options = {"corruptions": NAMES, "severities": (1, 3), "seed": 5} | change
    other = evaluate_corruptions(Colours(seed=1), data, **options)
    with pytest.raises(ValueError, match=r"different pixels: (corruption_seed|benchmark) is"):
        report.minus(other)


def halves(images, severity, first_index):
    """Blacken the left part of every second image, counted over the whole set."""
    out = images.clone()
    out[first_index % 2 :: 2, :, : 6 * severity] = 0
    return out


def test_corruptions_of_ones_own(data, tmp_path, monkeypatch):
    wanted = {"fog": None, "halves": halves}
    found = evaluate_corruptions(Colours(), data, corruptions=wanted, severities=(1, 5))
    by_hand = data.images.clone()
    by_hand[::2, :, :30] = 0
    truth = nm.evaluate(Colours(), (by_hand, data.labels)).accuracy
    assert found.accuracies["halves"][5] == truth
    assert [r["family"] for r in found.rows] == ["clean", "weather", "weather", "own", "own"]
    assert found.robust_accuracy == found.mean(corruptions="fog")
    # Chunks see the numbers of their images.
    monkeypatch.setattr("nmlib.evaluation.corruptions._CHUNK_BYTES", 1)
    again = evaluate_corruptions(
        Colours(), data, corruptions=wanted, severities=(1, 5), batch_size=7, out=tmp_path
    )
    assert again.accuracies == found.accuracies
    assert CorruptionReport.read(tmp_path).accuracies == found.accuracies


@pytest.mark.parametrize(
    ("corruptions", "message"),
    [
        ({"fog": halves}, "a name of its own.*'fog'"),
        ({"mine": 3}, "a function.*'mine': 3"),
        ({"mine": None}, "unknown corruption 'mine'"),
        ({"mine": lambda images, severity, first_index: images / 2}, "got torch.float32"),
        ({"mine": lambda images, severity, first_index: images[:1]}, r"got torch.uint8 \(1,"),
        ({}, "no corruption"),
    ],
)
def test_wrong_corruptions_of_ones_own(data, corruptions, message):
    with pytest.raises(ValueError, match=message):
        evaluate_corruptions(Colours(), data.first(20), corruptions=corruptions)


def test_a_report_can_be_saved_later(report, tmp_path):
    folder = report.save(tmp_path / "new")
    read = CorruptionReport.read(folder)
    assert read.rows == report.rows
    assert read.provenance == report.provenance
    assert read.minus(report) == (0.0, 0.0)


def test_keys_of_any_kind_survive_the_file(data, tmp_path):
    key = {"seed": np.int64(3), "rates": (0.1, 0.2)}
    options = {"corruptions": ["fog"], "severities": [1], "key": key, "out": tmp_path}
    first = evaluate_corruptions(Colours(), data.first(20), **options)
    again = evaluate_corruptions(Colours(), data.first(20), **options)
    assert first.key["seed"] == again.key["seed"] == 3
    with pytest.raises(TypeError, match=r"key\['net'\] = .* cannot be stored"):
        evaluate_corruptions(
            Colours(), data.first(20), corruptions=["fog"], key={"net": halves},
            out=tmp_path / "other",
        )  # fmt: skip
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"measures": {"accuracy": 7}}, "accuracy 7.0 lies outside 0 ... 1"),
        ({"measures": {"accuracy": float("nan")}}, "NaN, which is not a JSON number"),
        ({"measures": {"accuracy": 0.5}}, "but 0 of 20 right"),
        ({"measures": {"accuracy": "half"}}, "could not convert"),
        ({"measures": None}, "NoneType"),
        ({"confidence": [2.0]}, "confidence 2.0 lies outside"),
        ({"images": 10**9}, "is damaged"),
        ({"accuracy": True}, "bins"),  # one for all bins
        ({"confidence": [[0.5]]}, "bins"),
        ({"made": None}, "does not say what made its sets"),
        ({"made": [0]}, "does not say what made its sets"),
        ({"made": 3}, "does not say what made its sets"),
        ({"made": -1}, "does not say what made its sets"),
    ],
)
def test_records_are_checked_when_they_are_read(data, tmp_path, change, told):
    """A number that no model can have is not printed as one."""
    few, settings = data.first(20), {"corruptions": "fog", "severities": 1, "out": tmp_path}

    class Wrong(Colours):
        def forward(self, x):
            wrong = (few.labels[: len(x)] + 1) % 10
            return torch.nn.functional.one_hot(wrong, 10).float()

    model = Wrong()
    evaluate_corruptions(model, few, **settings)
    path = tmp_path / "corruptions.json"
    record = json.loads(path.read_text())
    record["sets"]["fog-1"] |= change
    path.write_text(json.dumps(record))
    for read in (CorruptionReport.read, lambda out: evaluate_corruptions(model, few, **settings)):
        with pytest.raises(ValueError, match=told) as caught:
            read(tmp_path)
        assert str(path) in str(caught.value)
    path.unlink()  # the remedy
    assert len(evaluate_corruptions(model, few, **settings).rows) == 2


def test_one_process_writes_a_record_and_sweeps_what_another_left(data, tmp_path):
    few, settings = data.first(3), {"corruptions": "fog", "severities": 1, "out": tmp_path}
    left = tmp_path / ".corruptions.json.0123abcd.tmp"
    left.write_text("half")

    def meanwhile(name, done, total):
        with pytest.raises(ValueError, match="another process is evaluating in"):
            evaluate_corruptions(Colours(), few, **settings)

    report = evaluate_corruptions(Colours(), few, progress=meanwhile, **settings)
    assert len(report.rows) == 2 and not left.exists()


def own_files(folder, data, seed):
    return write_corrupted_set(
        data.images, data.labels, folder, names=["fog", "contrast"], severities=(3, 1), seed=seed
    )


def test_severities_of_files_are_those_of_their_record(data, tmp_path):
    small = data.first(20)
    own_files(tmp_path, small, 0)
    options = dict(corruptions=["fog", "contrast"], severities=[1, 3])
    made = evaluate_corruptions(Colours(), small, **options)
    stored = evaluate_corruptions(Colours(), small, folder=tmp_path, verify=False, **options)
    assert stored.rows == made.rows
    seen = []
    with pytest.raises(ValueError, match=r"fog\.npy holds severity 3, 1, not 2"):
        evaluate_corruptions(
            Colours(), small, corruptions="fog", folder=tmp_path, verify=False,
            progress=lambda *told: seen.append(told),
        )  # fmt: skip
    assert not seen, "refused before anything was measured"


def test_files_with_other_content_are_not_taken_for_those_evaluated(data, tmp_path):
    small = data.first(20)
    for seed in (0, 1):
        own_files(tmp_path / str(seed), small, seed)
    options = dict(corruptions="fog", severities=[1, 3], verify=False)
    first = evaluate_corruptions(
        Colours(), small, folder=tmp_path / "0", out=tmp_path / "out", **options
    )
    # The same files elsewhere are the same; so is a part of them that is gone.
    (tmp_path / "0").rename(tmp_path / "moved")
    options |= dict(out=tmp_path / "out")
    again = evaluate_corruptions(Colours(), small, folder=tmp_path / "moved", **options)
    assert again.rows == first.rows
    with pytest.raises(ValueError, match=r"1/fog\.npy has changed since it was evaluated"):
        evaluate_corruptions(Colours(), small, folder=tmp_path / "1", **options)
    CorruptionReport.read(tmp_path / "out").save(tmp_path / "saved")
    options["out"] = tmp_path / "saved"
    with pytest.raises(ValueError, match="has changed since"):
        evaluate_corruptions(Colours(), small, folder=tmp_path / "1", **options)
    more = options | dict(corruptions=["fog", "contrast"])
    assert len(evaluate_corruptions(Colours(), small, folder=tmp_path / "moved", **more).sets) == 4
    options["out"] = None
    other = evaluate_corruptions(Colours(), small, folder=tmp_path / "1", **options)
    with pytest.raises(ValueError, match=r"different pixels: fog\.npy has MD5"):
        first.minus(other)


def test_official_files_are_found_out_for_images_of_ones_own(data, tmp_path, monkeypatch):
    small = data.first(20)
    write_corrupted_set(small.images, small.labels, tmp_path, names="fog")
    for name in ("fog", "labels"):
        digest = hashlib.md5((tmp_path / f"{name}.npy").read_bytes()).hexdigest()
        known = (cifar.CIFAR_C_MD5[name][0], digest)
        monkeypatch.setitem(cifar.CIFAR_C_MD5, name, known)
    pair = (small.images, small.labels)
    found = evaluate_corruptions(Colours(), pair, corruptions="fog", folder=tmp_path)
    assert found.provenance["files"]["fog"] == cifar.CIFAR_C_MD5["fog"][1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_two_evaluations_into_one_folder(data, tmp_path):
    small = data.first(20)
    options = dict(severities=[1], out=tmp_path)

    def second(images, severity, first_index):
        with pytest.raises(ValueError, match="another process is evaluating in"):
            evaluate_corruptions(Colours(), small, corruptions="fog", **options)
        evaluate_perturbations(Colours(), small, perturbations="tilt", out=tmp_path)
        return images

    evaluate_corruptions(Colours(), small, corruptions={"mine": second}, **options)
    # What killed processes left is gone on the next start.
    for name in (".clean.npz.0a.tmp", ".corruptions.json.0a.tmp"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".other.0a.tmp").write_bytes(b"")
    evaluate_corruptions(Colours(), small, corruptions={"mine": lambda *_, **__: None}, **options)
    assert [p.name for p in tmp_path.glob("*.tmp")] == [".other.0a.tmp"]


def test_predictions_of_other_images_are_not_read(data, tmp_path):
    options = dict(corruptions="fog", severities=[1])
    for count in (20, 21):
        small = data.first(count)
        evaluate_corruptions(Colours(), small, out=tmp_path / str(count), **options)
    (tmp_path / "20" / "clean.npz").replace(tmp_path / "21" / "clean.npz")
    with pytest.raises(ValueError, match=r"clean\.npz and .*json are of different images"):
        CorruptionReport.read(tmp_path / "21")
    with zipfile.ZipFile(tmp_path / "21" / "clean.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("probabilities.npy", b"\0" * 1_000_000)
    with pytest.raises(ValueError, match=r"clean\.npz holds no predictions \(it is compressed"):
        CorruptionReport.read(tmp_path / "21")


def test_a_disk_that_fills_up_names_the_predictions(data, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nmlib.evaluation.predictions.np.savez", full)
    with pytest.raises(OSError, match=r"no space is left to write it.*clean\.npz'"):
        evaluate_corruptions(Colours(), data.first(4), corruptions="fog", out=tmp_path)
    assert not (tmp_path / "clean.npz").exists()


# -- claims ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def complete(report):
    """Every set of the benchmark, each with the results of one that was measured."""
    sets = tuple(
        dataclasses.replace(report.sets[k % 8], corruption=name, severity=level)
        for k, name in enumerate(nm.CORRUPTIONS)
        for level in range(1, 6)
    )
    key = {"dataset": "cifar10", "model": "wrn28_4", "scheme": "noisymix", "seed": 0}
    return dataclasses.replace(report, sets=sets, key=key)


def fields_of(claim, mark=""):
    return dict(re.findall(rf"^- \*\*{mark}(.*?){mark}\*\*: ?(.*)$", claim, re.MULTILINE))


def test_a_claim_has_the_fields_of_robustbenchs_form(complete):
    claim = complete.claim()
    assert list(fields_of(claim)) == [
        "Paper Title", "Paper URL", "Paper authors", "Dataset", "Architecture", "Threat Model",
        "eps", "Clean accuracy", "Robust accuracy", "Additional data", "Evaluation method",
        "Checkpoint and code",
    ]  # fmt: skip
    found = fields_of(claim)
    robust = np.mean([s.correct.mean() for s in complete.sets])
    assert found["Robust accuracy"] == f"{100 * robust:.2f}"
    assert found["Clean accuracy"] == f"{100 * complete.clean.correct.float().mean():.2f}"
    assert found["Dataset"] == "CIFAR-10" and found["eps"] == "N/A"
    assert "CIFAR-10-C, 15 corruptions x 5 severities, 240 images" in found["Evaluation method"]
    assert "seed 5, not the official files" in found["Evaluation method"]
    # Nothing is claimed that was not measured.
    assert found["Paper URL"] == found["Additional data"] == found["Checkpoint and code"] == ""


def test_a_claim_has_the_fields_of_openoods_form(report):
    assert fields_of(report.claim("openood"), "`") | {"Additional Description": ""} == {
        "Training": "plain", "Postprocessor": "", "Near-OOD AUROC": "", "Far-OOD AUROC": "",
        "ID Accuracy": f"{100 * report.clean.accuracy:.2f}", "Outlier Data": "",
        "Model Arch.": "colours", "Additional Description": "",
    }  # fmt: skip


def test_no_claim_of_a_part(report):
    with pytest.raises(ValueError, match="this report has 4 corruptions x severity 1, 3, 240 im"):
        report.claim()
    with pytest.raises(ValueError, match="did you mean 'openood'"):
        report.claim("openod")
