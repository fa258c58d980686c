"""ImageNet, ImageNet-C, -R and -P: one network's rows of the paper's Tables 1, 6, 11 and 12."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nmlib import _checks
from nmlib._files import user_path
from nmlib._progress import Progress
from nmlib.corruptions import CORRUPTIONS, PERTURBATIONS
from nmlib.data.image_folder import ImageFolder, Preparation
from nmlib.data.imagenet import (
    CORRUPTED,
    renditions_classes,
    renditions_folder,
    robustbench_images,
    validation_folder,
    video_folder,
)
from nmlib.evaluation.checkpoints import CHECKPOINTS
from nmlib.evaluation.corruption_report import CorruptedSet, CorruptionReport
from nmlib.evaluation.corruptions import evaluate_corruptions
from nmlib.evaluation.perturbation_report import PerturbationReport
from nmlib.evaluation.perturbations import evaluate_perturbations
from nmlib.evaluation.predictions import Precision, evaluate, model_fingerprint
from nmlib.evaluation.report import Report, row_key
from nmlib.evaluation.storage import Tell, complete, made, note_file, opened
from nmlib.metrics import flip_rate, mean_flip_rate
from nmlib.provenance import provenance

__all__ = ["SETS", "ImageNetReport", "evaluate_imagenet", "imagenet_folders"]

SETS = ("clean", "c", "r", "p")
"""The parts of Table 1: the validation images, ImageNet-C, ImageNet-R and ImageNet-P."""

RECORD = "imagenet.json"
_NAMES = {
    "clean": ("val", "validation", "ilsvrc2012_img_val"),
    "c": ("imagenet-c",),
    "r": ("imagenet-r",),
    "p": ("imagenet-p",),
}
_NOISE = ("gaussian_noise", "shot_noise")
_CLEAN, _FEW, _RENDITIONS = "clean-0", "clean of 200 classes-0", "renditions-0"


@dataclass(frozen=True, repr=False)
class ImageNetReport(Report):
    """What a network did on ImageNet and its relatives; parts that were not measured are None.

    Attributes:
        clean: On the validation images.
        few: On those of ImageNet-R's 200 classes, scored among these 200.
        renditions: On ImageNet-R, scored among the 200.
        corrupted: On ImageNet-C.
        flips: Along ImageNet-P.
        key: What rows are keyed by: dataset, model, checkpoint, SHA-256 of its file.
        provenance: Settings, fingerprints, commit, versions.
    """

    clean: CorruptedSet | None
    few: CorruptedSet | None
    renditions: CorruptedSet | None
    corrupted: CorruptionReport | None
    flips: PerturbationReport | None
    key: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The numbers of Table 1 in a sentence."""
        words = [
            f"{row['dataset']} {row['metric'].replace('_', ' ')} "
            f"{row['corruption'].replace('none', '')} {row['value']:.1f} % ({row['source']})"
            for row in self.rows
            if row["table"] == 1
        ]
        return f"{self.subject}: " + re.sub(" +", " ", "; ".join(words))

    @property
    def sources(self) -> dict[str, str]:
        """Where the images of each data set are from, as every row says it."""
        found = {"ImageNet": "validation images", "ImageNet-R": "official JPEG files"}
        if self.corrupted is not None:
            found["ImageNet-C"] = str(self.corrupted.provenance["source"])
        if self.flips is not None:
            videos = self.flips.provenance["source"] == "videos"
            found["ImageNet-P"] = (
                "official videos" if videos else "generated, without the codec of the videos"
            )
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A tidy table: one row a number, in percent, named as in `nmlib.paper.table`.

        `table` is the paper's that holds the number, 0 for others; `source` says where the images
        are from, `coverage` over what it is, `paper` what the paper prints for the same network.
        """
        rows: list[dict[str, Any]] = []
        whose = CHECKPOINTS.get(str(self.key.get("checkpoint")))
        sources = self.sources

        def add(
            table: int, dataset: str, metric: str, corruption: str, value: Any, over: str
        ) -> None:
            printed = whose.published(table) if whose is not None and table else {}
            # The paper's RMS error leaves the most confident bin out.
            named = metric.removesuffix("_reference")
            known = printed.get((dataset, named, corruption))
            if metric == "rms_calibration_error":
                known = None
            if value is not None:
                rows.append(
                    {**self.key, "table": table, "dataset": dataset, "metric": metric}
                    | {"corruption": corruption, "value": 100 * float(value), "paper": known}
                    | {"source": sources[dataset], "coverage": over}
                )

        for table, dataset, kept, what in (
            (1, "ImageNet", self.clean, "none"),
            (0, "ImageNet", self.few, "the 200 classes of ImageNet-R"),
            (1, "ImageNet-R", self.renditions, "none"),
        ):
            if kept is not None:
                over = f"{len(kept.correct):,} images"
                add(table, dataset, "accuracy", what, kept.measures["accuracy"], over)
        if self.renditions is not None:
            over = f"{len(self.renditions.correct):,} images"
            for metric in ("rms_calibration_error", "rms_calibration_error_reference", "aurra"):
                value = self.renditions.measures[metric]
                add(11, "ImageNet-R", metric, "none", value, over)
        if self.corrupted is not None:
            for row in _corruption_rows(self.corrupted):
                add(*row)
        if self.flips is not None:
            for row in _flip_rows(self.flips):
                add(*row)
        return rows

    def table(self) -> str:
        """Return all rows as text, the paper's numbers beside them."""
        lines = [f"{'%':61}{'here':>8}{'paper':>8}   source, coverage"]
        for row in self.rows:
            name = f"{row['dataset']} {row['metric'].replace('_', ' ')}"
            what = "" if row["corruption"] == "none" else row["corruption"].replace("_", " ")
            paper = "" if row["paper"] is None else f"{row['paper']:.1f}"
            where = f"Table {row['table']}" if row["table"] else ""
            lines.append(
                f"{where:9}{f'{name} {what}':52}{row['value']:8.1f}{paper:>8}   "
                f"{row['source']}, {row['coverage']}"
            )
        return "\n".join(lines)


