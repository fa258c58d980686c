"""`nmlib evaluate`: runs, single checkpoints, plain state dicts, what does not fit."""

import pickle
import warnings

import numpy as np
import pytest
import torch

import nmlib as nm
from nmlib.cli import main
from nmlib.evaluation import CorruptionReport, PerturbationReport

DATA = ["--dataset", "fashion-mini"]
FEW = ["--limit", "12", "--corruptions", "fog", "contrast", "--severities", "2", "--quiet"]
SMALL = "preact_resnet_small"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("run")
    settings = ["--budget", "smoke", "--epochs", "1", "--subset", "64", "--batch-size", "32"]
    command = ["train", *DATA, "--scheme", "mixup", "--seed", "3", "--quiet", *settings]
    assert main([*command, "--model", SMALL, "--out", str(folder)]) == 0
    return folder


def evaluate(checkpoint, out, *more):
    return main(["evaluate", "--checkpoint", str(checkpoint), "--out", str(out), *DATA, *more])


def test_a_run(run, tmp_path, capsys):
    more = ["--perturbations", "tilt", "--seed", "7", "--claim", "openood"]
    assert evaluate(run, tmp_path, *FEW, *more) == 0
    data = nm.load("fashion-mini", "test").first(12)
    expected = nm.evaluate_corruptions(
        nm.load_model(run), data, corruptions=["fog", "contrast"], severities=[2], seed=7
    )
    stored = CorruptionReport.read(tmp_path)
    keys = {"dataset": "fashion-mini", "model": SMALL, "scheme": "mixup", "seed": 3}
    assert stored.key == keys and stored.provenance["corruption_seed"] == 7
    assert [r["accuracy"] for r in stored.rows] == [r["accuracy"] for r in expected.rows]
    assert (tmp_path / "claim-openood.md").read_text() == stored.claim("openood") + "\n"
    flips = PerturbationReport.read(tmp_path)
    assert list(flips.flip_probabilities) == ["tilt"] and flips.key == keys
    printed = capsys.readouterr().out
    assert stored.table() in printed and flips.table() in printed and "corrupted:" in printed


def test_the_data_set_of_a_run_is_the_default(run, tmp_path, capsys):
    words = ["evaluate", "--checkpoint", str(run), "--out", str(tmp_path / "a"), *FEW]
    assert main(words) == 0
    assert CorruptionReport.read(tmp_path / "a").key["dataset"] == "fashion-mini"
    torch.save(nm.load_weights(run), tmp_path / "plain.pt")
    words[2] = str(tmp_path / "plain.pt")
    assert main([*words, "--model", SMALL]) == 2
    assert "does not say what it was trained on; give --dataset" in capsys.readouterr().err


def test_a_checkpoint_and_a_state_dict(run, tmp_path):
    (checkpoint,) = run.glob("checkpoint-*.pt")
    assert evaluate(checkpoint, tmp_path / "a", *FEW) == 0
    weights = {f"module.{k}": v for k, v in nm.load_weights(run).items()}
    torch.save({"state_dict": weights}, tmp_path / "plain.pt")
    named = ["--model", SMALL, "--scheme", "mine"]
    assert evaluate(tmp_path / "plain.pt", tmp_path / "b", *FEW, *named) == 0
    one, other = (CorruptionReport.read(tmp_path / k) for k in "ab")
    assert torch.equal(one.clean.probabilities, other.clean.probabilities)
    assert (one.key["scheme"], other.key["scheme"]) == ("mixup", "mine")
    assert other.key["seed"] is None


def test_a_run_is_not_said_to_be_of_another_scheme(run, tmp_path, capsys):
    assert evaluate(run, tmp_path / "a", *FEW, "--scheme", "noisymix") != 0
    said = capsys.readouterr().err
    assert "was trained with scheme 'mixup', not 'noisymix'; leave out --scheme" in said
    assert not (tmp_path / "a").exists()
    assert evaluate(run, tmp_path / "b", *FEW, "--scheme", "mixup") == 0


