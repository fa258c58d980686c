"""The one training loop: `batch_loss` for every scheme, can be killed and resumed at any moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nmlib._devices import to_device
from nmlib.data import ImageData
from nmlib.data.loader import Batches, LoaderBatches
from nmlib.data.reading import LazyImages
from nmlib.data.samples import excess, in_unit_range
from nmlib.rng import Rng
from nmlib.training.batch_statistics import RunningStatistics
from nmlib.training.checkpoints import CheckpointFolder
from nmlib.training.environment import Stop
from nmlib.training.errors import OutOfMemory, TrainingDiverged, TrainingInterrupted
from nmlib.training.execution import Execution
from nmlib.training.held_out import classify
from nmlib.training.progress import Progress
from nmlib.training.record import Row, Run, RunFiles
from nmlib.training.step import dropout_from, drops_out, slices
from nmlib.training.workers import Workers

__all__ = ["Loop"]

# What a checkpoint holds for `Loop.restore`, besides its step.
_STATE = ("model", "optimiser", "epoch_sums", "seconds", "rows")
_SCALARS = (
    "loss", "ce", "jsd", "accuracy", "learning_rate", "images_per_second", "val_accuracy",
    "val_loss",
)  # fmt: skip


class Loop:
    """The state of a training between two steps, and the loop that advances it."""

    def __init__(
        self,
        run: Run,
        objective: nn.Module,
        optimiser: torch.optim.SGD,
        batches: Batches | LoaderBatches,
        shared: Workers,
        *,
        images: int,
        held_out: ImageData | LazyImages | None,
        execution: Execution,
    ) -> None:
        self.run, self.objective, self.optimiser = run, objective, optimiser
        self.batches, self.shared = batches, shared
        self.images, self.held_out = images, held_out
        self.execution = execution
        self.per_epoch = len(batches)
        self.drops_out = drops_out(run.model)
        self.statistics = RunningStatistics(run.model, shared)
        self.checkpoints: CheckpointFolder | None = None
        self.files: RunFiles | None = None
        self.progress: Progress | None = None
        self.board: Any = None
        self.on_epoch: Callable[[Run], object] | None = None
        self.on_row: Callable[[Run], object] | None = None
        # Sums over the epoch so far: loss, ce and jsd times images, number right, images, seconds.
        self.epoch_sums = [0.0] * 6
        # Per step since the last read from the device: (loss, ce, jsd, number right, by how much
        # the images leave [0, 1]), images.
        self.pending: list[Tensor] = []
        self.pending_images: list[int] = []
        self.saved_at, self.saved_step = time.perf_counter(), -1

    # State

    def state(self) -> dict[str, Any]:
        return {
            "model": dict(self.run.model.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "epoch_sums": list(self.epoch_sums),
            "seconds": self.run.seconds,
            # Text, since a checkpoint holds tensors, numbers and texts alone.
            "rows": json.dumps(self.run.rows),
            "stretches": json.dumps(self.run.stretches),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        lacking = [name for name in _STATE if name not in content]
        if lacking:
            raise ValueError(
                f"the checkpoint of step {content['step']} lacks {', '.join(lacking)}; delete the "
                "folder to start anew"
            )
        self.run.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.epoch_sums = list(content["epoch_sums"])
        self.run.seconds = content["seconds"]
        self.run.rows[:] = json.loads(content["rows"])
        # Checkpoints of older versions do not say what they were made with.
        self.run.stretches = json.loads(
            content.get("stretches", '[{"step": 0, "commit": "unknown"}]')
        )
        self.run.step = self.saved_step = content["step"]

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this step."""
        if self.checkpoints is None or not self.shared.main or self.saved_step == self.run.step:
            return
        finite = [torch.isfinite(p).all() for p in self.run.model.parameters()]
        if not bool(torch.stack(finite).all()):
            # The loss of this step was still fine; its gradient was not.
            raise self.diverged(self.run.step - 1, "the weights became NaN or infinite")
        self.checkpoints.save(self.run.step, self.state())
        self.saved_at, self.saved_step = time.perf_counter(), self.run.step
        if self.files is not None:
            self.files.record(self.run.record())

    def last_checkpoint(self) -> Path | None:
        kept = self.checkpoints.paths() if self.checkpoints is not None else []
        return kept[-1] if kept else None

    def diverged(self, step: int, what: str) -> TrainingDiverged:
        run, last = self.run, self.last_checkpoint()
        where = f"The last good checkpoint is {last}" if last else "No checkpoint was saved before"
        remedy = "Lower learning_rate or the noise levels"
        if run.recipe.precision == "bf16":
            remedy += ", or use precision='fp32'"
        return TrainingDiverged(
            f"{what} at step {step} (epoch {step // self.per_epoch + 1}) of scheme "
            f"{run.scheme.name!r}, seed {run.seed}, at learning rate "
            f"{run.recipe.rate(step, run.steps):.3g}. {where}. {remedy}",
            step, run.scheme.name, last,
        )  # fmt: skip

    # Steps

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return this process's share of the next batch."""
        return self.batches.at(*divmod(self.run.step, self.per_epoch))

    def step(self, x: Tensor, y: Tensor) -> None:
        """Do one step of the optimiser, on this process's share of the batch."""
        run, recipe, shared = self.run, self.run.recipe, self.shared
        epoch, step = divmod(run.step, self.per_epoch)
        whole = len(y)
        if shared.count > 1:
            whole = min(recipe.batch_size, self.images - step * recipe.batch_size)
        for group in self.optimiser.param_groups:
            group["lr"] = recipe.rate(run.step, run.steps)
        self.optimiser.zero_grad(set_to_none=True)
        mine = recipe.parts // shared.count
        first = shared.rank * mine
        cuts = slices(whole, recipe.parts)[first : first + mine]
        offset = cuts[0].start
        numbers: list[Tensor] = []
        self.statistics.begin()
        for i, rows in enumerate(cuts):
            part = slice(rows.start - offset, rows.stop - offset)
            share = (rows.stop - rows.start) / whole
            with ExitStack() as stack:
                if i < mine - 1:
                    stack.enter_context(shared.without_exchange(self.objective))
                if self.drops_out:
                    rng = Rng(run.seed).fold("dropout", epoch, step, first + i)
                    stack.enter_context(dropout_from(rng, x.device))
                loss, values = self.objective(x[part], y[part], epoch, step, first + i)
                # Over processes the gradients are averaged, over parts they are to be summed.
                (loss * (share * shared.count)).backward()
            shares = torch.tensor([share, share, share, 1.0])
            numbers.append(values * to_device(shares, values.device))
        self.optimiser.step()
        self.statistics.combine()
        sums = torch.stack(numbers).sum(0) if mine > 1 else numbers[0]
        self.pending.append(torch.cat([sums, excess(x).clamp(min=0)[None]]))
        self.pending_images.append(whole)
        run.step += 1

    def flush(self, stop: bool) -> tuple[list[float], bool]:
        """Read the pending numbers from the device.

        Returns:
            Their sums, as in `epoch_sums` but for the seconds, and whether any process is to stop.

        Raises:
            ValueError: If images were not in [0, 1].
            TrainingDiverged: If a loss is not finite.
        """
        block = torch.stack(self.pending)
        asked = block.new_full((1, 5), float(stop))
        table = self.shared.total(torch.cat([block, asked])).cpu().double()
        losses, wanted = table[:-1], bool(table[-1, 0] > 0)
        for back, outside in enumerate(losses[:, 4].tolist(), -len(losses)):
            epoch, step = divmod(self.run.step + back, self.per_epoch)
            in_unit_range(f"images of the batch at epoch {epoch}, step {step},", outside)
        finite = torch.isfinite(losses[:, 0])
        if not bool(finite.all()):
            bad = int((~finite).nonzero()[0, 0])
            at = self.run.step - len(self.pending) + bad
            raise self.diverged(at, f"the loss became {float(losses[bad, 0])}")
        counts = torch.tensor(self.pending_images, dtype=torch.float64)
        self.pending.clear()
        self.pending_images.clear()
        means = (losses[:, :3] * counts[:, None]).sum(0)
        return [*means.tolist(), float(losses[:, 3].sum()), float(counts.sum())], wanted

    def row(self, kind: str, sums: list[float]) -> Row:
        run, (loss, ce, jsd, right, images, seconds) = self.run, sums
        return {
            "kind": kind,
            "epoch": (run.step - 1) // self.per_epoch,
            "step": run.step,
            "loss": loss / images,
            "ce": ce / images,
            "jsd": jsd / images,
            "accuracy": right / images,
            "learning_rate": run.recipe.rate(run.step - 1, run.steps),
            "images_per_second": images / seconds,
            "seconds": seconds,
        }

    def add(self, row: Row) -> None:
        """Keep a row, and write it if this process writes."""
        self.run.rows.append(row)
        if self.files is not None:
            self.files.add(row)
        if self.board is not None:
            for name in set(_SCALARS) & set(row):
                self.board.add_scalar(f"{row['kind']}/{name}", row[name], row["step"])

    def look(self, stop: bool, seconds: float) -> tuple[Row, bool]:
        """Read the pending numbers, keep them as a row; return it, and whether to stop."""
        sums, wanted = self.flush(stop)
        seconds = max(seconds, 1e-9)  # a clock may stand still; speeds are divided by it
        self.run.seconds += seconds
        sums.append(seconds)
        self.epoch_sums = [a + b for a, b in zip(self.epoch_sums, sums, strict=True)]
        self.add(row := self.row("step", sums))
        return row, wanted

    def keep(self, seconds: float) -> None:
        """Save what is done when the next batch cannot be read."""
        if self.pending:
            self.look(False, seconds)
        if self.run.step:
            self.save()

    def go(self, stop: Stop) -> None:
        """Run to the last step.

        Raises:
            TrainingDiverged: If a loss or a weight is not finite.
            TrainingInterrupted: If a signal asked for it.
            Exception: What reading a batch raises, after the steps before it are saved.
        """
        run, shown = self.run, self.run.step
        start = time.perf_counter()
        while run.step < run.steps:
            try:
                batch = self.batch()
            except Exception:
                # Several processes would have to agree on what is saved.
                if self.shared.count == 1:
                    self.keep(time.perf_counter() - start)
                raise
            self.step(*batch)
            ends_epoch = run.step % self.per_epoch == 0
            # One process answers a signal at once. Several must agree, so they wait for a flush.
            asked = stop.asked()
            at_once = asked and self.shared.count == 1
            if not (ends_epoch or at_once or run.step % self.execution.log_every == 0):
                continue
            row, wanted = self.look(asked, time.perf_counter() - start)
            if ends_epoch:
                row = self.row("epoch", self.epoch_sums)
                self.epoch_sums = [0.0] * 6
                if self.held_out is not None:
                    row |= classify(run.model, self.held_out)
                self.add(row)
            if self.progress is not None:
                self.progress.advance(run.step - shown, row["epoch"], row)
            shown = run.step
            if wanted or time.perf_counter() - self.saved_at >= self.execution.checkpoint_seconds:
                self.save()
            if self.on_row is not None and self.shared.main:
                self.on_row(run)
            if ends_epoch and self.on_epoch is not None and self.shared.main:
                self.on_epoch(run)
            if wanted and run.step < run.steps:
                self.shared.wait()
                raise self.interrupted()
            start = time.perf_counter()
        self.save()
        self.shared.wait()

    def interrupted(self) -> TrainingInterrupted:
        run = self.run
        at = f"interrupted after step {run.step} of {run.steps}"
        if run.out is None:
            return TrainingInterrupted(
                f"{at}; the model has the weights of that step. With out=FOLDER a run is saved and "
                "can go on"
            )
        return TrainingInterrupted(
            f"{at}; saved in {run.out}. The same call, or the same nmlib train command, goes on "
            "from there"
        )

    def out_of_memory(self, error: RuntimeError) -> OutOfMemory:
        recipe, last = self.run.recipe, self.last_checkpoint()
        views = self.run.scheme.views.count
        remedies = [f"parts={2 * recipe.parts} (the same batch in smaller parts)"]
        if recipe.precision == "fp32":
            remedies.append("precision='bf16'")
        remedies.append(f"a smaller batch_size than {recipe.batch_size}")
        kept = f" The last checkpoint is {last}." if last else ""
        return OutOfMemory(
            f"{self.shared.device} has too little memory for a step of {recipe.batch_size} images "
            f"in {views} view(s) of scheme {self.run.scheme.name!r}. Set in the recipe "
            f"{', or '.join(remedies)}.{kept} ({str(error).splitlines()[0][:200]})"
        )
