"""`read_state_dict`: every layout of public checkpoints, and files that are none."""

import argparse
import hashlib
import io
import tarfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from nmlib.models import read_state_dict, resnet50
from nmlib.models.weights import find_weights, load_into


class Net(nn.Module):
    """A little network with the names of a residual one."""

    def __init__(self, width=4, seed=0):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.conv1 = nn.utils.skip_init(nn.Conv2d, 3, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(nn.utils.skip_init(nn.Linear, width, width))
        self.fc = nn.utils.skip_init(nn.Linear, width, 5)
        for p in self.parameters():
            nn.init.normal_(p, generator=draw)
        self.bn1.num_batches_tracked += 7


def under(prefix, state):
    return OrderedDict((prefix + k, v) for k, v in state.items())


W = Net().state_dict()
OPTIMISER = torch.optim.SGD(Net().parameters(), 0.1, momentum=0.9).state_dict()
# What is stored -> place, prefix, what is left.
LAYOUTS = {
    "flat": (dict(W), "", "", ()),
    "flat, data parallel": (under("module.", W), "", "module.", ()),
    "PyTorch's example": (
        {"epoch": 3, "arch": "net", "state_dict": under("module.", W), "best_prec1": torch.ones(()),
         "optimizer": OPTIMISER},
        "state_dict", "module.", ("epoch", "arch", "best_prec1", "optimizer"),
    ),
    "AugMix: model is a text": (
        {"epoch": 3, "model": "resnet50", "state_dict": under("module.", W), "best_acc1": 77.5},
        "state_dict", "module.", ("epoch", "model", "best_acc1"),
    ),
    "NumPy scalar": (
        {"state_dict": under("module.", W), "best_err1": np.float64(22.5), "n": np.int64(3)},
        "state_dict", "module.", ("best_err1", "n"),
    ),
    "arguments": (
        {"state_dict": dict(W), "args": argparse.Namespace(lr=0.1, name="a")},
        "state_dict", "", ("args",),
    ),
    "MadryLab": (
        {"model": under("module.model.", W) | under("module.attacker.model.", W)
         | {"module.normalizer.new_mean": torch.zeros(3, 1, 1),
            "module.attacker.normalize.new_std": torch.ones(3, 1, 1)},
         "optimizer": OPTIMISER, "schedule": {"last_epoch": 89}, "epoch": 90},
        "model", "module.model.",
        ("optimizer", "schedule", "epoch",
         f"module.attacker.model. ({len(W)} entries)", "module.normalizer.new_mean",
         "module.attacker.normalize.new_std"),
    ),
    "attacker's copy alone": (
        under("module.attacker.model.", W), "", "module.attacker.model.", (),
    ),
    "RobustBench": (
        under("model.", W) | {"normalize.mean": torch.zeros(3), "normalize.std": torch.ones(3)},
        "", "model.", ("normalize.mean", "normalize.std"),
    ),
    "both prefixes": ({"state_dict": under("module.model.", W)}, "state_dict", "module.model.", ()),
    "nested": ({"model": {"state_dict": under("net.", W)}}, "model.state_dict", "net.", ()),
    "compiled": (under("_orig_mod.", W), "", "", ()),
    "a name of its own": ({"generator": dict(W), "step": 3}, "generator", "", ("step",)),
}  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name, legacy, tmp_path):
    stored, place, prefix, left = LAYOUTS[name]
    path = tmp_path / "net.pth.tar"
    torch.save(stored, path, _use_new_zipfile_serialization=not legacy)
    found = read_state_dict(path, Net(seed=1))
    assert found.weights.keys() == W.keys()
    assert all(torch.equal(found.weights[k], v) for k, v in W.items())
    assert (found.place, found.prefix, set(found.left)) == (place, prefix, set(left))
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert all(word in found.summary for word in (prefix, place, *left))


