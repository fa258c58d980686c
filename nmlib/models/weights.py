"""Weights from files of any origin: found wherever they lie, and read without running code."""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import re
import tarfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nmlib._files import user_path
from nmlib.models.modes import unwrapped

__all__ = ["NESTS", "FoundWeights", "find_weights", "load_into", "read_state_dict", "unpack"]

NESTS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "ema")
"""Where files keep their weights, the likelier place first."""

# What wrappers put before the names: data parallel, trainers, MadryLab's attacker.
_WRAPPERS = frozenset({"module", "model", "net", "network", "backbone", "attacker"})
_COUNTER = "num_batches_tracked"

# What old training loops stored beside the weights. None of it runs code: a namespace sets
# attributes, and a NumPy scalar is made of its type and its bytes.
_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")},
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
]


@dataclass(frozen=True)
class FoundWeights:
    """The weights of a network, and how they lay in their file.

    Attributes:
        weights: Under the network's own names, for `load_state_dict`.
        place: Keys that lead to them, such as "state_dict"; "" for the top.
        prefix: What stood before every name, such as "module.".
        left: What else the file holds, which was not used.
        sha256: Of the file; "" for weights that came from none.
    """

    weights: dict[str, Tensor]
    place: str = ""
    prefix: str = ""
    left: tuple[str, ...] = ()
    sha256: str = ""

    def __repr__(self) -> str:
        return f"FoundWeights({self.summary})"

    @property
    def summary(self) -> str:
        """How many there are, from where, and what was left.

        >>> FoundWeights({}, "state_dict", "module.", ("epoch",)).summary
        "0 entries from 'state_dict', prefix 'module.'; not used: epoch"
        """
        text = f"{len(self.weights)} entries"
        text += f" from {self.place!r}" if self.place else ""
        text += f", prefix {self.prefix!r}" if self.prefix else ""
        return text + (f"; not used: {', '.join(self.left)}" if self.left else "")


def unpack(path: Path) -> tuple[Any, str]:
    """Return what a file of torch.save holds, and the file's SHA-256.

    Tensors, numbers, texts, containers, argument namespaces and NumPy scalars are read; anything
    that could run code is refused.

    Raises:
        ValueError: For a web page, an archive, a truncated file or a pickled module.
    """
    raw = path.read_bytes()
    _refuse_others(path, raw)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")  # of other kinds of files; an error says enough
            stored = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch, zipfile or pickle say of damaged files
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error):
            found = re.search(r"GLOBAL ([\w.]+)", str(error))
            what = f" ({found[1]})" if found else ""
            raise ValueError(
                f"{path} holds more than weights{what}, which could run code when it is read; "
                "where you trust it, load it with torch.load(..., weights_only=False) and save "
                "model.state_dict()"
            ) from error
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}): {len(raw):,} bytes, truncated or of "
            "another kind; give a whole file that torch.save(model.state_dict(), ...) has written"
        ) from error
    return stored, hashlib.sha256(raw).hexdigest()


def _refuse_others(path: Path, raw: bytes) -> None:
    start = raw[:1024].lstrip().lower()
    if not raw:
        raise ValueError(f"{path} is empty; fetch it again")
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(
            f"{path} is a web page, not a checkpoint: Google Drive and other hosts answer with one "
            "instead of the file. Open the address in a browser and save the file itself"
        )
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is a pointer of Git LFS; fetch the file with `git lfs pull`")
    if raw[257:262] == b"ustar" and tarfile.is_tarfile(path):
        raise ValueError(f"{path} is a tar archive; unpack it and give the checkpoint inside")


def _places(stored: Any, place: str = "", depth: int = 3) -> Iterator[tuple[str, Mapping]]:
    """Yield a mapping and those inside it, with the keys that lead there, likely ones first."""
    if not isinstance(stored, Mapping) or depth < 0:
        return
    yield place, stored
    inner = [k for k in stored if isinstance(k, str) and isinstance(stored[k], Mapping)]
    inner.sort(key=lambda k: NESTS.index(k) if k in NESTS else len(NESTS))
    for key in inner:
        yield from _places(stored[key], f"{place}.{key}" if place else key, depth - 1)


def _plain(name: str) -> str:
    """Return a name without what a compiler puts into it."""
    return name.replace("_orig_mod.", "")


def _prefixes(names: list[str], wanted: str) -> list[str]:
    """Return what wrappers put before a name, the wrapped copies of attackers last."""
    ends = (n[: -len(wanted)] for n in names if n.endswith(wanted))
    found = {p for p in ends if not p or (set(p[:-1].split(".")) <= _WRAPPERS and p[-1] == ".")}
    return sorted(found, key=lambda p: ("attacker" in p, len(p), p))


