"""Robust fine-tuning: reports before and after, resumption, and the command."""

import json

import pytest
import torch

import nmlib as nm
from nmlib.cli import main
from nmlib.evaluation import evaluate_corruptions
from nmlib.finetuning import robust_finetune
from nmlib.lab.cifar.cell import check_result
from nmlib.models import cifar_resnet
from nmlib.training import TrainingInterrupted

SHORT = nm.Recipe(epochs=2, batch_size=20, learning_rate=0.02)
FEW = {"corruptions": ["fog", "contrast"], "severities": [3, 5]}


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini").first(40), nm.load("fashion-mini", "test").first(30)


def tuned(data, **options):
    model = cifar_resnet(seed=3, depth=8)
    return model, robust_finetune(
        model, *data, recipe=SHORT, evaluation=FEW, device="cpu", progress=False, **options
    )


def test_reports_are_those_of_the_network_before_and_after(data):
    model, found = tuned(data, flips=2)
    fresh = evaluate_corruptions(cifar_resnet(seed=3, depth=8), data[1], **FEW)
    now = evaluate_corruptions(model, data[1], **FEW)
    for report, same in ((found.before, fresh), (found.after, now)):
        assert [row["accuracy"] for row in report.rows] == [row["accuracy"] for row in same.rows]
    assert found.run.model is model
    assert found.run.scheme.points == (0, 1, 2)  # the network has no point 3
    for row in found.rows:
        assert row["change"] == row["after"] - row["before"]
    assert {row["measure"] for row in found.rows} >= {"clean accuracy", "flip probability"}


def test_its_record_has_the_columns_of_a_trained_cell(data):
    record = json.loads(json.dumps(tuned(data, flips=2, key={"model": "resnet8"})[1].record()))
    check_result(record)
    assert (record["model"], record["scheme"], record["budget"]) == (
        "resnet8", "augmix_noise", "finetune-2",
    )  # fmt: skip
    assert record["before"]["clean_accuracy"] * 30 == sum(record["before"]["clean_hits"])
    assert record["sequence_images"] == 2


def test_it_goes_on_where_it_was_stopped(data, tmp_path):
    calls = iter(range(100))
    with pytest.raises(TrainingInterrupted):
        tuned(data, out=tmp_path / "a", stop=lambda: next(calls) >= 1)
    again, resumed = tuned(data, out=tmp_path / "a")
    straight, whole = tuned(data)
    for name, weight in straight.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
    assert resumed.after.rows == whole.after.rows


def test_the_command_tunes_weights_of_a_file(tmp_path, capsys):
    weights = {f"module.{k}": v for k, v in cifar_resnet(depth=20).state_dict().items()}
    torch.save({"state_dict": weights, "best_prec1": 91.6}, tmp_path / "net.th")
    command = (
        f"finetune --checkpoint {tmp_path / 'net.th'} --model resnet20 --dataset fashion-mini "
        f"--epochs 1 --batch-size 2000 --scheme noisymix --alpha 0.2 --limit 20 --quiet "
        f"--device cpu --out {tmp_path / 'out'}"
    )
    assert main(command.split()) == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["scheme"] == "noisymix, alpha 0.2"
    assert len(record["weights_sha256"]) == 64
    assert "robust accuracy" in capsys.readouterr().out
    assert main(command.replace("noisymix", "augmix").split()) == 2
    assert "does not mix" in capsys.readouterr().err