def test_files_without_counters_of_batches(tmp_path):
    """PyTorch before 0.4.1 had none."""
    old = {k: v for k, v in W.items() if "num_batches" not in k}
    torch.save({"state_dict": under("module.", old)}, tmp_path / "old.pth")
    model = Net(seed=1)
    model.load_state_dict(read_state_dict(tmp_path / "old.pth", model).weights)
    assert int(model.bn1.num_batches_tracked) == 0
    assert torch.equal(model.fc.weight, W["fc.weight"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "fc.bias"}, "it lacks fc.bias"),
        (lambda w: w | {"fc2.bias": torch.zeros(3)}, "it has unknown fc2.bias"),
        (lambda w: w | {"fc.bias": torch.zeros(7)}, r"it has fc.bias \(7,\) instead of \(5,\)"),
        (
            lambda w: {f"layers.{k}": v for k, v in w.items()},
            "it lacks conv1.weight, conv1.bias, bn1",
        ),
        (lambda w: w | {"fc.bias": torch.zeros(5).to_sparse()}, "no plain tensor of real numbers"),
        (lambda w: {"epoch": 3}, "holds no weights"),
    ],
)
def test_other_networks(change, told, tmp_path):
    torch.save({"state_dict": change(dict(W))}, tmp_path / "net.pt")
    model = Net(seed=1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=told):
        load_into(model, torch.load(tmp_path / "net.pt"), tmp_path / "net.pt")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_files_that_are_no_checkpoints(tmp_path):
    path = tmp_path / "net.pth"
    whole = io.BytesIO()
    torch.save(W, whole)
    old = io.BytesIO()
    torch.save(W, old, _use_new_zipfile_serialization=False)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("net.pth"))
    for raw, told in (
        (b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning", "is a web page"),
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "pointer of Git LFS"),
        (archive.getvalue(), "is a tar archive"),
        (whole.getvalue()[:-200], r"cannot be read \(\w+\): [\d,]+ bytes, truncated"),
        (old.getvalue()[:-20], r"cannot be read \(\w+\): [\d,]+ bytes, truncated"),
    ):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=told):
            read_state_dict(path, Net())
    for kept in (Net(), {"state_dict": W, "model": nn.Linear(2, 2)}):
        torch.save(kept, path)
        with pytest.raises(ValueError, match=r"holds more than weights .*run code.*state_dict"):
            read_state_dict(path, Net())
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "none", Net())
    with pytest.raises(ValueError, match="is a folder"):
        read_state_dict(tmp_path, Net())


def test_code_in_a_file_is_not_run(tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": W, "x": Bad()}, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match="run code"):
        read_state_dict(tmp_path / "bad.pt", Net())
    assert not (tmp_path / "ran").exists()


def test_resnet50():
    """Names, places of the stride, and the mix points of the released script."""
    net = resnet50(seed=1).eval()
    state = net.state_dict()
    assert len(state) == 320 and sum("num_batches" in k for k in state) == 53
    assert sum(p.numel() for p in net.parameters()) == 25_557_032
    assert {k.split(".")[0] for k in state} == {
        "conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"
    }  # fmt: skip
    inner = net.model
    assert inner.layer2[0].conv2.stride == (2, 2) and inner.layer2[0].conv1.stride == (1, 1)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = []

    def keep(h):
        seen.append(tuple(h.shape[1:]))
        return h

    with torch.no_grad():
        assert all(torch.equal(net(x, point=k, change=keep), net(x)) for k in range(4))
    assert seen == [(3, 64, 64), (256, 16, 16), (512, 8, 8), (1024, 4, 4)]
    black = net.normalise(torch.zeros(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(black, -torch.tensor([0.485 / 0.229, 0.456 / 0.224, 0.406 / 0.225]))
    # He's law: the variance of each convolution is 2 / (channels out x area).
    for conv in (inner.conv1, inner.layer3[2].conv2):
        out, _, k, _ = conv.weight.shape
        assert conv.weight.var().item() == pytest.approx(2 / (out * k * k), rel=0.05)
    found = find_weights({"state_dict": under("module.", state)}, resnet50(), "here")
    assert len(found.weights) == 320
    assert all(torch.equal(v, state[k]) for k, v in resnet50(seed=1).state_dict().items())
