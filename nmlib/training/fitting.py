"""`fit`: train a model by a scheme, on one device or several, once or in pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nmlib import _checks
from nmlib._files import alone_in, user_path
from nmlib._memory import lacks_memory, reused_memory
from nmlib.data import ImageData
from nmlib.data.loader import Batches, LoaderBatches, images_of
from nmlib.data.reading import LazyImages, as_images
from nmlib.identity import structure_of, text_of
from nmlib.models.points import Mixable
from nmlib.provenance import provenance
from nmlib.rng import Rng
from nmlib.schemes import Scheme
from nmlib.training.checkpoints import CheckpointFolder
from nmlib.training.checks import (
    check_arguments,
    check_classes,
    check_device,
    check_sizes,
    with_sizes_of,
    without_wrappers,
)
from nmlib.training.environment import Stop, backend, open_tensorboard
from nmlib.training.errors import OutOfMemory
from nmlib.training.execution import Execution
from nmlib.training.held_out import hold_out
from nmlib.training.loop import Loop
from nmlib.training.progress import open_progress, print_message
from nmlib.training.recipe import Recipe
from nmlib.training.record import Run, RunFiles
from nmlib.training.step import Network, Objective
from nmlib.training.workers import Workers, workers

__all__ = ["fit"]

Log = Callable[[str], None]


def fit(
    model: Mixable,
    train: ImageData | LazyImages | Dataset | DataLoader,
    scheme: Scheme,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    out: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
    on_epoch: Callable[[Run], object] | None = None,
    on_row: Callable[[Run], object] | None = None,
    stop: Callable[[], bool] | None = None,
    log: Log | None = None,
    execution: Execution | None = None,
    details: Mapping[str, Any] | None = None,
) -> Run:
    r"""Train a model by one of the schemes.

    $$\theta_{t+1} = \theta_t - \eta_t\,\mathrm{Nesterov}\big(\nabla_\theta \hat L(\theta_t)\big)$$

    with $\hat L$ = `batch_loss` for every scheme and $\eta_t$ from the recipe. The model is trained
    in place, on `device`. With `out`, the run is saved there; killed at any moment and called again
    with the same arguments, it goes on where it was saved and ends with the same weights, bit for
    bit on a CPU with as many threads (on a GPU with `Execution(deterministic=True)`, as far as
    PyTorch has such kernels). All draws are keyed by (seed, epoch, step, part), so nothing but
    weights and momenta is needed for that. No test images are seen.

    Started by `accelerate launch` or torchrun, several processes share the parts of each step
    (`Recipe.parts`); the weights are those of one process with as many parts, up to the order of
    sums. Batch statistics are those of each part, in one process or several, and running ones take
    in all parts in their order. `out` must be a folder that all of them see.

    Args:
        model: From `build_model`, or `MixPoints` of any network of images (N, 3, H, W) in [0, 1]. A
            compiled or parallel one is unwrapped; a compiled one is compiled again, part by part.
        train: Training images: `ImageData`, which lie on the device; a map-style Dataset of
            (Pillow image or tensor, label), or `LazyImages` of one, which reads it in worker
            processes; or a DataLoader. Views are made on the device, and `Recipe.augment` flips and
            crops the images of all three: turn it off if a transform does so. Floats must lie in
            [0, 1]; the model normalises, not the transform. What a Dataset draws from global
            generators is keyed by (seed, epoch, index), so its runs resume as exactly as those of
            `ImageData`. A DataLoader has its own batch size, which replaces the recipe's; a line of
            the log says what a resumed run repeats of it, see `nmlib.data.loader.LoaderBatches`.
        scheme: One of `SCHEMES`, or your own.
        recipe: Optimiser settings; default the paper's (200 epochs).
        seed: Of all draws; not of the initial weights, which `build_model` draws.
        out: Folder of checkpoints (two are kept), metrics.jsonl and run.json.
        device: Default: the accelerator, or the CPU.
        progress: Show loss, accuracy, images per second and the time left.
        on_epoch: Called with the run after every epoch, e.g. to draw its loss.
        on_row: Called with the run after every row of metrics (`Execution.log_every`).
        stop: Called after every step; True ends the training as Ctrl-C does. Signals reach the main
            thread only, so in another thread this is the way to end it.
        log: Called with messages (resumed, damaged checkpoint); default: print to standard error.
        execution: How to carry it out: compiling, memory layout, reproducible kernels, how often to
            log and to save.
        details: Recorded in run.json, e.g. the model's name.

    Returns:
        The run: model, rows of metrics, provenance.

    Raises:
        TrainingDiverged: If the loss becomes NaN or infinite; names step, scheme and checkpoint.
        TrainingInterrupted: After Ctrl-C, SIGTERM or `stop`, when all is saved.
        OutOfMemory: If a step, or the images, do not fit into the device's memory; names what to
            lower.
        CheckpointMismatch: If `out` holds a run of another scheme, model, data set or recipe.
        OSError: If a checkpoint cannot be written; those before stay.
        ValueError: For settings that do not fit together; for images outside [0, 1] or labels that
            the model has no output for, with the batch that holds them.
        RuntimeError: If an image cannot be read; names it. The steps before it are saved.

    Source: paper sec. 4.1.

    >>> import nmlib as nm
    >>> data = nm.load("fashion-mini").first(32)
    >>> recipe = Recipe(epochs=1, batch_size=16)
    >>> model = nm.build_model("preact_resnet_small")
    >>> fit(model, data, nm.Scheme("baseline"), recipe, device="cpu", progress=False)
    Run(baseline, seed 0, fashion-mini, 1 epochs, finished, training loss ...)
    """
    recipe = Recipe() if recipe is None else recipe
    execution = Execution() if execution is None else execution
    model, compiled = without_wrappers(model)
    data = train if isinstance(train, DataLoader) else as_images(train)
    check_arguments(model, data, scheme, recipe, execution)
    seed = _checks.integer("seed", seed, 0)
    compile = execution.compile or compiled
    shared = workers(device, execution.accelerator)
    check_device(shared.device)
    if isinstance(data, DataLoader):
        recipe = with_sizes_of(data, recipe, shared)
    rows, held_out = hold_out(data, recipe.validation, seed)
    check_sizes(model, images_of(data) if rows is None else len(rows), scheme, recipe, shared)

    with _room(shared.device, data):
        model.to(shared.device)
        if execution.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        batches = _batches(data, rows, recipe, seed, shared)
        batches.num_classes = check_classes(model, batches)
    run = Run(
        model=model,
        scheme=scheme,
        recipe=recipe,
        seed=seed,
        data=batches.about,
        steps=recipe.epochs * len(batches),
        out=None if out is None else user_path(out),
        details=_checks.storable("details", details or {}),
    )
    now = provenance(
        device=_device_name(shared.device), workers=shared.count, compile=compile,
        channels_last=execution.channels_last, deterministic=execution.deterministic,
    )["provenance"]  # fmt: skip
    network = Network(model, recipe.precision, compile)
    stream = Rng(seed, shared.device).fold("training")
    objective = shared.wrap(Objective(network, scheme, stream))
    loop = Loop(
        run, objective, recipe.optimiser(model), batches, shared,
        images=batches.images, held_out=held_out, execution=execution,
    )  # fmt: skip
    loop.on_epoch, loop.on_row = on_epoch, on_row
    say = log or print_message

    with ExitStack() as stack:
        stack.callback(batches.close)
        if run.out is not None:
            run.out.mkdir(parents=True, exist_ok=True)
            if shared.main:
                stack.enter_context(alone_in(run.out, "training"))
            layout = "channels_last" if execution.channels_last else "plain"
            identity = _identity(run) | {"layout": layout}
            loop.checkpoints = CheckpointFolder(run.out, identity, _texts(run))
            _resume(loop, say)
        model.train()
        if run.finished:
            if run.out is not None and shared.main:
                RunFiles(run.out).restore(run)
            return run
        run.begin_stretch(now)
        if run.out is not None and shared.main and batches.promise:
            say(f"{batches.about['label']}: {batches.promise}")
        if run.out is not None and shared.main:
            loop.files = RunFiles(run.out)
            loop.files.begin(run.rows)
            loop.files.record(run.record())
        if execution.tensorboard and shared.main:
            loop.board = open_tensorboard(run.out, run.step)
            stack.callback(loop.board.close)
        loop.progress = open_progress(
            progress and shared.main, run.step, run.steps, recipe.epochs, log
        )
        stack.callback(loop.progress.close)
        stack.enter_context(backend(execution.deterministic, shared.device))
        stack.enter_context(reused_memory(shared.device))
        request = stack.enter_context(Stop(stop))
        try:
            loop.go(request)
        except RuntimeError as error:
            if lacks_memory(error):
                raise loop.out_of_memory(error) from error
            raise
    return run


def _batches(
    data: ImageData | LazyImages | DataLoader,
    rows: Tensor | None,
    recipe: Recipe,
    seed: int,
    shared: Workers,
) -> Batches | LoaderBatches:
    if isinstance(data, DataLoader):
        return LoaderBatches(data, rng=Rng(seed), augment=recipe.augment, device=shared.device)
    return Batches(
        data, recipe.batch_size, rng=Rng(seed), augment=recipe.augment,
        drop_last=recipe.drop_last, device=shared.device, subset=rows,
        rank=shared.rank, world_size=shared.count,
    )  # fmt: skip


@contextmanager
def _room(device: torch.device, data: Any) -> Iterator[None]:
    """Raise OutOfMemory with a remedy if model and images do not fit into the device's memory."""
    try:
        yield
    except RuntimeError as error:
        if not lacks_memory(error):
            raise
        what, fewer = "the model", ""
        if isinstance(data, ImageData):
            what += f" and {len(data):,} images ({data.images.nbytes / 1e6:,.0f} MB)"
            fewer = "Train on fewer images, e"
        raise OutOfMemory(
            f"{device} has too little free memory for {what}. {fewer or 'E'}nd what else uses the "
            f"device, or choose another ({str(error).splitlines()[0][:200]})"
        ) from error


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _identity(run: Run) -> dict[str, Any]:
    """Return what makes this run the same run; a checkpoint of another is refused."""
    return {
        "scheme": run.scheme,
        "model": {
            "name": run.details.get("model", type(run.model).__name__),
            "parameters": sum(p.numel() for p in run.model.parameters()),
            "structure": structure_of(run.model),
        },
        "data": run.data,
        "recipe": run.recipe,
        "seed": run.seed,
    }


