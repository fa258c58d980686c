"""Transfer: boxes and resizes against torchvision, cached features, what moves, Table 5."""

import copy
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.transforms import v2

import nmlib as nm
from nmlib import transfer_learning
from nmlib.cli import main
from nmlib.data.image_folder import Preparation
from nmlib.models import cifar_resnet
from nmlib.models.norm import Normalise
from nmlib.ops import resized_crops
from nmlib.paper import table
from nmlib.training import CheckpointMismatch, TrainingInterrupted
from nmlib.transfer_learning import RECIPES, TransferNetwork, _features_of, prepared, transfer
from nmlib.views import RandomResizedCrop

SMALL = Preparation(40, 36)
SHORT = replace(RECIPES["none"], epochs=2, batch_size=20)
CACHED = replace(RECIPES["features"], epochs=3, batch_size=20, augment=False)
FEW = {"corruptions": ["fog", "shot_noise"], "severities": [3, 5]}


@pytest.fixture(scope="module")
def data():
    return nm.load("fashion-mini").first(50), nm.load("fashion-mini", "test").first(20)


def moved(data, *arguments, model=None, **options):
    model = cifar_resnet(seed=3, depth=8, num_classes=7) if model is None else model
    settings = {"recipe": SHORT, "preparation": SMALL, "evaluation": FEW, "device": "cpu"}
    return transfer(model, *data, *arguments, **settings | {"progress": False} | options)


def pictures(count, height, width):
    rng = np.random.default_rng(height)
    images = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return images, torch.from_numpy(images).permute(0, 3, 1, 2) / 255


def pillow(images, change):
    """Apply a transform of torchvision to Pillow images; (N, 3, H, W) in [0, 1]."""
    found = [np.array(change(Image.fromarray(image))) for image in images]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2) / 255


# -- boxes and resizes ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [224, 32, 11])
def test_boxes_are_resized_as_pillow_resizes_them(size):
    images, x = pictures(1, 32, 40)
    for box in ((0, 0, 32, 40), (3, 5, 20, 31), (31, 7, 1, 9), (8, 0, 24, 24)):
        crop = partial(v2.functional.resized_crop, size=[size, size], antialias=True)
        whole = pillow(images, lambda image, crop=crop, box=box: crop(image, *box))
        places = torch.tensor(box)[:, None]
        found = resized_crops(x, places, size)
        # Pillow rounds to whole grey levels after each axis.
        assert (found - whole).abs().max() < 1.01 / 255
        mirrored = resized_crops(x, places, size, torch.tensor([True]))
        torch.testing.assert_close(mirrored, found.flip(3))


@pytest.mark.parametrize("shape", [(32, 32), (64, 24), (400, 300)])
def test_test_images_are_resized_and_cropped_as_pillow_does_it(shape):
    images, x = pictures(2, *shape)
    wanted = pillow(images, v2.Compose([v2.Resize(256), v2.CenterCrop(224)]))
    assert (prepared(x, Preparation()) - wanted).abs().max() < 1.01 / 255


def test_only_the_inner_28_pixels_of_a_small_image_are_seen():
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, 2:30, 2:30] = 1
    inside = prepared(x, Preparation())[:, :, 4:-4, 4:-4]  # interpolation blends half a pixel
    torch.testing.assert_close(inside, torch.ones_like(inside))


@pytest.mark.parametrize("shape", [(32, 32), (20, 200), (150, 30)])
def test_boxes_follow_torchvisions_law(shape):
    """Two samples of 3,000 boxes each; the fallback of a narrow image is a single box."""
    count = 3000
    mine, mirrored = RandomResizedCrop().draw(count, *shape, nm.Rng(1))
    assert (mine >= 0).all() and (mine[0] + mine[2] <= shape[0]).all()
    assert (mine[1] + mine[3] <= shape[1]).all()
    image, law = torch.zeros(3, *shape), torchvision.transforms.RandomResizedCrop
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        theirs = np.array([law.get_params(image, [0.08, 1], [3 / 4, 4 / 3]) for _ in range(count)])
    for name, a, b in zip(("top", "left", "height", "width"), mine, theirs.T, strict=True):
        values = np.union1d(a, b)
        shares = [np.searchsorted(np.sort(v), values, "right") / count for v in (a, b)]
        distance = abs(shares[0] - shares[1]).max()
        assert distance < 1.95 * np.sqrt(2 / count), name  # Kolmogorov and Smirnov, 0.1 %
    assert abs(mirrored.mean() - 0.5) < 0.03


