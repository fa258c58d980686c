"""The public networks of the paper's Table 1, and others by name: weights, input, provenance."""

from __future__ import annotations

import csv
import hashlib
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from nmlib import _checks
from nmlib._files import user_path
from nmlib.data.cache import data_folder
from nmlib.data.image_folder import Preparation
from nmlib.models import MODELS, build_model, read_state_dict
from nmlib.models.norm import Normalise
from nmlib.models.weights import FoundWeights

__all__ = ["CHECKPOINTS", "Checkpoint", "LoadedNetwork", "load_checkpoint"]

_STANDARD = Preparation(256, 224, "bilinear")


@dataclass(frozen=True)
class Checkpoint:
    """A public ResNet-50 of the paper's Table 1.

    Attributes:
        name: What `load_checkpoint` and `nmlib evaluate --checkpoint` call it.
        method: The row of Table 1, as `nmlib.paper` names it; "" for other trainings.
        file: Name of the file.
        source: Where it is, for a person.
        url: Direct address; "" where the host answers only a browser.
        sha256: First digits of the file's hash, one for each copy that is known; () where none is
            published.
        megabytes: Expected size, from and to; more with an optimiser or a second copy beside it.
        licence: Of the repository that publishes it.
        preparation: From picture to input, as its authors evaluate.
        note: What else one must know.
    """

    name: str
    method: str
    file: str
    source: str
    url: str = ""
    sha256: tuple[str, ...] = ()
    megabytes: tuple[int, int] = (102, 330)
    licence: str = "none stated"
    preparation: Preparation = _STANDARD
    note: str = ""

    def published(self, table: int = 1) -> dict[tuple[str, str, str], float]:
        """Return the paper's numbers for this network, in percent.

        Args:
            table: 1, 6, 11 or 12.

        Returns:
            By data set, metric and corruption, as in `nmlib.paper.table`.

        >>> CHECKPOINTS["noisymix"].published()["ImageNet-C", "accuracy", "mean"]
        52.3
        """
        file = resources.files("nmlib.paper") / "published" / f"table{table:02d}.csv"
        return {
            (row["dataset"], row["metric"], row["corruption"]): float(row["value"])
            for row in csv.DictReader(file.read_text("utf-8").splitlines())
            if row["method"] == self.method
        }

    @property
    def by_hand(self) -> str:
        """What to do to get the file."""
        return (
            f"get {self.file} ({self.megabytes[0]} to {self.megabytes[1]} MB) from {self.source}, "
            f"and put it at {data_folder() / 'checkpoints' / self.file}, or give its path"
        )


_ROBUSTBENCH = "RobustBench's model zoo (MIT)"


def _drive(key: str, whose: str) -> str:
    return f"{whose}, in a browser: https://drive.google.com/uc?id={key}"


def _dropbox(key: str) -> str:
    return f"clovaai/CutMix-PyTorch, in a browser: https://www.dropbox.com/sh/{key}"