_Row = tuple[int, str, str, str, float, str]


def _corruption_rows(report: CorruptionReport) -> list[_Row]:
    levels, count = report.severities, f"{len(report.clean):,} images"
    over = "5 severities" if len(levels) == 5 else f"severity {', '.join(map(str, levels))}"
    rows: list[_Row] = [
        (6, "ImageNet-C", "accuracy", name, value, f"{over}, {count}")
        for name, value in report.by_corruption.items()
    ]
    if set(CORRUPTIONS) <= set(report.corruptions):
        means = report.robust_accuracy, report.robust_accuracy_without_noise
        for value, name in zip(means, ("mean", "mean without noise"), strict=True):
            rows.append((1, "ImageNet-C", "accuracy", name, value, report.coverage))
        try:
            value = report.mean_corruption_error
        except ValueError:  # some severities of some corruptions only
            return rows
        rows.append((0, "ImageNet-C", "mean_corruption_error", "mean", value, report.coverage))
    return rows


def _flip_rows(report: PerturbationReport) -> list[_Row]:
    over = f"{len(report.sets[0].flips):,} sequences each"
    rates = flip_rate(report.flip_probabilities)
    rows: list[_Row] = [
        (12, "ImageNet-P", "flip_rate", name, rate, over) for name, rate in rates.items()
    ]
    if set(PERTURBATIONS) <= rates.keys():
        mean = mean_flip_rate(report.flip_probabilities)
        rows.append((12, "ImageNet-P", "flip_rate", "mean", mean, over))
        rows.append((1, "ImageNet-P", "flip_rate", "mean", mean, over))
        less = mean_flip_rate(report.flip_probabilities, without=_NOISE)
        rows.append((1, "ImageNet-P", "flip_rate", "mean without noise", less, over))
    return rows


