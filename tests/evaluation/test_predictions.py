"""`predict` and `evaluate`: plain loops, modes, layouts, bad models and images."""

import copy
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import nmlib as nm
from nmlib.evaluation import Predictions, evaluate, model_fingerprint, predict, predictions
from nmlib.evaluation.predictions import forward


class Probe(nn.Module):
    """A small random net with everything that a mode changes."""

    def __init__(self, classes=10, seed=0):
        super().__init__()
        self.pool = nn.AvgPool2d(8)
        self.norm = nn.BatchNorm1d(48)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.utils.skip_init(nn.Linear, 48, classes)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.linear.weight.normal_(0, 1.5, generator=draw)
            self.linear.bias.zero_()
            self.norm.running_mean.fill_(0.4)
            self.norm.running_var.fill_(0.05)

    def forward(self, x):
        return self.linear(self.drop(self.norm(self.pool(x).flatten(1))))


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini", "test").first(70)


def by_hand(model, images):
    """One image at a time, from bytes to softmax."""
    model = copy.deepcopy(model).eval()
    rows = []
    with torch.no_grad():
        for image in images:
            x = torch.tensor(image.numpy().transpose(2, 0, 1) / 255, dtype=torch.float32)
            e = np.exp(model(x[None])[0].double().numpy())
            rows.append(e / e.sum())
    return np.stack(rows)


@pytest.mark.parametrize("batch_size", [1, 32, 70, 1000])
def test_equals_one_image_at_a_time(data, batch_size):
    model = Probe()
    found = predict(model, data.images, batch_size=batch_size)
    assert found.shape == (70, 10) and found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), by_hand(model, data.images), rtol=2e-5, atol=1e-7)


def test_layouts_and_types_agree(data):
    model = Probe()
    expected = predict(model, data)
    first = data.images.permute(0, 3, 1, 2)
    for images in (
        data.images, data.images.numpy(), first, first.contiguous(), first.float() / 255,
        (first.double() / 255).numpy(),
    ):  # fmt: skip
        # Relative error of a probability = error of a logit: 48 products of about 1, rounded to
        # 6e-8 of a sum that reaches 20 on the way.
        torch.testing.assert_close(predict(model, images), expected, rtol=48 * 6e-8 * 20, atol=1e-7)


def test_the_model_is_left_as_it_was(data):
    model = Probe().train()
    model.drop.eval()
    before = copy.deepcopy(model.state_dict())
    images = data.images.clone()
    predict(model, data)
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(images, data.images)
    with pytest.raises(RuntimeError), forward(model):
        assert not model.norm.training
        raise RuntimeError
    assert model.norm.training and not model.drop.training


def test_another_device_gets_a_copy(data, monkeypatch):
    monkeypatch.setattr(predictions, "usable_device", torch.device)  # "meta" stands for a GPU
    model = Probe()
    with forward(model, device="cpu") as (_, where):
        assert where == torch.device("cpu")
    with forward(model, device="meta") as (_, where):
        assert where.type == "meta"
    assert {p.device.type for p in model.parameters()} == {"cpu"}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_narrow_precision_is_close_and_returns_float32(data, precision):
    model = Probe()
    narrow, full = predict(model, data, precision=precision), predict(model, data)
    assert narrow.dtype == torch.float32
    assert 0 < float((narrow - full).abs().max()) < 0.1


def test_evaluate(data, tmp_path):
    model = Probe()
    found = evaluate(model, data)
    expected = by_hand(model, data.images)
    second, first = np.sort(expected)[:, -2:].T
    assert (first - second).min() > 1e-3  # far from a tie, which rounding could decide
    right = expected.argmax(1) == data.labels.numpy()
    assert found.accuracy == pytest.approx(right.mean())
    assert found.correct.tolist() == right.tolist()
    assert (found.data, found.fingerprint, len(found)) == ("fashion-mini", data.fingerprint, 70)
    torch.testing.assert_close(found.confidence, found.probabilities.max(1).values)
    measures = found.measures()
    assert measures["rms_calibration_error"] == nm.metrics.rms_calibration_error(found)
    assert measures["rms_calibration_error_reference"] is None  # fewer than 200 images
    assert measures["aurra"] == nm.metrics.aurra(found.probabilities, found.labels)
    again = Predictions.read(found.save(tmp_path / "p.npz"))
    assert torch.equal(again.probabilities, found.probabilities) and again.data == found.data
    pair = evaluate(model, (data.images.numpy(), data.labels.numpy()))
    assert torch.equal(pair.probabilities, found.probabilities)
    assert pair.fingerprint == data.fingerprint


def test_stored_predictions_that_are_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        Predictions.read(tmp_path / "none.npz")
    path = tmp_path / "p.npz"
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match=r"p\.npz holds no predictions"):
        Predictions.read(path)
    whole = {
        "probabilities": np.full((3, 2), 0.5, np.float32), "labels": np.zeros(3, np.int64),
        "data": "x", "fingerprint": "y",
    }  # fmt: skip
    np.savez(path, **whole)
    assert len(Predictions.read(path)) == 3
    for change in (
        {"probabilities": np.full((3, 2), np.nan, np.float32)},
        {"probabilities": np.full((3, 2), 2, np.float32)},
        {"probabilities": np.float32(1)},
        {"labels": np.zeros(4, np.int64)},
    ):
        np.savez(path, **whole | change)
        with pytest.raises(ValueError, match=r"p\.npz holds no predictions"):
            Predictions.read(path)