CHECKPOINTS: dict[str, Checkpoint] = {
    c.name: c
    for c in (
        Checkpoint(
            "baseline", "Baseline", "resnet50-0676ba61.pth", "torchvision, IMAGENET1K_V1",
            "https://download.pytorch.org/models/resnet50-0676ba61.pth",
            ("0676ba61", "19c8e357"), (102, 104), "BSD-3-Clause",
            note="the file of 2017 is resnet50-19c8e357.pth",
        ),
        Checkpoint(
            "adversarial", "Adversarial training", "resnet50_linf_eps4.0.ckpt",
            "madrylab/robust-imagenet-models on Hugging Face",
            "https://huggingface.co/madrylab/robust-imagenet-models/resolve/main/"
            "resnet50_linf_eps4.0.ckpt",
            licence="MIT",
            note="no checksum is published; Salman et al. (2020), Linf, epsilon 4/255. "
            "RobustBench's -C leaderboard has their WRN-50-2 instead",
        ),
        Checkpoint(
            "stylized", "Stylized ImageNet",
            "resnet50_train_45_epochs_combined_IN_SF-2a0d100e.pth.tar",
            "rgeirhos/texture-vs-shape",
            "https://bitbucket.org/robert_geirhos/texture-vs-shape-pretrained-models/raw/"
            "60b770e128fffcbd8562a3ab3546c1a735432d03/"
            "resnet50_train_45_epochs_combined_IN_SF-2a0d100e.pth.tar",
            note="trained on Stylized ImageNet and ImageNet; despite its name no tar archive; the "
            "last digits of the name are presumably the first of its SHA-256",
        ),
        Checkpoint(
            "autoaugment", "AutoAugment", "imagenet_resnet50_top1_22.2.pth",
            "kakaobrain/fast-autoaugment",
            "https://arena.kakaocdn.net/brainrepo/fast-autoaugment/imagenet_resnet50_top1_22.2.pth",
            licence="MIT",
            preparation=Preparation(256, 224, "bicubic", crop_first=True),
            note="no checksum is published; cropped before the resize, and that is bicubic",
        ),
        Checkpoint(
            "mixup", "Mixup", "mixup.pth.tar", _dropbox("g64c8bda61n12if"), licence="MIT",
            note="22.58 % clean error by its authors",
        ),
        Checkpoint(
            "manifold_mixup", "Manifold Mixup", "manifold_mixup.pth.tar",
            _dropbox("bjardjje11pti0g"), licence="MIT",
            note="22.50 % clean error by its authors, so not the file of Table 1's 76.7 %, which "
            "we have found nowhere",
        ),
        Checkpoint(
            "cutmix", "CutMix", "cutmix.pth.tar", _dropbox("w8dvfgdc3eirivf"), licence="MIT",
            note="21.40 % clean error by its authors",
        ),
        Checkpoint(
            "puzzlemix", "Puzzle Mix", "imagenet_puzzlemix.pth.tar",
            _drive("1w7mnpJO_mdMpBvrqGuetuDRnrT8xUbb1", "snu-mllab/PuzzleMix"), licence="MIT",
            note="300 epochs; 21.24 % clean error by its authors",
        ),
        Checkpoint(
            "augmix", "AugMix", "Hendrycks2020AugMix.pt",
            _drive("1xRMj1GlO93tLoCMm0e5wEvZwqhIjxhoJ", _ROBUSTBENCH), licence="Apache-2.0",
            note="180 epochs; timm's resnet50.am_in1k is another training",
        ),
        Checkpoint(
            "noisymix", "NoisyMix", "Erichson2022NoisyMix.pt",
            _drive("1wFsiB5h4Fgv6HqOkI_1jR1SZOB_eNK9r", _ROBUSTBENCH), licence="GPL-3.0",
            note="the authors' own file is a pickled module, which could run code; RobustBench's "
            "copy holds weights alone",
        ),
        Checkpoint(
            "noisymix_new", "", "Erichson2022NoisyMix_new.pt",
            _drive("1Na79fzPZ0Azg01h6kGn1Xu5NoWOElSuG", _ROBUSTBENCH), licence="GPL-3.0",
            note="a later training by the authors, which they call better tuned; no row of Table 1",
        ),
    )
}  # fmt: skip
"""The public networks of Table 1 by name, and a later NoisyMix."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with its weights, and all that a result must say of it.

    Attributes:
        model: Takes images (B, 3, H, W) in [0, 1], in evaluation mode.
        preparation: From picture to input.
        key: Name and SHA-256 of what was read, for `evaluate_corruptions(key=)`.
        found: How the weights lay in their file; None for other libraries' own.
        note: What else one must know.
    """

    model: nn.Module
    preparation: Preparation
    key: dict[str, Any]
    found: FoundWeights | None = None
    note: str = ""

    def __repr__(self) -> str:
        read = self.found.summary if self.found else "by its library"
        return f"LoadedNetwork({self.key['model']}, {read}, {self.preparation})"


def load_checkpoint(
    name: str | Path,
    path: str | Path | None = None,
    *,
    model: str | nn.Module | None = None,
    download: bool = False,
) -> LoadedNetwork:
    """Load a public network of ImageNet, whatever the layout of its file.

    Args:
        name: A key of `CHECKPOINTS`; "timm:NAME" or "torchvision:NAME" for the pretrained networks
            of these libraries, which fetch them; or the path of a file with weights.
        path: The file, if it is not in the folder checkpoints of `data_folder()`.
        model: For a file of your own the network it is for: a name as above or of `MODELS`, or a
            module that normalises its own inputs; default "resnet50".
        download: Fetch the file if it is missing and has a direct address.

    Raises:
        FileNotFoundError: If the file is missing; the message says how to get it.
        ModuleNotFoundError: Without timm or torchvision.
        ValueError: For an unknown name, a file with another hash, or one that does not fit.
    """
    text = str(name)
    library, _, there = text.partition(":")
    if library in _LIBRARIES and there and path is None:
        return _pretrained(library, there)
    if text in CHECKPOINTS:
        if model is not None:
            raise ValueError(f"{text} is a resnet50; leave the model out")
        return _public(CHECKPOINTS[text], path, download)
    file = user_path(name if path is None else path)
    if not file.exists() and not file.suffix:
        _checks.choice("checkpoint", text, CHECKPOINTS)
    network, preparation, what = _network("resnet50" if model is None else model)
    found = _into(network, file)
    key = {"model": what, "checkpoint": file.name, "sha256": found.sha256}
    return LoadedNetwork(network, preparation, key, found)


