"""Checkpoints: whole or absent, checked when read, refused when they belong to another run."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nmlib._files import NO_SPACE, rename_into, sweep, user_path
from nmlib.identity import VERSION, differences, settings_of
from nmlib.models.weights import NESTS, FoundWeights, load_into, unpack

__all__ = [
    "KEPT",
    "CheckpointFolder",
    "CheckpointMismatch",
    "load_file",
    "load_into",
    "load_weights",
]

KEPT = 2
"""Number of checkpoints kept: the newest, and one to fall back to."""

FORMAT = 1
# Entries of every checkpoint; the training loop adds its own.
_CONTENT = {"identity": Mapping, "step": int, "model": Mapping}
_NAME = re.compile(r"checkpoint-(\d{8})\.pt")


class CheckpointMismatch(ValueError):
    """A folder holds the run of another scheme, model, data set, recipe or seed."""


def _digest(content: Mapping[str, Any]) -> str:
    """Return a checksum of nested tensors, numbers and texts, keys in their order."""
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous()
            digest.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
            # Bytes, since NumPy has no bfloat16.
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            for key, entry in value.items():
                digest.update(repr(key).encode())
                add(entry)
        elif isinstance(value, (list, tuple)):
            for entry in value:
                add(entry)
        else:
            digest.update(repr(value).encode())
        digest.update(b";")

    add(content)
    return digest.hexdigest()


def _on_cpu(value: Any) -> Any:
    """Return nested containers with all tensors copied to the CPU."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: _on_cpu(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_on_cpu(entry) for entry in value]
    return value


