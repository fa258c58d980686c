"""`fit` on Datasets and DataLoaders: the same steps, exact resumption, nothing trained wrongly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from data.sets import Broken, Pictures, Stream, normalised, pixels, shaken, to_tensor
from rehearsal import GPU, rehearse
from torch.utils.data import DataLoader
from training.any_data import EPOCHS, STEPS, train
from training.small import equal, network, quick

import nmlib as nm
from nmlib.training import Recipe, TrainingInterrupted, load_weights
from nmlib.training.record import read_rows, read_run

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(epochs=2, batch_size=16)


def sets(count=40):
    """The same images in memory, as Pillow images and as floats."""
    images = pixels(count)
    memory = nm.ImageData.of(images, torch.arange(count) % 3, classes="abc")
    return memory, Pictures(images), Pictures(images, to_tensor)


def weights(run):
    return run.model.state_dict()


# -- the same training ----------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [0, 8])
def test_a_dataset_trains_as_its_images_in_memory_do(validation):
    recipe = Recipe(epochs=2, batch_size=16, validation=validation)
    memory, pictures, floats = (quick(network(), data, recipe=recipe) for data in sets())
    for run in (pictures, floats):
        assert equal(weights(run), weights(memory))
        assert [e["loss"] for e in run.epochs] == [e["loss"] for e in memory.epochs]
        if validation:
            assert [e["val_loss"] for e in run.epochs] == [e["val_loss"] for e in memory.epochs]


def test_a_loader_brings_its_batch_size():
    memory, _, floats = sets()
    loader = DataLoader(floats, 20, drop_last=True)
    recipe = Recipe(epochs=1, batch_size=128, augment=False)
    run = quick(network(), loader, recipe=recipe, channels_last=False)
    assert (run.steps, run.recipe.batch_size, run.recipe.drop_last) == (2, 20, True)
    assert run.data["label"] == "Pictures" and run.data["images"] == 40
    model = network()
    optimiser = run.recipe.optimiser(model)
    for step in range(2):
        x = memory.images[20 * step : 20 * step + 20].permute(0, 3, 1, 2) / 255
        y = memory.labels[20 * step : 20 * step + 20]
        rng = nm.Rng(0).fold("training", 0, step, 0)
        optimiser.param_groups[0]["lr"] = run.recipe.rate(step, 2)
        optimiser.zero_grad()
        nm.batch_loss(model, (x, y), run.scheme, rng).total.backward()
        optimiser.step()
    for mine, other in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=2e-4, atol=2e-6)


# -- resumed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_killed_in_the_middle_of_an_epoch_it_ends_with_the_same_weights(tmp_path, start):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(whole, workers=0)
    script = [sys.executable, "-m", "training.any_data", str(broken), start]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    for number in (signal.SIGKILL, signal.SIGINT) if start == "fork" else (signal.SIGKILL,):
        process = subprocess.Popen(
            script, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        wanted = STEPS + 2 if number == signal.SIGKILL else 3 * STEPS + 2
        while process.poll() is None and not reached(broken, wanted):
            time.sleep(0.02)
        # Ctrl-C reaches the workers, too.
        (os.kill if number == signal.SIGKILL else os.killpg)(process.pid, number)
        message = process.communicate(timeout=60)[1]
        if number == signal.SIGINT and process.returncode:
            assert "TrainingInterrupted" in message and "goes on from there" in message
    run = train(broken)
    assert run.step == EPOCHS * STEPS
    assert equal(load_weights(broken), load_weights(whole))
    first, second = (
        [{k: v for k, v in row.items() if "second" not in k} for row in read_rows(folder)]
        for folder in (whole, broken)
    )
    assert first == second


def reached(folder, step):
    return any(int(p.stem.split("-")[1]) >= step for p in folder.glob("checkpoint-*.pt"))


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_a_shuffled_loader_goes_on_with_the_same_batches(tmp_path, options):
    def run(out, said=None, **more):
        loader = DataLoader(Pictures(pixels(40), shaken), 8, shuffle=True, **options)
        return quick(network(dropout=0.3), loader, recipe=Recipe(epochs=3), out=out, log_every=1,
                     log=(said if said is not None else []).append, **more)  # fmt: skip

    whole, said = run(tmp_path / "whole"), []
    steps = iter(range(1000))
    with pytest.raises(TrainingInterrupted):
        run(tmp_path / "cut", said, stop=lambda: next(steps) == 6)
    assert "Pictures: a resumed run repeats all draws of the scheme, and those" in said[0]
    assert equal(weights(run(tmp_path / "cut")), weights(whole))


def test_a_generator_of_ones_own_is_told(tmp_path):
    said = []
    loader = DataLoader(sets()[2], 8, shuffle=True, generator=torch.Generator())
    quick(network(), loader, recipe=RECIPE, out=tmp_path, log=said.append)
    assert "the DataLoader has a generator of its own, which starts anew" in said[0]


def test_other_images_are_another_run(tmp_path):
    quick(network(), sets()[1], recipe=RECIPE, out=tmp_path)
    record = read_run(tmp_path)["data"]
    assert record["label"] == "Pictures" and record["images"] == 40 and record["fingerprint"]
    with pytest.raises(nm.training.CheckpointMismatch, match="fingerprint"):
        quick(network(), sets()[2], recipe=RECIPE, out=tmp_path)


# -- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_costs_no_steps(tmp_path, workers):
    images = pixels(40)
    data = nm.LazyImages(Broken(images), num_workers=workers, fingerprint="same")
    options = dict(recipe=Recipe(epochs=1, batch_size=4), out=tmp_path, log_every=100)
    with pytest.raises(RuntimeError, match="image 7 of Broken cannot be read"):
        quick(network(), data, **options)
    done = read_rows(tmp_path)[-1]["step"]
    assert load_weights(tmp_path) and 0 < done < 10
    mended = nm.LazyImages(Pictures(images), label="Broken", fingerprint="same")
    again = quick(network(), mended, **options)
    assert equal(weights(again), weights(quick(network(), mended, recipe=options["recipe"])))
    assert [row["step"] for row in again.rows] == [done, 10, 10]


class Late(Pictures):
    """Normalised, but the first images do not show it."""

    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return (normalised if index > 19 else to_tensor)(image), label


@pytest.mark.parametrize("scheme", ["baseline", "noisymix"])
@pytest.mark.parametrize("start", [0, 1])
def test_normalised_images_are_refused_with_the_step(scheme, start):
    dataset = [Late, lambda images: Pictures(images, normalised)][start](pixels(40))
    where = f"epoch 0, step {2 - 2 * start}, of .*"
    model = network()
    with pytest.raises(ValueError, match=f"{where}.*take Normalize out of the transform"):
        quick(model, DataLoader(dataset, 8), scheme, recipe=RECIPE)
    if start:
        assert equal(network().state_dict(), model.state_dict())
    with pytest.raises(ValueError, match=r"image \d+ of .*take Normalize out of the transform"):
        quick(model, dataset, scheme, recipe=RECIPE)


def test_on_a_gpu_they_are_found_with_the_losses_at_no_wait_of_their_own():
    options = dict(scheme="noisymix", recipe=RECIPE, device=GPU, log_every=2)
    right, wrong = network(), network()
    with rehearse() as stage:
        quick(right, DataLoader(sets()[2], 8, generator=torch.Generator()), **options)
    # After 2, 4, 5, 6, 8 and 10 steps.
    seen = {name: n for name, n in stage.waits.items() if ".training.loop" in name}
    assert seen == {"nmlib.training.loop:Loop.flush": 6}
    with (
        rehearse(),
        pytest.raises(ValueError, match=r"epoch 0, step 2, must lie in \[0, 1\].*Norm"),
    ):
        quick(wrong, DataLoader(Late(pixels(40)), 8, generator=torch.Generator()), **options)


TEST = Pictures(pixels(40), to_tensor)
TEST.train = False


@pytest.mark.parametrize(
    ("data", "recipe", "error", "message"),
    [
        (Stream(pixels()), RECIPE, TypeError, "Stream gives no image by its index"),
        (DataLoader(Stream(pixels()), 4), RECIPE, TypeError, "give that class a __len__"),
        (Pictures(pixels()[:0]), RECIPE, ValueError, "holds no images"),
        (TEST, RECIPE, ValueError, "nothing is trained or selected on them"),
        (DataLoader(TEST, 8), RECIPE, ValueError, "nothing is trained or selected on them"),
        (
            DataLoader(sets()[2], 8), Recipe(validation=3), ValueError,
            r"cannot be split for Recipe\(validation=...\); pass its Dataset",
        ),
        (DataLoader(sets()[2], 39), RECIPE, ValueError, "without a partner"),
        ([(torch.zeros(3, 8, 8), 3)] * 4, RECIPE, ValueError, r"up to 3 .*num_classes=4"),
        ([(torch.zeros(3, 8, 8), k) for k in (0, 5)], RECIPE, ValueError, "label 5, .* 3 outputs"),
    ],
)  # fmt: skip
def test_refused(data, recipe, error, message):
    with pytest.raises(error, match=message):
        quick(network(), data, recipe=recipe)