def test_a_view_is_the_box_of_its_draw():
    x = pictures(6, 32, 32)[1]
    view = RandomResizedCrop(48)
    box, mirrored = view.draw(6, 32, 32, nm.Rng(2))
    wanted = resized_crops(x, torch.from_numpy(box), 48, torch.from_numpy(mirrored))
    assert torch.equal(view.make(x, None, None, nm.Rng(2)), wanted[None])


def test_bad_boxes_are_named():
    with pytest.raises(ValueError, match=r"scale is a share .* got \(0\.5, 2"):
        RandomResizedCrop(scale=(0.5, 2))
    with pytest.raises(ValueError, match=r"ratio must be \(least, greatest\) above 0"):
        RandomResizedCrop(ratio=(2, 1))
    with pytest.raises(ValueError, match=r"images \(B, C, H, W\), got \(3, 8, 8\)"):
        RandomResizedCrop().make(torch.zeros(3, 8, 8), None, None, nm.Rng(0))


# -- training -------------------------------------------------------------------------------------


def test_cached_features_train_the_same_head_as_uncached_ones(data):
    found = moved(data, "features", statistics="frozen", recipe=CACHED)
    assert found.cached and isinstance(found.model.model, TransferNetwork)
    again = moved(data, "features", statistics="frozen", recipe=replace(CACHED, epochs=1))
    network = copy.deepcopy(again.model)
    fresh = nn.utils.skip_init(nn.Linear, 64, 10)
    transfer_learning.draw_weights(nn.ModuleDict({"head": fresh}), 0)
    network.model.head = fresh
    network.model.boxes = False
    nm.fit(network, data[0], nm.Scheme("s"), CACHED, device="cpu", progress=False)
    # The same sums over batches of another size.
    for kind in ("weight", "bias"):
        one, other = (getattr(m.model.head, kind) for m in (found.model, network))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    # What is measured are the images themselves, not their features.
    wanted = nm.evaluate_corruptions(found.model, data[1], **FEW)
    assert [row["accuracy"] for row in found.report.rows] == [r["accuracy"] for r in wanted.rows]


@pytest.mark.parametrize("statistics", ["moving", "frozen"])
@pytest.mark.parametrize("freeze", ["none", "features"])
def test_what_is_frozen_stays(data, freeze, statistics):
    model = cifar_resnet(seed=3, depth=8, num_classes=7)
    before = copy.deepcopy(model.state_dict())
    found = moved(data, freeze, model=model, statistics=statistics)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name  # a copy was trained
    after = found.model.model.features.state_dict()
    weights = [torch.equal(after[k], before[k]) for k in after if k.endswith("weight")]
    running = [torch.equal(after[k], before[k]) for k in after if k.endswith("running_mean")]
    assert all(weights) if freeze == "features" else not any(weights)
    assert all(running) if statistics == "frozen" else not any(running)
    assert found.model.model.head.weight.shape == (10, 64)


def test_the_target_is_normalised_as_the_released_code_does_it(data):
    def scale(found):
        both = found.model.normalise.mean, found.model.normalise.std
        return torch.cat(both).flatten().tolist()

    cifar = [replace(part, name="cifar10") for part in data]
    released = [0.4914, 0.4822, 0.4465, 0.2023, 0.1994, 0.2010]
    assert scale(moved(cifar)) == pytest.approx(released)
    pixels = data[0].images.double() / 255
    own = [float(pixels.mean())] * 3 + [float(pixels.std())] * 3
    assert scale(moved(data)) == pytest.approx(own, rel=1e-3)
    kept = [0.485, 0.456, 0.406, 0.229, 0.224, 0.225]
    assert scale(moved(data, normalise="source")) == pytest.approx(kept)