def find_weights(stored: Any, model: nn.Module, source: object) -> FoundWeights:
    """Return the weights of a model inside nested mappings.

    Args:
        stored: A state dict, or mappings that hold one.
        model: The network, which stays as it is.
        source: Where they are from, for the message.

    Raises:
        ValueError: If they are another model's; one line with up to three names of each kind.
    """
    expected = unwrapped(model).state_dict()
    needed = [name for name in expected if not name.endswith(_COUNTER)] or list(expected)
    best: tuple[int, str, str, dict[str, Tensor]] | None = None
    for place, mapping in _places(stored):
        tensors = {_plain(str(k)): v for k, v in mapping.items() if isinstance(v, Tensor)}
        names = list(tensors)
        # The longest name says most about where the network is; the others help where it lacks.
        for key in sorted(needed, key=len, reverse=True)[:1] + needed[:1] + needed[-1:]:
            for prefix in _prefixes(names, key):
                count = sum(prefix + name in tensors for name in needed)
                if best is None or count > best[0]:
                    best = count, place, prefix, tensors
        plain = bool(tensors) and len(tensors) == len(mapping)
        if best is None and plain and place.rpartition(".")[2] in ("", *NESTS):
            best = 0, place, "", tensors
        if best and best[0] == len(needed):
            break
    if best is None:
        raise ValueError(
            f"{source} holds no weights: expected a state dict, alone or under one of "
            f"{', '.join(NESTS)}; save model.state_dict()"
        )
    _, place, prefix, tensors = best
    weights = {n[len(prefix) :]: v for n, v in tensors.items() if n.startswith(prefix)}
    left = [n for n in tensors if not n.startswith(prefix)]
    if prefix == "" and "n_averaged" in weights and "n_averaged" not in expected:
        left.append("n_averaged")
        del weights["n_averaged"]
    # Other copies lie under the same first words: "module." beside "module.attacker.model.".
    other = [n for n in weights if n not in expected and n.split(".")[0] in _WRAPPERS]
    left += [prefix + n for n in other]
    weights = {n: v for n, v in weights.items() if n not in other}
    for name, value in expected.items():
        if name.endswith(_COUNTER) and name not in weights:  # files older than PyTorch 0.4.1
            weights[name] = torch.zeros_like(value)
    _check(weights, expected, source)
    return FoundWeights(weights, place, prefix, (*_beside(stored, place), *_groups(left)))


def _check(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], source: object) -> None:
    lacking = [name for name in expected if name not in weights]
    foreign = [name for name in weights if name not in expected]
    shapes = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in weights and weights[name].shape != value.shape
    ]
    found = [
        f"{what} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if names[3:] else "")
        for what, names in (("lacks", lacking), ("has unknown", foreign), ("has", shapes))
        if names
    ]
    if found:
        raise ValueError(f"{source} holds the weights of another network: it {'; '.join(found)}")
    odd = [
        name
        for name, value in weights.items()
        if value.layout != torch.strided or value.is_meta or value.is_complex()
    ]
    if odd:
        raise ValueError(
            f"{source} holds {odd[0]} as no plain tensor of real numbers; save dense weights, on "
            "any device but 'meta'"
        )


def _beside(stored: Any, place: str) -> list[str]:
    """Return the keys on the way to a place that do not lead there."""
    found = []
    at = ""
    for key in place.split(".") if place else ():
        found += [f"{at}{k}" for k in stored if k != key]
        stored, at = stored[key], f"{at}{key}."
    return found


def _groups(names: list[str]) -> list[str]:
    """Return names, those of one wrapper together.

    >>> _groups(["normalize.mean", "module.attacker.model.a", "module.attacker.model.b"])
    ['normalize.mean', 'module.attacker.model. (2 entries)']
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        words = name.split(".")
        count = next((i for i, w in enumerate(words) if w not in _WRAPPERS), len(words))
        groups.setdefault("".join(f"{w}." for w in words[:count]), []).append(name)
    return [
        text
        for prefix, members in groups.items()
        for text in (members if len(members) < 4 and not (prefix and members[1:])
                     else [f"{prefix} ({len(members)} entries)"])
    ]  # fmt: skip


def load_into(model: nn.Module, stored: Any, source: object) -> FoundWeights:
    """Load the weights of a model from nested mappings into it; return what `find_weights` finds.

    Raises:
        ValueError: If they are another model's; the model stays as it was.
    """
    found = find_weights(stored, model, source)
    unwrapped(model).load_state_dict(found.weights)
    return found


def read_state_dict(path: str | Path, model: nn.Module) -> FoundWeights:
    """Read the weights of a network from a file of any origin, without running code of it.

    The weights may lie at the top or under "state_dict", "model" and the like, with the prefixes of
    data parallel, trainers and attackers before their names, beside optimisers, arguments and
    counters. Files of PyTorch before 1.6 and those of training frameworks are read alike. Every
    weight of the network must be there, in its shape, and no other.

    Args:
        path: File of `torch.save`.
        model: The network that the weights are for; it stays as it is.

    Returns:
        The weights under the network's names, with prefix, place, what was left, and the file's
        SHA-256.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: For a web page instead of a file, a truncated file, a pickled module, or the
            weights of another network.

    >>> import tempfile
    >>> net = nn.utils.skip_init(nn.Linear, 2, 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = {"state_dict": {f"module.{k}": v for k, v in net.state_dict().items()}}
    ...     torch.save({"epoch": 90, **stored}, f"{folder}/net.pth.tar")
    ...     read_state_dict(f"{folder}/net.pth.tar", net)
    FoundWeights(2 entries from 'state_dict', prefix 'module.'; not used: epoch)
    """
    path = user_path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the file with the weights")
    stored, digest = unpack(path)
    found = find_weights(stored, model, path)
    return FoundWeights(found.weights, found.place, found.prefix, found.left, digest)