def test_fingerprint_sees_weights_and_buffers():
    model = Probe()
    same = model_fingerprint(Probe())
    assert model_fingerprint(model) == same and len(same) == 16
    model.norm.running_var[3] += 1e-3
    assert model_fingerprint(model) != same
    assert model_fingerprint(Probe(seed=1)) != same


def test_bad_models(data):
    with pytest.raises(TypeError, match="torch module, got function"):
        predict(lambda x: x, data)
    with pytest.raises(ValueError, match=r"logits \(70, classes\), got \(70, 3, 32, 32\)"):
        predict(nn.Identity(), data)
    broken = Probe()
    with torch.no_grad():
        broken.linear.bias[2] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinite for 70 of 70 images"):
        predict(broken, data)
    with pytest.raises(ValueError, match=r"label \d out of range|label \d is out of range for 2"):
        evaluate(Probe(classes=2), data)


def test_out_of_memory_names_the_setting(data):
    class Greedy(nn.Module):
        def forward(self, x):
            raise torch.OutOfMemoryError("tried to allocate everything")

    with pytest.raises(torch.OutOfMemoryError, match="lower batch_size=64"):
        predict(Greedy(), data, batch_size=64)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_while_images_are_corrupted(data, kind, tmp_path):
    def greedy(images, severity, first_index):
        raise kind("CUDA out of memory. Tried to allocate 9 GiB.\nmore")

    with pytest.raises(torch.OutOfMemoryError, match=r"lower batch_size=64.* or another device"):
        nm.evaluate_corruptions(Probe(), data, corruptions={"greedy": greedy}, batch_size=64)


def test_bad_images_and_settings(data):
    model = Probe()
    x = data.images.permute(0, 3, 1, 2)
    with pytest.raises(ValueError, match=r"\[0, 1\], got 0 \.\.\. 255; divide"):
        predict(model, x.float())
    with pytest.raises(ValueError, match=r"\[0, 1\], got -1"):
        predict(model, x.float() / 127.5 - 1)
    with pytest.raises(ValueError, match="lie in"):
        predict(model, torch.full((1, 3, 32, 32), float("nan")))
    with pytest.raises(TypeError, match="int64"):
        predict(model, x.long())
    with pytest.raises(ValueError, match="four axes"):
        predict(model, x[0])
    with pytest.raises(ValueError, match="four axes"):
        predict(model, x[:0])
    with pytest.raises(ValueError, match="uint8 images must have shape"):
        predict(model, x[:, :2])
    with pytest.raises(TypeError, match="tensor or an array, got list"):
        predict(model, [1])
    for size in (0, -3, 2.5, True):
        with pytest.raises(ValueError, match="batch_size"):
            predict(model, data, batch_size=size)
    with pytest.raises(ValueError, match="did you mean 'bf16'"):
        predict(model, data, precision="bfloat16")
    with pytest.raises(TypeError, match="pair"):
        evaluate(model, data.images)
    with pytest.raises(ValueError, match="70 images, but labels"):
        evaluate(model, (data.images, data.labels[:3]))
    with pytest.raises(TypeError, match="must be uint8"):
        evaluate(model, (x.float(), data.labels))


class Two(nn.Module):
    """The same weights with one part that has none."""

    def __init__(self, part):
        super().__init__()
        self.body = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), part)

    def forward(self, x):
        return self.body(x)


def test_fingerprint_sees_parts_without_weights_and_buffers_that_are_not_saved():
    assert model_fingerprint(Two(nn.Tanh())) == model_fingerprint(Two(nn.Tanh()))
    assert model_fingerprint(Two(nn.Tanh())) != model_fingerprint(Two(nn.ReLU()))
    one, other = (nm.build_model("preact_resnet_small", mean=m) for m in (0.5, 0.1))
    assert model_fingerprint(one) != model_fingerprint(other)
    for model in (one, other):
        for part in model.modules():
            part.extra_repr = lambda: ""
    assert model_fingerprint(one) != model_fingerprint(other)


def test_a_model_that_ends_in_a_softmax_is_warned_of_once(data):
    model = Two(nn.Softmax(1))
    with pytest.warns(UserWarning, match="probabilities.*leave its own out") as found:
        predict(model, data, batch_size=10)
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict(Two(nn.LogSoftmax(1)), data)


def test_frozen_and_exported_models_are_evaluated(data):
    model = Probe().eval()
    x = data.images[:4].permute(0, 3, 1, 2) / 255
    truth = predict(model, data.images[:4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        frozen = torch.jit.freeze(torch.jit.trace(model, x))
    exported = torch.export.export(model, (x,)).module()
    for other in (frozen, exported):
        torch.testing.assert_close(predict(other, data.images[:4]), truth)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_models_with_weights_of_another_type(data, dtype):
    model = Probe()
    truth = predict(model, data)
    found = predict(copy.deepcopy(model).to(dtype), data)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, truth, atol=0.05 if dtype == torch.bfloat16 else 1e-4, rtol=0)


@pytest.mark.parametrize("wrap", [nn.DataParallel, partial(torch.compile, backend="eager")])
def test_a_wrapper_does_not_make_another_model_of_it(wrap, tmp_path):
    model, data = Probe(), nm.load("fashion-mini", "test").first(20)
    assert model_fingerprint(wrap(model)) == model_fingerprint(model)
    options = dict(corruptions=["fog"], severities=[1], out=tmp_path)
    plain = nm.evaluate_corruptions(model, data, **options)
    again = nm.evaluate_corruptions(wrap(model), data, **options)  # the same folder
    assert [dict(r) for r in again.rows] == [dict(r) for r in plain.rows]
