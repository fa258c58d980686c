"""The room of notebook 09: Table 5 beside records, a small transfer, and the boxes."""

import json

import pytest
import torch
from torch import nn

import nmlib as nm
from nmlib.lab.imagenet.squeezenet import squeezenet, squeezenet_features
from nmlib.lab.transfer.displays import (
    BoxesDisplay,
    TransferBarsDisplay,
    TransferDisplay,
    measured_transfers,
)
from nmlib.lab.transfer.live import SHOWN, carried


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini").first(60), nm.load("fashion-mini", "test").first(20)


@pytest.fixture(scope="module")
def found(data):
    return carried(nn.Flatten(), *data, 16, epochs=2)


def test_table_5_is_drawn_as_printed():
    display = TransferDisplay.from_records([]).plot()
    printed = nm.paper.table(5).set_index(["method", "dataset", "corruption"])["value"]
    for row, target in zip(display.ax_, ("CIFAR-10", "CIFAR-100"), strict=True):
        keys = (
            (target, "none"),
            (f"{target}-C", "mean without noise"),
            (f"{target}-C", "mean of noise"),
        )
        for one, (dataset, corruption) in zip(row, keys, strict=True):
            wanted = [printed[m, dataset, corruption] for m in display.paper.index]
            assert one.lines[0].get_xdata().tolist() == wanted
    assert len(display.paper) == 6 and "ours" not in display.small_print


def test_a_record_stands_beside_it(found):
    record = json.loads(json.dumps(found.record())) | {"model": "squeezenet1_0"}
    display = TransferDisplay.from_records([record])
    triple = found.triple
    wanted = [triple[k] for k in ("clean", "mean without noise", "mean of noise")]
    assert display.ours.loc["SqueezeNet 1.0"].tolist() == pytest.approx([100 * v for v in wanted])
    assert "Ours, SqueezeNet 1.0: clean" in display.summary
    assert "fashion-mini, budget transfer-2 (60 images), 20 test images" in display.small_print
    assert record["provenance"]["commit"] in display.small_print


def test_measured_records_are_whole():
    for record in measured_transfers():
        assert set(record["accuracy"]) == set(nm.CORRUPTIONS)
        assert all(len(levels) == 5 for levels in record["accuracy"].values())
        assert len(record["weights_sha256"]) == 64 and "+" not in record["provenance"]["commit"]
        # What notebook 09 says of them.
        assert record["table5"]["mean of noise"] < record["table5"]["mean without noise"]


def test_bars_are_the_accuracies_and_their_errors(found):
    display = TransferBarsDisplay.from_results({"pixels": found}).plot()
    shares = [found.report.clean.accuracy, *(found.report.by_corruption[name] for name in SHOWN)]
    bars = display.ax_.containers[1]
    assert [bar.get_height() for bar in bars] == pytest.approx([100 * s for s in shares])
    wanted = [100 * (s * (1 - s) / 20) ** 0.5 for s in shares]
    assert display.errors.loc["pixels"].tolist() == pytest.approx(wanted)


def test_boxes_are_those_of_the_view(data):
    display = BoxesDisplay.from_data(data[0], 3, count=3)
    assert display.inner == 28 and display.views.shape == (3, 224, 224, 3)
    frames = display.plot().ax_[0].patches
    assert [frame.get_width() for frame in frames] == [28, *display.boxes[3]]
    # Enlarging adds no brightness.
    assert display.seen.max() <= display.image_pixels.max() + 1e-6


def test_squeezenets_features_are_what_its_scores_read():
    x = torch.rand(2, 3, 64, 64, generator=nm.Rng(0).torch())
    with torch.no_grad():
        maps = squeezenet().features(255 * x - squeezenet().mean)
        torch.testing.assert_close(squeezenet_features()(x), maps.mean((2, 3)) / 25)
    sizes = [squeezenet_features(trained=t)(x).square().mean().sqrt() for t in (True, False)]
    assert 0.3 < float(sizes[0] / sizes[1].detach()) < 3