def imagenet_folders(root: str | Path) -> dict[str, Path]:
    """Find the data sets in a folder, by the names of `SETS`.

    Args:
        root: Folder with any of `val`, `imagenet-c`, `imagenet-r` and `imagenet-p`, whatever the
            case of the letters; or the folder of the validation images itself.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it has none of them.
    """
    root = user_path(root)
    if not root.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(root))
    inside = {path.name.lower(): path for path in root.iterdir()}
    found = {
        which: inside[name] for which, names in _NAMES.items() for name in names if name in inside
    }
    images = (n for n in inside if re.fullmatch(r"n\d{8}", n) or n.startswith("ilsvrc2012_val_"))
    if not found and any(images):
        found = {"clean": root}
    if not found:
        raise ValueError(
            f"{root} holds none of val, imagenet-c, imagenet-r, imagenet-p, and no folder of a "
            "WordNet id; unpack the archives there, or link their folders under these names"
        )
    return found


def _spaced(data: ImageFolder, limit: int | None) -> ImageFolder:
    """Return at most `limit` pictures, spread evenly: sorted by class, the first are of few."""
    if limit is None or limit >= len(data):
        return data
    return data.take(np.linspace(0, len(data) - 1, limit).round().astype(np.int64))


def evaluate_imagenet(
    model: nn.Module,
    root: str | Path,
    *,
    sets: str | Iterable[str] = SETS,
    preparation: Preparation = CORRUPTED,
    corruptions: str | Iterable[str] = CORRUPTIONS,
    severities: int | Iterable[int] = range(1, 6),
    perturbations: str | Iterable[str] = PERTURBATIONS,
    seed: int = 0,
    frost: Sequence[NDArray] | None = None,
    jpeg: int | None = 85,
    limit: int | None = None,
    robustbench: bool = False,
    labels: str | Path | None = None,
    partial: bool = False,
    batch_size: int | None = None,
    device: Any = None,
    precision: Precision = "fp32",
    key: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: Progress = None,
) -> ImageNetReport:
    """Measure a network's rows of the paper's Tables 1, 6, 11 and 12.

    Pictures are read from folders when they are needed. Where the official files of ImageNet-C or
    the videos of ImageNet-P are not at hand, they are generated from the validation images; every
    number says which. ImageNet-R is scored among its 200 classes.

    Args:
        model: Any module that maps (B, 3, H, W) in [0, 1] to 1,000 logits.
        root: Folder of the data, see `imagenet_folders`.
        sets: From `SETS`; all are needed for a row of Table 1.
        preparation: Of validation images and renditions, as the network's authors evaluate;
            `LoadedNetwork.preparation`. ImageNet-C and -P have one of their own.
        corruptions: As for `evaluate_corruptions`.
        severities: From 1 to 5.
        perturbations: As for `evaluate_perturbations`.
        seed: Of generated corruptions and sequences.
        frost: Photographs for frost, see `nmlib.corrupt`; without them textures are drawn.
        jpeg: Quality of the JPEG compression of generated corruptions; the published files have 85.
            None leaves it out.
        limit: At most this many images of each set, spread evenly over the classes.
        robustbench: Only the 5,000 validation images that RobustBench measures on.
        labels: List of the labels of flat validation images, see `validation_folder`.
        partial: Folders of some classes may be missing.
        batch_size: Images the model gets at a time; default 32 on a CPU, where ResNet-50 then stays
            below 2 GiB, and 128 elsewhere.
        device: Where to compute; by default where the model is.
        precision: As for `predict`.
        key: What rows are keyed by, as `LoadedNetwork.key`.
        out: Folder for the results; interrupted, the same call goes on where it stopped.
        progress: As for `evaluate_corruptions`.

    Raises:
        FileNotFoundError: If a set that is needed is not in `root`.
        ValueError: For bad folders, unreadable pictures (after all are tried; finished sets are
            kept), or an `out` with results of other settings.

    Source: the paper's Tables 1, 6, 11 and 12; Hendrycks et al. (2021) for the 200 classes.
    """
    wanted = _checks.as_tuple(sets)
    for name in wanted:
        _checks.choice("set", name, SETS)
    root = user_path(root)
    found = imagenet_folders(root)
    needs = {"clean": "clean", "c": "clean", "r": "r", "p": "p" if "p" in found else "clean"}
    for name in wanted:
        if needs[name] not in found:
            raise FileNotFoundError(
                2, f"set {name!r} needs the folder {_NAMES[needs[name]][0]}", str(root)
            )
    if batch_size is None:
        weight = next(model.parameters(), torch.empty(0))
        where = weight.device if device is None else torch.device(device)
        batch_size = 32 if where.type == "cpu" else 128
    shared: dict[str, Any] = {"batch_size": batch_size, "device": device, "precision": precision}
    more = shared | {"seed": seed, "key": key, "out": out, "progress": progress}
    clean = corrupted = flips = None
    if "clean" in found:
        clean = validation_folder(found["clean"], preparation, labels=labels, partial=partial)
        clean = _spaced(clean.named(robustbench_images()) if robustbench else clean, limit)
    renditions = None
    if "r" in wanted:
        renditions = _spaced(renditions_folder(found["r"], preparation, partial=partial), limit)
    if "c" in wanted and clean is not None:
        corrupted = evaluate_corruptions(
            model, clean, corruptions=corruptions, severities=severities, benchmark="imagenet",
            folder=found.get("c"), jpeg=None if "c" in found else jpeg, frost=frost, **more,
        )  # fmt: skip
    parts = _clean_and_renditions(
        model, clean, renditions, corrupted, bool({"clean", "c"} & {*wanted}), shared,
        preparation, key, out, progress,
    )  # fmt: skip
    if "p" in wanted:
        names = _checks.as_tuple(perturbations)
        if "p" in found:
            basis: ImageFolder = video_folder(found["p"], names[0], partial=partial)
            basis = _spaced(basis, limit)
        else:
            assert clean is not None
            basis = clean
        flips = evaluate_perturbations(
            model, basis, perturbations=names, benchmark="imagenet", crop=224,
            folder=found.get("p"), **more,
        )  # fmt: skip
    record, kept = parts
    return ImageNetReport(
        kept.get(_CLEAN), kept.get(_FEW), kept.get(_RENDITIONS), corrupted, flips,
        record["key"], record["settings"] | made(record, list(kept)),
    )  # fmt: skip