def test_files_of_ones_own(run, tmp_path):
    made = ["corrupt", *DATA, "--limit", "12", "--corruptions", "fog", "contrast", "--quiet"]
    assert main([*made, "--out", str(tmp_path / "c")]) == 0
    assert evaluate(run, tmp_path / "a", *FEW) == 0
    files = ["--files", str(tmp_path / "c")]
    assert evaluate(run, tmp_path / "b", *FEW, *files, "--unverified") == 0
    one, other = (CorruptionReport.read(tmp_path / k) for k in "ab")
    assert one.rows == other.rows
    assert evaluate(run, tmp_path / "d", *FEW, *files) == 2


def test_bad_requests(run, tmp_path, capsys):
    plain, out = tmp_path / "plain.pt", tmp_path / "out"
    torch.save(nm.load_weights(run), plain)
    broken, stranger = tmp_path / "broken.pt", tmp_path / "stranger.pt"
    broken.write_bytes(b"not a checkpoint")
    torch.save({"weight": torch.zeros(3)}, stranger)
    for checkpoint, more, told in (
        (tmp_path / "none.pt", ["--model", SMALL], "no checkpoint is here"),
        (tmp_path, ["--model", SMALL], "no checkpoint is here"),
        (plain, [], "give --model"),
        (plain, ["--model", "preact_resnet_smal"], "did you mean 'preact_resnet_small'"),
        (
            plain,
            ["--model", "wrn28_2"],
            "taken for a wrn28_2, holds the weights of another network",
        ),
        (run, ["--model", "wrn28_2"], f"holds a {SMALL}, but --model is wrn28_2"),
        (broken, ["--model", SMALL], "cannot be read (UnpicklingError)"),
        (stranger, ["--model", SMALL], "has unknown weight"),
        (run, ["--perturbations", "tillt"], "did you mean 'tilt'"),
        (run, ["--severities", "6"], "from 1 to 5, got 6"),
        (run, ["--limit", "0"], "--limit: must be an integer >= 1, got 0"),
        (run, ["--corruptions", "fogg"], "did you mean 'fog'"),
        (run, ["--precision", "bfloat16"], "did you mean 'bf16'"),
        (run, ["--batch-size", "0"], "--batch-size: must be an integer >= 1, got 0"),
    ):
        assert evaluate(checkpoint, out, *FEW, *more) == 2, told
        assert told in capsys.readouterr().err
    assert not (out / "corruptions.json").exists()
    assert (
        main(["evaluate", "--checkpoint", str(run), "--out", str(out), "--dataset", "cifar"]) == 2
    )
    assert "did you mean 'cifar1" in capsys.readouterr().err


def test_weights_in_wrappers_and_under_other_names(run, tmp_path):
    """Whatever a data-parallel wrapper, a compiler or a trainer puts around the same weights."""
    weights = nm.load_weights(run)
    parts = {f"{k.split('.', 1)[0]}._orig_mod.{k.split('.', 1)[1]}": v for k, v in weights.items()}
    files = {
        "compiled": {f"_orig_mod.{k}": v for k, v in weights.items()},
        "compiled and parallel": {f"module._orig_mod.{k}": v for k, v in weights.items()},
        "compiled parts": parts,
        "trainer": {"state_dict": {f"model.{k}": v for k, v in weights.items()}, "epoch": 3},
        "loop": {"model_state_dict": weights, "optimizer_state_dict": {"state": {}}},
        "nested": {"model": {"state_dict": {f"net.{k}": v for k, v in weights.items()}}},
        "averaged": {f"module.{k}": v for k, v in weights.items()}
        | {"n_averaged": torch.tensor(2)},
        "moved checkpoint": torch.load(next(run.glob("checkpoint-*.pt")), weights_only=True),
    }
    few = ["--limit", "3", "--corruptions", "fog", "--severities", "1", "--quiet"]
    expected = None
    for name, stored in files.items():
        torch.save(stored, tmp_path / f"{name}.pt")
        out = tmp_path / name
        assert evaluate(tmp_path / f"{name}.pt", out, "--model", SMALL, *few) == 0, name
        found = CorruptionReport.read(out).clean.probabilities.tolist()
        expected = expected or found
        assert found == expected, name


