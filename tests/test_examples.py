"""The examples in other frameworks train, at toy size."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

import nmlib as nm

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def module_of(path):
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def loaded(split, count):
    data = nm.load("fashion-mini", split).first(count)
    return data, TensorDataset(data.images.permute(0, 3, 1, 2) / 255, data.labels)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_trains(path, monkeypatch, tmp_path):
    """Weights move by the objective's gradients, the loss is finite, and a measure comes out."""
    losses, forward = [], nm.NoisyMixLoss.forward
    weights = {}

    def watched(self, *args, **options):
        if not losses:
            weights.update({k: v.detach().clone() for k, v in self.model.named_parameters()})
        parts = forward(self, *args, **options)
        losses.append(float(parts.total.detach()))
        assert parts.logits.shape[0] == 3 and parts.jsd > 0
        watched.model = self.model
        return parts

    monkeypatch.setattr(nm.NoisyMixLoss, "forward", watched)
    monkeypatch.chdir(tmp_path)
    example = module_of(path)
    (_, train), (images, test) = loaded("train", 16), loaded("test", 8)
    settings = {"epochs": 2, "batch_size": 8}
    if path.stem == "hugging_face_trainer":
        rows = [{"pixel_values": x, "labels": y} for x, y in train]
        trainer, found = example.main(rows, rows, tmp_path, **settings)
        assert math.isfinite(found["eval_loss"])
    elif path.stem == "lightning_module":
        trainer, _ = example.main(train, test, **settings)
        assert 0 <= trainer.callback_metrics["rms_calibration_error"] <= 1
    elif path.stem == "torch_uncertainty_routine":
        assert 0 <= example.main(train, test, **settings)["test/cls/Acc"] <= 1
    else:
        report = example.main(train, images, **settings)
        assert report.corruptions == ("fog", "gaussian_noise")
    assert len(losses) == 4 and all(map(math.isfinite, losses))
    now = dict(watched.model.named_parameters())
    moved = [not torch.equal(now[k].cpu(), v.cpu()) for k, v in weights.items()]
    assert sum(moved) > 0.9 * len(moved)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_fits_a_screen(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