def _public(one: Checkpoint, path: str | Path | None, download: bool) -> LoadedNetwork:
    file = data_folder() / "checkpoints" / one.file if path is None else user_path(path)
    if not file.exists():
        if path is not None or not download or not one.url:
            direct = " (or let it be fetched: download=True, --download)" if one.url else ""
            raise FileNotFoundError(2, f"it is not here{direct}; {one.by_hand}", str(file))
        from nmlib.data.fetch import RemoteFile, fetch

        digest = f"sha256:{one.sha256[0]}" if one.sha256 else ""
        fetch(one.file, file.parent, remote=RemoteFile(one.url, digest))
    model = build_model("resnet50", 1000)
    found = _into(model, file, one.by_hand)
    if one.sha256 and not found.sha256.startswith(one.sha256):
        raise ValueError(
            f"{file} has SHA-256 {found.sha256[:16]}..., not {' or '.join(one.sha256)}...: it is "
            f"another file than {one.name}; {one.by_hand}"
        )
    key = {"model": "resnet50", "checkpoint": one.name, "sha256": found.sha256}
    return LoadedNetwork(model, one.preparation, key, found, one.note)


def _into(model: nn.Module, file: Path, remedy: str = "") -> FoundWeights:
    """Load weights from a file into a model that may normalise its inputs itself."""
    try:
        inner = model[1] if isinstance(model, Normalised) else model
        found = read_state_dict(file, inner)
    except ValueError as error:
        if not remedy:
            raise
        raise ValueError(f"{error}; {remedy}") from error
    inner.load_state_dict(found.weights)
    model.eval()
    return found


# -- other libraries ------------------------------------------------------------------------------


class Normalised(nn.Sequential):
    """A network of another library behind the normalisation that it expects."""

    def __init__(self, model: nn.Module, mean: Any, std: Any) -> None:
        super().__init__(Normalise(mean, std), model)
        self.eval()


def _network(model: str | nn.Module) -> tuple[nn.Module, Preparation, str]:
    """Return a network without its weights, its preparation and its name."""
    if isinstance(model, nn.Module):
        return model, _STANDARD, str(getattr(model, "name", type(model).__name__))
    library, _, name = model.partition(":")
    if library in _LIBRARIES and name:
        made, preparation, _ = _LIBRARIES[library](name, False)
        return made, preparation, model
    _checks.choice("model", model, [*MODELS, "timm:NAME", "torchvision:NAME"])
    return build_model(model, 1000), _STANDARD, model


def _pretrained(library: str, name: str) -> LoadedNetwork:
    model, preparation, digest = _LIBRARIES[library](name, True)
    key = {"model": f"{library}:{name}", "checkpoint": "pretrained", "sha256": digest}
    return LoadedNetwork(model, preparation, key, note="the SHA-256 is of the weights themselves")


def _weights_digest(model: nn.Module) -> str:
    """Return the SHA-256 of a state dict: libraries load from caches of their own."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _timm(name: str, pretrained: bool) -> tuple[nn.Module, Preparation, str]:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"timm:{name} needs timm: pip install timm", name="timm"
        ) from error
    try:
        model = timm.create_model(name, pretrained=pretrained)
    except RuntimeError as error:
        raise ValueError(
            f"timm has no network {name!r} ({error}); see timm.list_models()"
        ) from error
    told = timm.data.resolve_model_data_config(model)
    crop = told["input_size"][-1]
    kind: Literal["bilinear", "bicubic"]
    kind = "bilinear" if told["interpolation"] == "bilinear" else "bicubic"
    preparation = Preparation(math.floor(crop / told["crop_pct"]), crop, kind)
    return Normalised(model, told["mean"], told["std"]), preparation, _weights_digest(model)


def _torchvision(name: str, pretrained: bool) -> tuple[nn.Module, Preparation, str]:
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"torchvision:{name} needs torchvision: pip install torchvision", name="torchvision"
        ) from error
    name, _, which = name.partition(".")
    try:
        weights = models.get_model_weights(name)[which or "DEFAULT"]
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"torchvision has no network {name!r} with weights {which or 'DEFAULT'!r}; see "
            "torchvision.models.list_models()"
        ) from error
    model = models.get_model(name, weights=weights if pretrained else None)
    how = weights.transforms()
    kind: Literal["bilinear", "bicubic"]
    kind = "bilinear" if how.interpolation.value == "bilinear" else "bicubic"
    preparation = Preparation(how.resize_size[0], how.crop_size[0], kind)
    return Normalised(model, how.mean, how.std), preparation, _weights_digest(model)


_LIBRARIES = {"timm": _timm, "torchvision": _torchvision}
