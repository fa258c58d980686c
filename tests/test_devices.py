"""What runs on a device: arrays on their way there, and CUDA rehearsed on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rehearsal import GPU, rehearse

import nmlib as nm
from nmlib._devices import to_device
from nmlib.data.image_folder import Preparation
from nmlib.lab.toy.ensemble import Ensemble
from nmlib.objective import apply_draws, draw_batch
from nmlib.training import TrainingInterrupted
from nmlib.training.step import Network
from nmlib.transfer_learning import RECIPES

ARRAYS = [np.arange(6.0).reshape(2, 3), np.arange(6)[::-2], np.zeros(0), torch.arange(3)]


@pytest.mark.parametrize("values", ARRAYS)
def test_values_and_types_arrive(values):
    found = to_device(values, "cpu")
    np.testing.assert_array_equal(found.numpy(), values)
    assert found.numpy().dtype == np.asarray(values).dtype
    assert to_device(values, "meta").shape == values.shape


def test_to_a_gpu_the_copy_takes_its_turn(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: calls.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, device, non_blocking: calls.append(non_blocking) or self
    )
    to_device(np.arange(3), torch.device("cuda", 1))
    assert calls == ["pinned", True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("values", ARRAYS)
def test_values_arrive_on_a_gpu(values):
    np.testing.assert_array_equal(to_device(values, "cuda").cpu().numpy(), values)


# -- CUDA rehearsed: everything that may run on a GPU, on tensors that say they are on one ---------

TOY = {f"toy {k}": s for k, s in nm.fig4_schemes(law="released").items()}
EVERY_SCHEME = TOY | nm.SCHEMES | {f"ablation {k}": s for k, s in nm.ABLATION.items()}

STEP_WAITS = {
    "puzzlemix": {"nmlib.puzzlemix"},  # the minimum cut and the assignment are the host's work
    "augmax": {"nmlib.views._augmax"},  # how many samples the adversary goes on with
}
CORRUPTION_WAITS = {
    "glass_blur": {"nmlib.corruptions._blur"},  # links are followed until none is left
    "motion_blur": {"nmlib.corruptions._blur"},  # a direction is a choice of slices
    "snow": {"nmlib.corruptions._blur"},  # the same
    "frost": {"nmlib.corruptions._weather"},  # textures of several sizes
    "spatter": {"nmlib.corruptions._spatter"},  # edges grow until they stand
}


def batch(scheme, count=8):
    draw = nm.Rng(3).torch()
    if scheme.startswith("toy"):
        return torch.randn(count, 2, generator=draw), torch.arange(count) % 2
    return torch.rand(count, 3, 32, 32, generator=draw), torch.arange(count) % 10


def network(scheme, **options):
    if scheme.startswith("toy"):
        return nm.mlp((2, 8, 2))
    options |= EVERY_SCHEME[scheme].model_options
    if scheme == "nfm":  # with dropout
        return nm.build_model("wrn28_2", depth=10, widen=1, **options)
    return nm.build_model("preact_resnet_small", widths=(8, 8, 16, 16), **options)


@pytest.mark.parametrize("name", EVERY_SCHEME)
def test_steps_of_every_scheme_run_on_the_device_without_waiting_for_it(name):
    scheme, (x, y) = EVERY_SCHEME[name], batch(name)
    with rehearse() as stage:
        model = network(name).to(GPU)
        optimiser = nm.Recipe().optimiser(model)
        gx, gy = x.to(GPU), y.to(GPU)
        stage.waits.clear()
        for step in range(3):
            optimiser.zero_grad()
            rng = nm.Rng(0, GPU).fold(step)
            parts = nm.batch_loss(model, (gx, gy), scheme, rng, validate=False)
            parts.total.backward()
            optimiser.step()
        assert stage.waiting == STEP_WAITS.get(name, set())
        assert {t.device for t in (parts.total, parts.jsd, parts.logits)} == {GPU}
        assert all(p.device == p.grad.device == GPU for p in model.parameters())
        # Looking at values is the one thing more that `validate` costs; all of it works there.
        nm.batch_loss(model, (gx, gy), scheme, rng)
        assert bool(torch.isfinite(parts.total))


@pytest.mark.parametrize("name", ["toy noisymix", "mixup", "cutmix", "puzzlemix", "augmax"])
def test_soft_labels_and_a_stream_of_the_cpu_will_do(name):
    scheme, (x, y) = EVERY_SCHEME[name], batch(name)
    if name not in ("puzzlemix", "augmax"):
        y = torch.eye(10)[y] if x.ndim == 4 else torch.eye(2)[y]
    with rehearse():
        model = network(name).to(GPU)
        parts = nm.batch_loss(model, (x.to(GPU), y.to(GPU)), scheme, nm.Rng(0))
        assert parts.total.device == GPU


@pytest.mark.parametrize("freeze", ["none", "features"])
def test_a_transfer_runs_on_the_device(freeze, monkeypatch):
    # Dropout of others' networks draws from PyTorch's own state, which has no rehearsal.
    monkeypatch.setattr("nmlib.training.loop.drops_out", lambda model: False)
    data = nm.load("fashion-mini").first(32), nm.load("fashion-mini", "test").first(8)
    recipe = replace(
        RECIPES[freeze], epochs=1, batch_size=16, augment=freeze == "none"
    )  # the features are cached where nothing is augmented
    with rehearse():
        found = nm.transfer(
            network("mixup"), *data, freeze, statistics="frozen", recipe=recipe, device=GPU,
            preparation=Preparation(36, 32), progress=False,
            evaluation={"corruptions": ["fog"], "severities": [3]},
        )  # fmt: skip
        assert {p.device for p in found.model.parameters()} == {GPU}
        assert found.cached == (freeze == "features")


def test_ensembles_take_data_of_the_device_and_train_on_the_cpu():
    X, y = (torch.as_tensor(a) for a in nm.make_polygon_band(60, random_state=1))
    schemes, options = list(TOY.values()), dict(seeds=[3, 5], batch_size=20, sizes=(2, 8, 2))
    with rehearse() as stage:
        there = X.to(GPU).requires_grad_()
        ensemble = Ensemble(schemes, there, y.to(GPU), **options)
        stage.waits.clear()
        ensemble.step(3)
        assert not stage.waits
        found = ensemble.logits(there)
    plain = Ensemble(schemes, X, y, **options)
    plain.step(3)
    torch.testing.assert_close(found, plain.logits(X))


def test_fit_waits_when_it_looks_at_the_losses_and_in_between_never():
    data = nm.load("fashion-mini").first(64)
    waits = []
    for epochs in (1, 3):
        recipe = nm.Recipe(epochs=epochs, batch_size=16, parts=2)
        with rehearse() as stage:
            run = nm.fit(network("noisymix"), data, nm.SCHEMES["noisymix"], recipe, device=GPU,
                         progress=False, execution=nm.Execution(log_every=2))  # fmt: skip
            assert next(run.model.parameters()).device == GPU
        waits.append(stage.waits)
    # What comes before the first step is the same: eight more steps, four more looks.
    assert waits[1] - waits[0] == {"nmlib.training.loop:Loop.flush": 4}


def test_fit_stops_and_goes_on_on_the_device(tmp_path):
    data = nm.load("fashion-mini").first(64)
    recipe = nm.Recipe(epochs=2, batch_size=32, validation=16)
    execution = nm.Execution(log_every=1, checkpoint_seconds=0)
    options = dict(device=GPU, progress=False, out=tmp_path, execution=execution)
    asked = iter([False, False, True])
    with rehearse() as stage:
        with pytest.raises(TrainingInterrupted):
            nm.fit(network("augmix"), data, nm.SCHEMES["augmix"], recipe, **options,
                   stop=lambda: next(asked))  # fmt: skip
        run = nm.fit(network("augmix"), data, nm.SCHEMES["augmix"], recipe, **options)
        assert run.finished
        # One a step, one for the held-out images, one a checkpoint.
        assert stage.waits["nmlib.training.loop:Loop.flush"] == 4
        assert stage.waits["nmlib.training.loop:Loop.save"] == 4


@pytest.mark.parametrize("name", [*nm.CORRUPTIONS, *nm.EXTRA_CORRUPTIONS])
@pytest.mark.parametrize(("side", "benchmark"), [(32, "cifar"), (96, "imagenet")])
def test_every_corruption_runs_on_the_device(name, side, benchmark):
    images = torch.randint(
        0, 256, (3, side, side, 3), dtype=torch.uint8, generator=nm.Rng(0).torch()
    )
    with rehearse() as stage:
        there = images.to(GPU)
        stage.waits.clear()
        found = [nm.corrupt(there, name, level, benchmark=benchmark) for level in (1, 3, 5)]
        assert stage.waiting <= CORRUPTION_WAITS.get(name, set())
        assert all(f.device == GPU for f in found)
        found = [f.cpu() for f in found]
    for level, f in zip((1, 3, 5), found, strict=True):
        here = nm.corrupt(images, name, level, benchmark=benchmark)
        assert int((f.int() - here.int()).abs().max()) <= 1


@pytest.mark.parametrize("name", nm.PERTURBATIONS)
def test_every_sequence_runs_on_the_device_without_waiting_for_it(name):
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8, generator=nm.Rng(0).torch())
    with rehearse() as stage:
        there = images.to(GPU)
        stage.waits.clear()
        found = nm.perturbation_sequence(there, name)
        assert found.device == GPU and not stage.waits
        found = found.cpu()
    assert int((found.int() - nm.perturbation_sequence(images, name).int()).abs().max()) <= 1


def test_evaluations_run_on_the_device():
    data = nm.load("fashion-mini", "test").first(12)
    with rehearse() as stage:
        model = network("noisymix").to(GPU)
        stage.waits.clear()
        plain = nm.evaluate(model, data)
        # Whether outputs are probabilities, whether they are finite, and what is found.
        assert stage.waits.total() <= 3
        again = nm.evaluate(network("noisymix"), data, device=GPU, precision="fp32")
        torch.testing.assert_close(again.probabilities, plain.probabilities)
        names = dict.fromkeys(nm.CORRUPTIONS[:2])
        own = {"darker": lambda images, severity, first_index: images // (1 + severity)}
        report = nm.evaluate_corruptions(model, data, corruptions=names | own, severities=[1, 5])
        flips = nm.evaluate_perturbations(model, data, perturbations=["translate", "snow"])
    assert len(report.rows) == 7 and len(flips.rows) == 2
    here = nm.evaluate(network("noisymix"), data)
    torch.testing.assert_close(plain.probabilities, here.probabilities, atol=1e-4, rtol=1e-3)


def probabilities():
    return torch.softmax(torch.randn(400, 6, generator=nm.Rng(0).torch()), 1), torch.arange(400) % 6


def views():
    return (probabilities()[0].view(4, 100, 6),)


MEASURES = {
    "expected calibration error": (nm.expected_calibration_error, probabilities),
    "rms calibration error": (nm.rms_calibration_error, probabilities),
    "aurra": (nm.aurra, probabilities),
    "reliability curve": (nm.reliability_curve, probabilities),
    "brier score": (nm.metrics.brier_score, probabilities),
    "likelihood": (nm.metrics.negative_log_likelihood, probabilities),
    "flips": (nm.flip_probability, lambda: (probabilities()[0].argmax(1).view(20, 20),)),
    "top 5": (nm.metrics.top5_distance, lambda: (probabilities()[0].view(20, 20, 6),)),
    "jsd": (nm.jensen_shannon_divergence, views),
    "jsd, weighted": (lambda p: nm.jensen_shannon_divergence(p, [0.4, 0.3, 0.2, 0.1]), views),
    "kl": (nm.kullback_leibler_divergence, views),
    "kl, weighted": (
        lambda p: nm.kullback_leibler_divergence(p, torch.full((4,), 0.25).to(p)), views,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_takes_tensors_of_the_device(name):
    measure, given = MEASURES[name]
    with rehearse():
        found = measure(*(t.to(GPU) for t in given()))
        found = found.cpu() if isinstance(found, torch.Tensor) else found
    here = measure(*given())
    if isinstance(here, nm.ReliabilityCurve):
        np.testing.assert_array_equal(found.count, here.count)
    else:
        torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(here))


def test_divergences_that_are_not_validated_do_not_wait():
    logits = torch.randn(3, 5, 4, generator=nm.Rng(0).torch())
    weights = torch.full((3,), 1 / 3)
    with rehearse() as stage:
        there, its = logits.to(GPU), weights.to(GPU)
        stage.waits.clear()
        for compare in (nm.jensen_shannon_divergence, nm.kullback_leibler_divergence):
            for w in (None, [0.2, 0.3, 0.5], its):
                compare(there, w, from_logits=True, validate=False)
        assert not stage.waits
        with pytest.raises(ValueError, match="sum to 1"):
            nm.jensen_shannon_divergence(there, its / 2, from_logits=True)
        with pytest.raises(ValueError, match="after the first are 0"):
            nm.kullback_leibler_divergence(there, [1.0, 0.0, 0.0], from_logits=True, validate=False)


def theory(X, y, views, f):
    """Every check of the theory, as numbers."""
    levels = dict(alpha=1.0, sigma_add=0.1, sigma_mult=0.2)
    some = dict(probes=2, partners=2, rng=nm.Rng(0))
    yield nm.theory.nfm_loss_exact(f, X, y, eps=0.1, **levels)
    yield nm.theory.stability_loss_exact(f, views, eps=0.1, **levels)
    for law in ("gaussian", "released"):
        draw = dict(eps=[0.1, 0.2], draws=2, rng=nm.Rng(0), law=law)
        yield nm.theory.nfm_loss_monte_carlo(f, X, y, **levels, **draw, remainder=True).mean
        yield nm.theory.stability_loss_monte_carlo(f, views, **levels, **draw).mean
    for options in ({}, some):
        yield nm.theory.nfm_expansion(f, X, y, **levels, **options).at(0.1)
        yield nm.theory.stability_expansion(f, views, **levels, **options).at(0.1)


def test_the_theory_runs_on_the_device():
    draw = nm.Rng(0).torch()
    X = torch.randn(3, 2, generator=draw, dtype=torch.float64)
    other = torch.randn(2, 3, 2, generator=draw, dtype=torch.float64)
    y, f = torch.tensor([0, 1, 2]), nm.mlp((2, 4, 3), activation="tanh")
    here = list(theory(X, y, other, f))
    with rehearse():
        there = list(theory(X.to(GPU), y.to(GPU), other.to(GPU), f.to(GPU)))
    # Draws of noise are a device's own; in the rehearsal it is the CPU.
    for a, b in zip(here, there, strict=True):
        assert b == pytest.approx(a, rel=1e-9)


@pytest.mark.parametrize("width", [3, 20])
def test_the_adversarial_bound_is_found_on_the_device(width):
    X = torch.randn(6, width, generator=nm.Rng(0).torch(), dtype=torch.float64)
    y = torch.arange(6) % 2
    levels = dict(eps=0.1, alpha=1.0, sigma_add=0.1, sigma_mult=0.2)

    def bound(x, y):
        weights = x[:2]
        return nm.theory.adversarial_bound(
            lambda z: torch.relu(z @ weights.T).sum(-1), x, y, **levels
        )

    here = bound(X, y)
    with rehearse():
        there = bound(X.to(GPU), y.to(GPU))
        assert there.kink_distance.device == GPU
    assert there.adversarial_exact == pytest.approx(here.adversarial_exact)
    assert [a.holds for a in there.assumptions] == [a.holds for a in here.assumptions]


# -- images outside [0, 1] -----------------------------------------------------------------------

OUTSIDE = [
    lambda x: x * 2 - 1,
    lambda x: x * 255,
    lambda x: x.index_fill(0, torch.tensor([2]), float("nan")),
    lambda x: x.index_fill(0, torch.tensor([2]), 1.01),
]
AUGMENTING = ["augmix", "augmix_no_jsd", "augmax", "noisymix"]


@pytest.mark.parametrize("name", AUGMENTING)
@pytest.mark.parametrize("spoil", OUTSIDE)
def test_images_outside_the_range_are_refused_on_any_device(name, spoil):
    scheme, (x, y) = EVERY_SCHEME[name], batch(name)
    for place in (GPU, torch.device("cpu")):
        with rehearse():
            model, wrong, there = network(name).to(place), spoil(x).to(place), y.to(place)
            with pytest.raises(ValueError, match=r"\[0, 1\]"):
                scheme.views.make(wrong, there, model, nm.Rng(0))
            with pytest.raises(ValueError, match=r"\[0, 1\]"):
                nm.batch_loss(model, (wrong, there), scheme, nm.Rng(0))


@pytest.mark.parametrize("name", AUGMENTING)
@pytest.mark.parametrize("spoil", OUTSIDE)
def test_without_a_look_they_make_the_loss_nan_and_never_other_images(name, spoil):
    scheme, (x, y) = EVERY_SCHEME[name], batch(name)
    with rehearse() as stage:
        model, wrong, there = network(name).to(GPU), spoil(x).to(GPU), y.to(GPU)
        stage.waits.clear()
        parts = nm.batch_loss(model, (wrong, there), scheme, nm.Rng(0), validate=False)
        assert stage.waiting <= STEP_WAITS.get(name, set())
        assert bool(parts.total.isnan())
        # The next call looks again.
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            scheme.views.make(wrong, there, model, nm.Rng(0))


@pytest.mark.parametrize("severity", [1, 10])
def test_chains_of_the_device_are_those_of_the_cpu(severity):
    """There, all moves are one resampling; a grey level may be rounded the other way."""
    x, augmix = batch("augmix", 64)[0], nm.AugMix(severity, depth=1)
    plan = augmix.draw(len(x), nm.Rng(5))
    with rehearse():
        found = augmix.chains(x.to(GPU), plan).cpu()
        mixed = augmix.apply(x.to(GPU), plan).cpu()
    here = augmix.chains(x, plan)
    assert int((found.int() - here.int()).abs().max()) <= 1
    assert float((found != here).float().mean()) < 1e-3
    torch.testing.assert_close(mixed, augmix.apply(x, plan), atol=1.01 / 255, rtol=0)


# -- lower precision ------------------------------------------------------------------------------


def gradient(model, parts):
    model.zero_grad()
    parts.total.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", [k for k in EVERY_SCHEME if not k.startswith("toy")])
def test_in_bfloat16_every_scheme_has_nearly_the_gradient_of_float32(name):
    scheme, (x, y) = EVERY_SCHEME[name], batch(name, 16)
    model = network(name)
    rng = nm.Rng(2)  # one that cutmix mixes with
    draws = draw_batch(model, (x, y), scheme, rng)
    settings = dict(stability=scheme.stability, divergence=scheme.divergence, rng=rng)
    exact = apply_draws(Network(model, "fp32", False), y, draws, **settings)
    expected = gradient(model, exact)
    low = apply_draws(Network(model, "bf16", False), y, draws, **settings)
    found = [(low, gradient(model, low))]
    with torch.autocast("cpu", torch.bfloat16):  # as in anybody's own loop, loss and all
        own = nm.batch_loss(model, (x, y), scheme, rng)
    found.append((own, gradient(model, own)))
    for parts, other in found:
        assert parts.total.dtype == torch.float32
        assert float(parts.total.detach()) == pytest.approx(float(exact.total.detach()), rel=5e-3)
        assert float(torch.nn.functional.cosine_similarity(expected, other, 0)) > 0.98
        assert float(other.norm() / expected.norm()) == pytest.approx(1, abs=0.03)