def _texts(run: Run) -> dict[str, str]:
    """Return the entries that version 1 of the identity wrote as text."""
    model, data = run.model, run.data
    count = sum(p.numel() for p in model.parameters())
    shapes = text_of([(k, tuple(v.shape)) for k, v in model.state_dict().items()])
    built = hashlib.blake2b((shapes + text_of(model)).encode(), digest_size=4).hexdigest()
    name = run.details.get("model", type(model).__name__)
    return {
        "model": f"{name} with {count:,} parameters ({built})",
        "data": f"{data['label']}, {data['images']} images, fingerprint {data['fingerprint']}",
        "seed": str(run.seed),
    }


def _resume(loop: Loop, log: Log) -> None:
    """Go back to the newest checkpoint, if there is one."""
    assert loop.checkpoints is not None
    run, shared = loop.run, loop.shared

    def read() -> dict[str, Any] | None:
        assert loop.checkpoints is not None
        told = log if shared.main else (lambda text: None)
        return loop.checkpoints.newest(told, set_aside=shared.main)

    content = None
    if shared.main:
        loop.checkpoints.sweep()
        content = read()
    # The first process may set damaged files aside, so the others look after it.
    shared.wait()
    if not shared.main:
        content = read()
    if content is None:
        return
    loop.restore(content)
    if shared.main and not run.finished:
        epoch = run.step // loop.per_epoch + 1
        log(f"going on in {run.out} at step {run.step} of {run.steps} (epoch {epoch})")
