"""The loop: against one written out, what it records, what it refuses."""

import copy
import json
import sys

import pytest
import torch
from torch import nn
from training.small import SCHEMES, equal, images, network, quick

import nmlib as nm
from nmlib.data.loader import Batches
from nmlib.training import Execution, OutOfMemory, Recipe, TrainingDiverged, fitting, load_weights
from nmlib.training.record import read_rows
from nmlib.training.step import slices


@pytest.mark.parametrize("scheme", SCHEMES)
def test_against_a_loop_written_out(scheme):
    """PyTorch's own scheduler, one batch_loss a step, nothing else."""
    data, recipe = images(), Recipe(epochs=3, batch_size=16, weight_decay=0.01)
    run = quick(network(), data, scheme, recipe=recipe, seed=7, channels_last=False)
    model = network()
    optimiser = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 15, eta_min=1e-6)
    batches = Batches(data, 16, rng=nm.Rng(7), drop_last=False)
    losses = []
    for epoch in range(3):
        for step, batch in enumerate(batches.epoch(epoch)):
            rng = nm.Rng(7).fold("training", epoch, step, 0)
            loss = nm.batch_loss(model, batch, SCHEMES[scheme], rng).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append((len(batch[1]), loss.item()))
    for mine, plain in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, plain, rtol=2e-4, atol=2e-6)
    for row, first in zip(run.epochs, (0, 5, 10), strict=True):
        mean = sum(n * loss for n, loss in losses[first : first + 5]) / 72
        assert row["loss"] == pytest.approx(mean, rel=1e-4)


def test_it_learns():
    run = quick(network(), scheme="baseline", recipe=Recipe(epochs=15, batch_size=24))
    assert run.epochs[-1]["accuracy"] > 0.9 > 0.6 > run.epochs[0]["accuracy"]
    assert run.epochs[-1]["loss"] < 0.3 < run.epochs[0]["loss"]


def test_rows_and_record(tmp_path):
    data = images()
    seen = []
    run = quick(
        network(), data, recipe=Recipe(epochs=2, batch_size=16, validation=12), out=tmp_path,
        log_every=2, on_epoch=lambda r: seen.append((r.step, len(r.epochs))),
        details={"model": "three stages"},
    )  # fmt: skip
    assert seen == [(4, 1), (8, 2)]
    assert [(r["kind"], r["epoch"], r["step"]) for r in run.rows] == [
        ("step", 0, 2), ("step", 0, 4), ("epoch", 0, 4),
        ("step", 1, 6), ("step", 1, 8), ("epoch", 1, 8),
    ]  # fmt: skip
    for row in run.rows:
        assert row["loss"] == pytest.approx(row["ce"] + 2.0 * row["jsd"], rel=1e-5)
        assert 0 <= row["accuracy"] <= 1
        assert row["learning_rate"] == run.recipe.rate(row["step"] - 1, 8)
        assert row["images_per_second"] > 0
        assert ("val_accuracy" in row) == (row["kind"] == "epoch")
    assert [s for s, _ in run.series("val_accuracy")] == [4, 8]
    assert len(run.series("loss", "step")) == 4
    assert read_rows(tmp_path) == run.rows
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["details"] == {"model": "three stages"}
    assert record["data"] == {"label": "squares", "fingerprint": data.fingerprint, "images": 72}
    assert record["scheme"] == "noisymix" and record["finished"]
    assert {"commit", "torch", "device", "workers"} <= set(record["provenance"])
    # A line that is being written is left out.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "st')
    assert read_rows(tmp_path) == run.rows


def test_the_seed_decides_all_and_no_global_state_is_used():
    before = torch.get_rng_state()
    runs = [quick(network(dropout=0.4), seed=s) for s in (3, 3, 4)]
    assert equal(before_state := {"x": before}, {"x": torch.get_rng_state()}), before_state
    torch.rand(5)
    runs.append(quick(network(dropout=0.4), seed=3))
    states = [r.model.state_dict() for r in runs]
    assert equal(states[0], states[1]) and equal(states[0], states[3])
    assert not equal(states[0], states[2])


def test_pytorchs_dropout_draws_anew_every_step():
    class Watched(nn.Dropout):
        def forward(self, x):
            out = super().forward(x)
            masks.append((out != 0).flatten())
            return out

    masks = []
    model = network()
    model.stages[0].append(Watched(0.5))
    quick(model, scheme="baseline", recipe=Recipe(epochs=1, batch_size=36, augment=False))
    first, second = (m for m in masks if len(m) == 36 * 8 * 64)
    assert 0.6 < (first == second).float().mean() < 0.95