def test_files_without_weights(run, tmp_path, capsys):
    weights = nm.load_weights(run)
    content = torch.load(next(run.glob("checkpoint-*.pt")), weights_only=True)["content"]
    first, *_, last = weights
    files = {
        "none": ({"state_dict": None}, "holds no weights"),
        "list": ([1, 2], "holds no weights"),
        "number": (3, "holds no weights"),
        "empty": ({}, "holds no weights"),
        "mixed": ({"a": torch.zeros(1), "b": None}, "holds no weights"),
        "module": (torch.nn.Linear(2, 2), "holds more than weights"),
        "shape": (weights | {first: torch.zeros(1)}, f"has {first} (1,) instead of"),
        "lacks": ({k: v for k, v in weights.items() if k != first}, f"it lacks {first}"),
        "sparse": (weights | {last: weights[last].to_sparse()}, f"holds {last} as no plain"),
        "meta": (weights | {last: weights[last].to("meta")}, f"holds {last} as no plain"),
        "complex": (weights | {last: weights[last] * 1j}, f"holds {last} as no plain"),
        "format": ({"content": content | {"format": 9}, "digest": ""}, "has format 9"),
        "identity": (
            {"content": {k: v for k, v in content.items() if k != "identity"}, "digest": ""},
            "it has no identity",
        ),
        "digest": ({"content": content, "digest": ""}, "checksum does not fit"),
        "text": ({"content": "text", "digest": ""}, "is no checkpoint"),
    }
    for name, (stored, told) in files.items():
        path = tmp_path / f"{name}.pt"
        torch.save(stored, path)
        assert evaluate(path, tmp_path / "out", "--model", SMALL, *FEW) == 2, name
        message = capsys.readouterr().err
        assert told in message and str(path) in message and message.count("\n") == 1, message


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["empty", "page", "script", "pickle", "arrays"])
def test_files_that_torch_save_has_not_written(tmp_path, capsys, kind):
    """One line, and none of the warnings of whoever tried to read it."""
    path = tmp_path / "weights"
    if kind == "script":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nobody writes such files any more
            torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    elif kind == "arrays":
        with path.open("wb") as file:
            np.savez(file, a=np.zeros(2))
    else:
        content = {"empty": b"", "page": b"<!DOCTYPE html>", "pickle": pickle.dumps({"a": [1.5]})}
        path.write_bytes(content[kind])
    assert evaluate(path, tmp_path / "out", "--model", SMALL, *FEW) == 2
    message = capsys.readouterr().err
    assert f"{path} " in message and message.count("\n") == 1, message
    told = {
        "empty": "is empty; fetch it again",
        "page": "is a web page",
    }
    assert told.get(kind, "give a whole file that torch.save") in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"details": {"options": 3}}', "its options is 3"),
        ('{"details": {"num_classes": "x"}}', "its num_classes is 'x'"),
        ("", "it is empty"), ("{", "is damaged"), ("[]", "a JSON list"), ("null", "JSON NoneType"),
        ("{}", "it lacks details"), ('{"details": 3}', "details is no object"),
        ("[" * 100_000, "is damaged"),
        ('{"details": {}, "seed": NaN}', "NaN, which is not a JSON number"),
    ],
)  # fmt: skip
def test_a_damaged_run(run, tmp_path, capsys, text, told):
    (tmp_path / "run.json").write_text(text)
    assert main(["evaluate", "--checkpoint", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert told in message and "run.json" in message and message.count("\n") == 1