def _read(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content, or raise ValueError if it is damaged."""
    return _checked(unpack(path)[0], path)


def _checked(stored: Any, path: Path) -> dict[str, Any]:
    content = stored.get("content") if isinstance(stored, Mapping) else None
    if not isinstance(content, Mapping) or "digest" not in stored:
        raise ValueError(f"{path} is no checkpoint of nmlib")
    if content.get("format") != FORMAT:
        raise ValueError(f"{path} has format {content.get('format')}, this nmlib reads {FORMAT}")
    for name, kind in _CONTENT.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{path} is damaged: it has no {name}")
    if _digest(content) != stored["digest"]:
        raise ValueError(f"{path} is damaged: its checksum does not fit")
    return dict(content)


def newest_path(folder: str | Path) -> Path | None:
    """Return the newest checkpoint of a folder, without looking into it."""
    paths = sorted(p for p in user_path(folder).glob("checkpoint-*.pt") if _NAME.fullmatch(p.name))
    return paths[-1] if paths else None


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: Made if missing.
        identity: What the run is: its scheme, model, data, recipe and seed, as `nmlib.identity`
            compares them. Without any, a checkpoint of every run is read.
        texts: Entries of the identity as version 1 of the format wrote them.
    """

    def __init__(
        self,
        folder: str | Path,
        identity: Mapping[str, Any],
        texts: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = user_path(folder)
        self.identity, self.texts = dict(identity), dict(texts or {})
        self.folder.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Remove what a killed process left half-written."""
        sweep(self.folder, "checkpoint-*.pt")

    def paths(self) -> list[Path]:
        """Return the checkpoints, oldest first."""
        return sorted(p for p in self.folder.glob("checkpoint-*.pt") if _NAME.fullmatch(p.name))

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the state after `step` steps; then drop all but the last `KEPT` checkpoints.

        The file is complete on the disk before it gets its name.

        Raises:
            OSError: If it cannot be written; the checkpoints before it are as they were.
        """
        identity = {"version": VERSION, **settings_of(self.identity)}
        content = _on_cpu({"format": FORMAT, "identity": identity, "step": step, **state})
        packed = io.BytesIO()
        torch.save({"content": content, "digest": _digest(content)}, packed)
        path = self.folder / f"checkpoint-{step:08d}.pt"
        try:
            with rename_into(path) as temporary, temporary.open("wb") as file:
                file.write(packed.getbuffer())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._explain(error, packed.tell())
        self._sync_folder()
        for old in self.paths()[:-KEPT]:
            old.unlink(missing_ok=True)
        return path

    def _explain(self, error: OSError, size: int) -> None:
        kept = self.paths()
        last = f"the last checkpoint is {kept[-1]}" if kept else "there is no earlier checkpoint"
        if error.errno not in NO_SPACE:
            raise OSError(
                error.errno, f"cannot write a checkpoint ({error.strerror}); {last}",
                str(self.folder),
            ) from error  # fmt: skip
        free = shutil.disk_usage(self.folder).free
        raise OSError(
            error.errno,
            f"no space for a checkpoint of {size / 1e6:.1f} MB ({free / 1e6:.1f} MB are free); "
            f"{last}. Free some space and run the same again: it goes on from there",
            str(self.folder),
        ) from error

    def _sync_folder(self) -> None:
        # The new name itself must survive a power cut; Windows cannot open folders.
        if hasattr(os, "O_DIRECTORY"):
            handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def newest(
        self, log: Callable[[str], None] | None = None, *, set_aside: bool = False
    ) -> dict[str, Any] | None:
        """Return the newest checkpoint that can be read, or None if there is none at all.

        Args:
            log: Called with a message about damaged checkpoints; by default a warning.
            set_aside: Rename damaged checkpoints, so that they no longer count.

        Raises:
            CheckpointMismatch: If it belongs to another run.
            ValueError: If there are checkpoints but all are damaged.
        """
        damaged, bad = [], []
        for path in reversed(self.paths()):
            try:
                content = _read(path)
            except ValueError as error:
                damaged.append(str(error))
                bad.append(path)
                continue
            self._check(content, path)
            if damaged:
                message = f"{'; '.join(damaged)}; falling back to {path.name}"
                for other in bad if set_aside else ():
                    other.replace(other.with_suffix(".damaged"))
                if log is None:
                    warnings.warn(message, RuntimeWarning, stacklevel=2)
                else:
                    log(message)
            return content
        if damaged:
            raise ValueError(
                f"no checkpoint in {self.folder} can be read: {'; '.join(damaged)}. Delete the "
                "folder to start anew"
            )
        return None

    def _check(self, content: Mapping[str, Any], path: Path) -> None:
        stored = dict(content["identity"])
        version = stored.get("version", 1)
        if version > VERSION:
            raise ValueError(
                f"{path} was written by a newer nmlib (identity {version}, this one knows "
                f"{VERSION}); update nmlib to go on with it"
            )
        if version == 1:
            same = [name for name, text in self.texts.items() if stored.get(name) == text]
            stored |= {name: settings_of(self.identity[name]) for name in same}
        changed = [
            f"  {name}: {before}\n  {'now':>{len(name)}}: {now}"
            for name, before, now in differences(stored, self.identity)
        ]
        if self.identity and changed:
            raise CheckpointMismatch(
                f"{path} belongs to another run:\n"
                + "\n".join(changed)
                + ".\nGive this run a folder "
                "of its own (out=...), use the settings of the other one to go on with it, or "
                "delete the folder"
            )


def _verified(stored: Any, path: Path) -> Any:
    """Return the weights in a checkpoint of nmlib, verified; other content as it is."""
    if isinstance(stored, Mapping) and {"content", "digest"} <= stored.keys():
        return _checked(stored, path)["model"]
    return stored


def load_file(model: nn.Module, path: Path, source: str) -> FoundWeights:
    """Load the weights in a file of any origin into a model; see `read_state_dict`.

    Args:
        model: Gets the weights.
        path: A checkpoint of nmlib, or any file with the network's weights.
        source: What to call it in the message.

    Raises:
        ValueError: If it cannot be read or is damaged, or holds another network.
    """
    stored, digest = unpack(path)
    return replace(load_into(model, _verified(stored, path), source), sha256=digest)


def _weights(stored: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict in what torch.save wrote, wherever it lies in it."""
    stored = _verified(stored, path)
    while isinstance(stored, Mapping):
        if stored and all(isinstance(v, Tensor) for v in stored.values()):
            # Compiled parts keep their own names behind one of the compiler.
            # Averaged models count their members.
            return {
                str(k).replace("_orig_mod.", ""): v for k, v in stored.items() if k != "n_averaged"
            }
        inner = [k for k in NESTS if isinstance(stored.get(k), Mapping)]
        stored = stored[inner[0]] if inner else None
    raise ValueError(
        f"{path} holds no weights: expected a state dict, alone or under one of "
        f"{', '.join(NESTS)}; save model.state_dict()"
    )


def load_weights(source: str | Path) -> dict[str, Tensor]:
    """Return the weights that a run saved last, for `model.load_state_dict`.

    Args:
        source: The run's folder, one of its checkpoints, or any file with a state dict, alone or
            beside other things (optimiser, epoch), also of a compiled model.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged, in a folder if all are; or if it holds no weights.
    """
    source = user_path(source)
    if source.is_file():
        return _weights(unpack(source)[0], source)
    if source.is_dir():
        content = CheckpointFolder(source, {}).newest()
        if content is not None:
            return content["model"]
    raise FileNotFoundError(
        errno.ENOENT, "no checkpoint is here; `nmlib train --out` or fit(..., out=) writes them",
        str(source),
    )  # fmt: skip