def test_images_kept_out_are_not_trained_on_and_decide_nothing():
    data = images(60)
    rows, kept_out = fitting.hold_out(data, 20, seed=2)
    assert len(rows) == 40 and len(kept_out) == 20
    used = {tuple(i.flatten().tolist()) for i in data.images[rows]}
    assert not used & {tuple(i.flatten().tolist()) for i in kept_out.images}
    assert torch.equal(fitting.hold_out(data, 20, seed=2)[0], rows)
    assert not torch.equal(fitting.hold_out(data, 20, seed=3)[0], rows)
    run = quick(network(), data, "baseline", recipe=Recipe(epochs=2, batch_size=20, validation=20),
                seed=2)  # fmt: skip
    assert run.steps == 4
    # The reported numbers are those of the kept images and the last weights.
    model = run.model.eval()
    with torch.no_grad():
        logits = model(kept_out.images.permute(0, 3, 1, 2) / 255)
    accuracy = float((logits.argmax(1) == kept_out.labels).float().mean())
    loss = float(nn.functional.cross_entropy(logits, kept_out.labels))
    assert run.epochs[-1]["val_accuracy"] == pytest.approx(accuracy)
    assert run.epochs[-1]["val_loss"] == pytest.approx(loss, rel=1e-5)
    cut = nm.ImageData(**{**vars(data), "images": data.images[rows], "labels": data.labels[rows]})
    # Measuring them changes nothing: the same losses as without, and the same weights.
    alone = quick(network(), cut, "baseline", recipe=Recipe(epochs=2, batch_size=20), seed=2)
    assert [e["loss"] for e in run.epochs] == [e["loss"] for e in alone.epochs]
    for mine, other in zip(model.parameters(), alone.model.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_parts_add_up_to_the_batch_without_mixing():
    whole = quick(network(), scheme="baseline", recipe=Recipe(epochs=2, batch_size=16))
    for parts in (2, 5):
        cut = quick(
            network(), scheme="baseline", recipe=Recipe(epochs=2, batch_size=16, parts=parts)
        )
        for a, b in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
        assert cut.epochs[-1]["loss"] == pytest.approx(whole.epochs[-1]["loss"], rel=1e-4)
        assert cut.epochs[-1]["accuracy"] == pytest.approx(whole.epochs[-1]["accuracy"])
    assert [s.stop - s.start for s in slices(16, 5)] == [3, 3, 3, 3, 4]


def test_only_the_network_runs_in_bfloat16():
    class Looking(nm.AugMix):
        def make(self, x, y, model, rng):
            types.append((torch.is_autocast_enabled("cpu"), x.dtype))
            return super().make(x, y, model, rng)

    types, outputs = [], []
    scheme = nm.Scheme("augmix", views=Looking(), stability=1.0)
    model = network()
    model.stages[0].register_forward_hook(lambda m, i, out: outputs.append(out.dtype))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run = quick(model, images(side=32), scheme,
                recipe=Recipe(epochs=1, batch_size=36, precision="bf16"))  # fmt: skip
    assert types == [(False, torch.float32)] * 2
    assert outputs[1:] == [torch.bfloat16] * 2  # the first image is the check of the classes
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not equal(before, model.state_dict())
    full = quick(network(), images(side=32), nm.Scheme("augmix", views=nm.AugMix(), stability=1.0),
                 recipe=Recipe(epochs=1, batch_size=36))  # fmt: skip
    assert run.epochs[0]["loss"] == pytest.approx(full.epochs[0]["loss"], rel=0.02)


def test_compiled_by_stages(monkeypatch, tmp_path):
    compiled = []

    def eager(module, **options):
        compiled.append(module)
        return compile_(module, backend="aot_eager", **options)

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", eager)
    model = network()
    stages = list(model.stages)
    run = quick(model, recipe=Recipe(epochs=2, batch_size=24), compile=True, out=tmp_path)
    assert compiled == stages
    assert list(model.stages) == stages  # the model itself is as it was
    plain = quick(network(), recipe=Recipe(epochs=2, batch_size=24))
    for a, b in zip(run.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert load_weights(tmp_path).keys() == plain.model.state_dict().keys()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_what_is_inside_a_wrapper_is_trained(monkeypatch, compiled, parallel):
    seen = []

    def eager(module, **options):
        seen.append(module)
        return compile_(module, backend="aot_eager", **options)

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", eager)
    model = wrapped = network()
    wrapped = nn.DataParallel(wrapped) if parallel else wrapped
    wrapped = torch.compile(wrapped) if compiled else wrapped
    seen.clear()
    run = quick(wrapped, recipe=Recipe(epochs=2, batch_size=24))
    assert run.model is model and seen == (list(model.stages) if compiled else [])
    plain = quick(network(), recipe=Recipe(epochs=2, batch_size=24))
    for a, b in zip(model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_distributed_models_are_trained_inside_and_threads_on_several_devices_refused():
    model = network()
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        run = quick(nn.parallel.DistributedDataParallel(model))
    finally:
        torch.distributed.destroy_process_group()
    assert run.model is model and equal(model.state_dict(), quick(network()).model.state_dict())
    threads = nn.DataParallel(network())
    threads.device_ids = [0, 1]
    with pytest.raises(ValueError, match=r"model\.module .* torchrun"):
        quick(threads)
    assert quick(threads.module).finished


def test_channels_last_changes_the_layout_alone():
    # Without noise, which is drawn in the order of memory.
    runs = [quick(network(), scheme="mixup", channels_last=on) for on in (True, False)]
    weights = [r.model.stages[1][0].weight for r in runs]
    assert weights[0].is_contiguous(memory_format=torch.channels_last)
    assert weights[1].is_contiguous()
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-5)


# -- progress -------------------------------------------------------------------------------------


def test_a_bar_with_loss_accuracy_speed_and_time_left(capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    quick(network(), progress=True)
    shown = capsys.readouterr().err
    for part in ("epoch 3/3", "loss ", "accuracy ", "images/s", "15/15", "<00:00"):
        assert part in shown


def test_lines_without_tqdm(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    quick(network(), progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all("loss" in s and "accuracy" in s and "images/s" in s and "s left" in s for s in lines)
    assert lines[2].startswith("epoch 3/3:") and lines[2].endswith(" 0 s left")


def test_silence(capsys):
    quick(network())
    assert capsys.readouterr() == ("", "")


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(ValueError, match="give fit out="):
        quick(network(), tensorboard=True)
    run = quick(network(), out=tmp_path, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    loss = [(e.step, e.value) for e in events.Scalars("epoch/loss")]
    assert loss == [(s, pytest.approx(v, rel=1e-6)) for s, v in run.series("loss")]


def test_without_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        quick(network(), out=tmp_path, tensorboard=True)


# -- what goes wrong ------------------------------------------------------------------------------


class Poisoned(nn.Module):
    """Returns NaN (or has a NaN gradient) from its n-th training pass on."""

    def __init__(self, after, gradient=False):
        super().__init__()
        self.after, self.gradient, self.passes = after, gradient, 0

    def forward(self, x):
        if not self.training:
            return x
        self.passes += 1
        if self.passes <= self.after:
            return x
        if not self.gradient:
            return x * float("nan")
        x.register_hook(lambda g: g * float("nan"))
        return x * 1.0


@pytest.mark.parametrize("log_every", [1, 3, 10])
def test_a_loss_of_nan_names_step_scheme_and_checkpoint(tmp_path, log_every):
    model = network()
    model.stages[0].append(Poisoned(7))
    with pytest.raises(TrainingDiverged) as error:
        quick(model, out=tmp_path, log_every=log_every, checkpoint_seconds=0)
    saved = {1: 7, 3: 6, 10: 5}[log_every]  # an epoch has five steps
    assert (error.value.step, error.value.scheme) == (7, "noisymix")
    assert error.value.checkpoint == tmp_path / f"checkpoint-{saved:08d}.pt"
    for part in ("the loss became nan", "step 7 (epoch 2)", "'noisymix'", f"{saved:08d}.pt",
                 "learning_rate"):  # fmt: skip
        assert part in str(error.value)
    assert all(torch.isfinite(w).all() for w in load_weights(tmp_path).values())


def test_weights_of_nan_are_not_saved(tmp_path):
    model = network()
    model.stages[0].append(Poisoned(7, gradient=True))
    with pytest.raises(TrainingDiverged, match=r"weights became NaN .* at step 7 .*00000007\.pt"):
        quick(model, out=tmp_path, log_every=1, checkpoint_seconds=0)
    assert all(torch.isfinite(w).all() for w in load_weights(tmp_path).values())


def test_a_rate_that_is_too_high_stops_early():
    data = images()
    with pytest.raises(TrainingDiverged, match="No checkpoint was saved before"):
        quick(network(norm="group"), data, "baseline",
              recipe=Recipe(epochs=40, batch_size=8, learning_rate=1e18))  # fmt: skip


def test_puzzlemix_of_a_network_that_diverged_says_the_same(tmp_path):
    """Its saliency runs the network before the loss does."""
    model = nm.build_model("preact_resnet_small", num_classes=10, seed=0)
    with pytest.raises(TrainingDiverged) as error:
        nm.fit(model, images(48, 10, side=32), nm.SCHEMES["puzzlemix"],
               Recipe(epochs=2, batch_size=16, learning_rate=1e12), out=tmp_path,
               execution=Execution(log_every=1),
               device="cpu", progress=False)  # fmt: skip
    assert error.value.scheme == "puzzlemix" and error.value.step >= 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nmore"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_says_what_to_lower(error):
    class Hungry(nn.Module):
        def forward(self, x):
            if self.training:
                raise error
            return x

    model = network()
    model.stages[1].append(Hungry())
    with pytest.raises(OutOfMemory) as told:
        quick(model)
    for part in ("16 images", "3 view(s)", "parts=2", "precision='bf16'", "smaller batch_size"):
        assert part in str(told.value)
    assert told.value.__cause__ is error


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_before_the_first_step(monkeypatch, kind, tmp_path):
    def full(*args, **options):
        raise kind("CUDA out of memory. Tried to allocate 9 GiB.\nmore")

    monkeypatch.setattr(fitting, "Batches", full)
    with pytest.raises(OutOfMemory, match=r"cpu has too .* 72 images \(0 MB\).*fewer images"):
        quick(network(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    model = network()
    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(OutOfMemory, match="cpu has no free memory: end what else uses it"):
        quick(model)


def test_other_errors_pass_as_they_are():
    class Broken(nn.Module):
        def forward(self, x):
            if self.training:
                raise RuntimeError("something else")
            return x

    model = network()
    model.stages[1].append(Broken())
    with pytest.raises(RuntimeError, match=r"^something else$"):
        quick(model)


TEST_SPLIT = nm.ImageData(**{**vars(images()), "split": "test"})
LABELS = nm.ImageData(**{**vars(images(classes=5))})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": nn.Linear(2, 2)}, TypeError, r"Linear; .*MixPoints\(model"),
        ({"data": (1, 2)}, TypeError, "ImageData, a Dataset or a DataLoader, got tuple"),
        ({"data": [1, 2]}, TypeError, r"image 0 of list: it is 1; a Dataset gives"),
        ({"scheme": 3}, TypeError, "must be a Scheme such as"),
        ({"recipe": {"epochs": 3}}, TypeError, "must be a Recipe"),
        ({"data": TEST_SPLIT}, ValueError, "nothing is trained or selected on them"),
        ({"data": LABELS}, ValueError, r"labels up to 4 .* 3 outputs.*num_classes=5"),
        ({"scheme": nm.Scheme("far", noise=nm.Noise(1), points=(3,))}, ValueError, "points 0 to 2"),
        ({"device": "tpu9"}, (ValueError, RuntimeError), "tpu9"),
        ({"execution": {"compile": True}}, TypeError, "must be an Execution"),
        ({"log_every": 0}, ValueError, "log_every must be an integer >= 1"),
        ({"checkpoint_seconds": -1}, ValueError, "checkpoint_seconds"),
        ({"recipe": Recipe(validation=72)}, ValueError, "leaves nothing of 72"),
        ({"recipe": Recipe(batch_size=100, drop_last=True)}, ValueError, "exceeds the 72"),
        # 72 = 5 * 14 + 2 = 71 + 1
        ({"recipe": Recipe(batch_size=14, parts=3)}, ValueError, "2 images, fewer than the 3"),
        ({"recipe": Recipe(batch_size=71)}, ValueError, "without a partner.*drop_last=True"),
        (
            {"recipe": Recipe(batch_size=71), "scheme": "baseline", "model": network(norm="batch")},
            ValueError, "a single view.*drop_last=True",
        ),
    ],
)  # fmt: skip
def test_refused(change, error, message):
    arguments = {"model": network(), "data": images()} | change
    with pytest.raises(error, match=message):
        quick(arguments.pop("model"), arguments.pop("data"), **arguments)


def test_a_device_that_is_not_here():
    if torch.cuda.is_available():
        pytest.skip("CUDA is here")
    with pytest.raises(ValueError, match=r"device 'cuda' cannot be used here.*'cpu'"):
        quick(network(), device="cuda")


def test_the_data_and_the_scheme_are_not_changed():
    data = images()
    before = copy.deepcopy(vars(data))
    quick(network(), data)
    assert torch.equal(before["images"], data.images) and torch.equal(before["labels"], data.labels)


def test_every_named_scheme_runs_a_step():
    data = nm.load("fashion-mini").first(16)
    recipe = Recipe(epochs=1, batch_size=8, learning_rate=0.01)
    for name, scheme in nm.SCHEMES.items():
        model = nm.build_model("preact_resnet_small", seed=1)
        run = quick(model, data, scheme, recipe=recipe)
        assert run.finished and run.scheme.name == scheme.name, name