def _clean_and_renditions(
    model: nn.Module,
    clean: ImageFolder | None,
    renditions: ImageFolder | None,
    corrupted: CorruptionReport | None,
    all_classes: bool,
    shared: Mapping[str, Any],
    preparation: Preparation,
    key: Mapping[str, Any] | None,
    out: str | Path | None,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, CorruptedSet]]:
    """Return the record of the sets that are neither corrupted nor moving, and these sets."""
    chosen = renditions_classes()
    data: dict[str, ImageFolder] = {}
    if clean is not None and all_classes:
        data[_CLEAN] = clean
    if renditions is not None:
        data[_RENDITIONS] = renditions
        there = set(clean.labels.tolist()) & set(chosen) if clean is not None else ()
        if clean is not None and there:
            data[_FEW] = clean.among(chosen)
    settings = {
        "model_fingerprint": model_fingerprint(model),
        "precision": shared["precision"],
        "preparation": str(preparation),
    }
    path = None if out is None else user_path(out) / RECORD
    basis = clean or renditions
    name = {} if basis is None else row_key(model, basis, key)
    with opened(path, settings, name | {"dataset": "imagenet"}, CorruptedSet.from_record) as record:
        for label, folder in data.items():
            # Raises for other images than those of a set that is measured already.
            note_file(record, Path(f"{label}.folder"), folder.fingerprint)

        def measure(label: str, tell: Tell) -> dict[str, Any]:
            if label == _CLEAN and corrupted is not None:
                found = corrupted.clean
            else:
                among = None if label == _CLEAN else chosen
                found = evaluate(model, data[label], classes=among, tell=tell, **shared)
            return CorruptedSet.of(label.removesuffix("-0"), 0, found).record()

        now = provenance(device=str(shared["device"]))["provenance"]
        most = max((len(folder) for folder in data.values()), default=0)
        complete(path, record, list(data), most, progress, now, measure)
    return record, {n: CorruptedSet.from_record(n, record["sets"][n]) for n in data}