def test_training_images_that_are_no_boxes_are_an_error(data):
    network = moved(data).model.train()
    with pytest.raises(ValueError, match=r"36 x 36, got \(32, 32\)"):
        network(torch.zeros(2, 3, 32, 32))


HEADS = {
    "timm": (lambda: timm.create_model("resnet18", num_classes=6), 512),
    "torchvision": (lambda: torchvision.models.mobilenet_v3_small(num_classes=6), 1024),
    "nmlib, staged": (lambda: nm.build_model("preact_resnet_small", 6), None),
    "nmlib, resnet50": (lambda: nm.build_model("resnet50", 6), 2048),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_head_is_the_layer_that_returns_the_logits(name):
    make, width = HEADS[name]
    model = make().eval()
    x = torch.rand(2, 3, 32, 32, generator=nm.Rng(0).torch())
    features, found, (mean, std) = _features_of(model, None, 32)
    assert width in (None, found)
    last = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    normalised = x if mean is None else Normalise(mean, std)(x)
    with torch.no_grad():
        torch.testing.assert_close(
            last(features.eval()(normalised)), model(x), rtol=1e-4, atol=1e-4
        )


# -- results --------------------------------------------------------------------------------------


def test_a_triple_weighs_noise_as_table_5_does(data):
    found = moved(data, evaluation={"severities": [3]})
    mean = found.report.by_corruption
    noise = np.mean([mean[k] for k in ("gaussian_noise", "shot_noise", "impulse_noise")])
    rest = np.mean([mean[k] for k in mean if not k.endswith("_noise")])
    triple = found.triple
    assert triple["mean of noise"] == pytest.approx(noise)
    assert triple["mean"] == pytest.approx(noise / 4 + 3 * rest / 4)
    # The mean of the four families is the same number; that of the 15 corruptions is another.
    assert triple["mean"] == pytest.approx(np.mean(list(found.report.families.values())))
    assert triple["mean of 15"] == pytest.approx(noise / 5 + 4 * rest / 5)


def test_the_printed_triples_have_these_weights():
    printed = table(5).query("dataset.str.endswith('-C')")
    wide = printed.pivot_table("value", ["method", "dataset"], "corruption", observed=True)
    off = {
        share: (
            wide["mean"] - share * wide["mean of noise"] - (1 - share) * wide["mean without noise"]
        ).abs()
        for share in (transfer_learning._NOISE_WEIGHT, 3 / 15)
    }
    # All three are rounded to tenths.
    assert {share: int((gap < 0.1).sum()) for share, gap in off.items()} == {1 / 4: 11, 3 / 15: 0}


def test_its_record_says_how_it_was_made(data):
    found = moved(
        data,
        "features",
        statistics="frozen",
        recipe=CACHED,
        key={"model": "resnet8", "sha256": "f"},
    )
    record = json.loads(json.dumps(found.record()))
    assert record["model"] == "resnet8" and record["weights_sha256"] == "f"
    assert (record["freeze"], record["statistics"], record["features_cached"]) == (
        "features", "frozen", True,
    )  # fmt: skip
    assert (record["augment"], record["budget"], record["drop_every"]) == (False, "transfer-3", 50)
    assert record["train_fingerprint"] == data[0].fingerprint
    assert record["table5"]["clean"] * 20 == sum(record["clean_hits"])
    assert not {"table5"} & set(moved(data, evaluation={"corruptions": ["fog"]}).record())


@pytest.mark.parametrize("freeze", ["none", "features"])
def test_it_goes_on_where_it_was_stopped(data, freeze, tmp_path):
    settings = {"recipe": SHORT} if freeze == "none" else {"statistics": "frozen", "recipe": CACHED}
    calls = iter(range(100))
    with pytest.raises(TrainingInterrupted):
        moved(data, freeze, out=tmp_path / "a", stop=lambda: next(calls) >= 1, **settings)
    resumed = moved(data, freeze, out=tmp_path / "a", **settings)
    whole = moved(data, freeze, **settings)
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    assert resumed.report.rows == whole.report.rows


def test_another_network_does_not_go_on_with_a_training(data, tmp_path):
    moved(data, out=tmp_path / "a")
    with pytest.raises(CheckpointMismatch, match=r"model"):
        moved(data, model=cifar_resnet(seed=4, depth=8, num_classes=7), out=tmp_path / "a")


def test_features_are_computed_once_and_belong_to_their_network(data, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer_learning, "_PART", 20)
    settings = {"statistics": "frozen", "recipe": CACHED, "out": tmp_path / "a"}
    moved(data, "features", **settings)
    files = sorted((tmp_path / "a" / "features").glob("*.npy"))
    assert [len(np.load(file)) for file in files] == [20, 20, 10]
    with monkeypatch.context() as patched:
        patched.setattr(transfer_learning, "_computed", lambda *_: pytest.fail("computed again"))
        moved(data, "features", **settings)
    with pytest.raises(ValueError, match="features of another network"):
        moved(data, "features", model=cifar_resnet(seed=4, depth=8), **settings)
    files[1].write_bytes(files[1].read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"0000020\.npy is truncated .*remove it"):
        moved(data, "features", **settings)


# -- bad input ------------------------------------------------------------------------------------

NO_HEAD = nn.Sequential(nn.Conv2d(3, 7, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.ReLU())

WRONG = {
    "misspelt": (dict(freeze="feature"), "unknown freeze 'feature'; did you mean 'features'"),
    "statistics": (dict(statistics="fixed"), "unknown statistics 'fixed'"),
    "normalise": (dict(normalise="imagenet"), "unknown normalise 'imagenet'"),
    "no head": (dict(model=NO_HEAD), "does not end in a linear layer .* head=''"),
    "wrong head": (dict(head="conv1"), "head 'conv1' must be a Linear layer .* it is Conv2d"),
    "unknown head": (dict(head="fc"), "head 'fc' .* it is none of that name"),
    "no features": (dict(model=nn.Conv2d(3, 7, 1), head=""), r"features \(B, F\), got \(2, 7"),
    "no scale": (
        dict(model=nn.Sequential(nn.Flatten(), nn.Linear(3 * 36 * 36, 5))), "normalise='source'",
    ),
    "another size": (
        dict(model=nn.Sequential(nn.Flatten(), nn.Linear(12, 5))),
        r"does not take images of \(3, 36, 36\) .*Preparation\(resize, crop\)",
    ),
    "crop": (dict(preparation=Preparation(32, 64)), r"use e\.g\. Preparation\(256, 224\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_bad_input_is_named_before_any_work(data, name, tmp_path):
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        moved(data, out=tmp_path / "new", **change)
    assert not (tmp_path / "new").exists()


def test_data_of_other_classes_are_an_error(data):
    fewer = nm.ImageData.of(data[1].images, data[1].labels % 3, split="test", label="three")
    with pytest.raises(ValueError, match="fashion-mini has 10 classes, three 3"):
        moved((data[0], fewer))
    with pytest.raises(TypeError, match=r"train must be .*, got list"):
        moved(([], data[1]))
    with pytest.raises(TypeError, match="model must be a torch module"):
        moved(data, model="noisymix")


# -- the command ----------------------------------------------------------------------------------


def test_the_command_moves_a_network_of_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(transfer_learning, "Preparation", lambda: SMALL)
    torch.save(nm.build_model("resnet20", 1000).state_dict(), tmp_path / "net.pt")
    command = (
        f"transfer --checkpoint {tmp_path / 'net.pt'} --model resnet20 --dataset fashion-mini "
        "--freeze features --statistics frozen --plain --normalise source --epochs 2 --subset 40 "
        f"--limit 4 --quiet --device cpu --out {tmp_path / 'out'}"
    )
    assert main(command.split()) == 0
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (record["model"], record["train_images"], record["test_images"]) == ("resnet20", 40, 4)
    assert record["features_cached"] and len(record["weights_sha256"]) == 64
    assert "mean without noise" in capsys.readouterr().out
    assert main(command.replace("freeze features", "freeze head").split()) == 2
    assert "unknown freeze 'head'" in capsys.readouterr().err
