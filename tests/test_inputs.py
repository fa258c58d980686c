"""What people give: numbers, classes, arrays and images of every kind, right or one clear line."""

import dataclasses
import json
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import nmlib as nm
from nmlib import _checks
from nmlib.lab.ablation.lab import LabSettings
from nmlib.lab.toy import boundary
from nmlib.lab.toy.ensemble import Ensemble
from nmlib.lab.toy.lab import Settings, ToyLab
from nmlib.metrics import brier_score, negative_log_likelihood, top5_distance
from nmlib.mixing import Pair
from nmlib.statistics import Cells
from nmlib.views import AugMixPlan

# -- numbers --------------------------------------------------------------------------------------

WHOLE = [np.int64, np.uint8, np.int16, torch.tensor, np.array, float, np.float32, np.float64]
REAL = [np.float64, np.float32, np.float16, torch.tensor, np.array]

# Constructor, whole-numbered fields, real fields.
SETTINGS = [
    (nm.Recipe, dict(epochs=10, batch_size=32, parts=2, validation=7),
     dict(learning_rate=0.1, momentum=0.9, weight_decay=5e-4, final_learning_rate=1e-6)),
    (nm.Noise, dict(clean_views=1), dict(additive=0.1, multiplicative=0.3, sparsity=0.65)),
    (nm.Mixup, {}, dict(alpha=0.3, beta=0.7)),
    (nm.CutMix, {}, dict(alpha=0.3, prob=0.7)),
    (nm.PuzzleMix, dict(n_labels=4, neigh_size=2, t_size=2), dict(alpha=0.3, beta=1.1, prob=0.4)),
    (nm.AugMix, dict(width=2, depth=3, copies=1), dict(severity=2.3, alpha=0.7)),
    (nm.AugMax, dict(width=2, steps=3, extra_steps=2), dict(step_size=0.1, severity=1.1)),
    (nm.Plain, dict(copies=3), {}),
    (Settings, dict(seed=3, data_seed=2, epochs=7, width=9), dict(alpha=0.3, learning_rate=0.01)),
    (LabSettings, dict(seed=3), dict(alpha=0.3, sigma_add=0.4)),
    (nm.Rng, dict(seed=3), {}),
    (lambda **k: nm.Scheme("s", nm.AugMix(), **k), {}, dict(stability=1.3)),
    (lambda **k: nm.Budget("b", "m", **k), dict(epochs=2, subset=9, batch_size=4), {}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "whole", "real"), SETTINGS)
def test_scalars_of_any_library_are_plain_numbers(make, whole, real):
    wanted = make(**({"seed": 0} if make is nm.Rng else {}) | whole | real)
    for fields, kinds in ((whole, WHOLE), (real, REAL)):
        for kind in kinds:
            found = make(**whole | real | {k: kind(v) for k, v in fields.items()})
            if kind is np.float16:
                # Three digits are what it holds.
                found = dataclasses.replace(found, **real)
            assert found == wanted
            assert repr(found) == repr(wanted)
            for name in (*whole, *real):
                assert type(getattr(found, name)) in (int, float)
    json.dumps({name: getattr(wanted, name) for name in (*whole, *real)})


@pytest.mark.parametrize(("make", "whole", "real"), SETTINGS)
@pytest.mark.parametrize(
    "bad", [True, "3", 1.5, None, np.nan, [1], np.ones(2), torch.ones(2, 2), 1j, -7]
)
def test_what_is_no_number_is_named_in_one_line(make, whole, real, bad):
    optional = {"beta", "subset"}
    fields = [*whole, *([] if type(bad) in (float, int) and bad == bad else real)]
    for name in fields:
        if name in optional and bad is None:
            continue
        with pytest.raises((TypeError, ValueError)) as caught:
            make(**whole | real | {name: bad})
        assert "\n" not in str(caught.value)
        assert re.search(rf"{name}|width", str(caught.value))


def test_float32_settings_are_the_decimals_they_were_written_as():
    assert nm.Recipe(learning_rate=np.float32(0.1)) == nm.Recipe(learning_rate=0.1)
    assert nm.Mixup(torch.tensor(0.3)).alpha == 0.3
    assert nm.Scheme("s", mix=nm.Mixup(), points=np.arange(3)).points == (0, 1, 2)
    assert nm.Scheme("s", mix=nm.Mixup(), points=[0, 1]) == nm.Scheme(
        "s", mix=nm.Mixup(), points=(0, 1)
    )
    # Whole numbers keep the type they had: results are kept under the text of a scheme.
    assert "severity=3," in repr(nm.AugMix()) and "alpha=1.0" in repr(nm.Mixup(1.0))


def test_streams_are_named_by_any_integers():
    for kind in (np.int64, np.uint8, torch.tensor, np.array):
        a, b = nm.Rng(kind(3)).fold("x", kind(4)), nm.Rng(3).fold("x", 4)
        assert a == b and a.numpy().random() == b.numpy().random()
    with pytest.raises(TypeError, match=r"must be an integer >= 0, got 1\.5"):
        nm.Rng(np.float64(1.5))


def test_true_and_false_of_numpy_are_bools():
    assert nm.Recipe(nesterov=np.bool_(False)) == nm.Recipe(nesterov=False)
    assert LabSettings(jsd_loss=np.bool_(False)) == LabSettings(jsd_loss=False)
    assert nm.Recipe(drop_last=torch.tensor(True)).drop_last is True
    with pytest.raises(TypeError, match="drop_last must be True or False, got 'no'"):
        nm.Recipe(drop_last="no")


def tiny(**changes):
    data = nm.load("fashion-mini").first(24)
    return dict(
        model=nm.build_model("preact_resnet_small", np.int64(10), seed=np.int64(1)),
        train=data, scheme=nm.Scheme("baseline"), device="cpu", progress=False,
    ) | changes  # fmt: skip


class Enough(Exception):
    pass


def test_a_run_goes_on_with_the_same_numbers_of_another_kind(tmp_path, monkeypatch):
    mixed = dict(
        scheme=nm.Scheme("m", mix=nm.Mixup(1)), recipe=nm.Recipe(epochs=2, batch_size=12),
        details={"trial": np.int64(3), "rates": np.array([1, 2])},
    )  # fmt: skip
    first = tiny(
        out=tmp_path, seed=3, execution=nm.Execution(checkpoint_seconds=0, log_every=1), **mixed
    )

    def enough(run):
        raise Enough

    with pytest.raises(Enough):
        nm.fit(**first, on_epoch=enough)
    same = dict(
        scheme=nm.Scheme("m", mix=nm.Mixup(np.float32(1.0))),
        recipe=nm.Recipe(
            epochs=np.int64(2), batch_size=torch.tensor(12), learning_rate=np.float32(0.1)
        ),
    )
    told = []
    execution = nm.Execution(log_every=np.int16(1))
    run = nm.fit(
        **tiny(out=tmp_path, seed=np.int64(3), execution=execution, **same), log=told.append
    )
    assert run.finished and "going on" in told[0]
    assert json.loads((tmp_path / "run.json").read_text())["recipe"]["epochs"] == 2
    with pytest.raises(TypeError, match=r"details\['x'\] = .* cannot be stored"):
        nm.fit(**tiny(recipe=mixed["recipe"], details={"x": object()}))


def test_results_are_kept_under_the_same_settings(tmp_path):
    data = nm.load("fashion-mini", "test").first(4)
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    ask = dict(corruptions=np.array(["fog"]), out=tmp_path, progress=False)
    one = nm.evaluate_corruptions(net, data, severities=[1], seed=np.int64(2), **ask)
    two = nm.evaluate_corruptions(
        net, data, severities=np.array([1]), seed=2, batch_size=np.int64(3), **ask
    )
    assert one.rows == two.rows
    flips = nm.evaluate_perturbations(
        net, data, perturbations="tilt", seed=torch.tensor(2), difficulty=np.int64(1),
        crop=np.int64(30), out=tmp_path, progress=False,
    )  # fmt: skip
    assert len(flips.rows) == 1


def test_counts_of_any_kind():
    p, y = np.full((9, 3), 1 / 3), np.arange(9) % 3
    assert len(nm.reliability_curve(p, y, bins=np.int64(5)).count) == 5
    assert nm.rms_calibration_error(p, y, bin_size=np.uint8(3)) >= 0
    assert nm.flip_probability(np.eye(3, 5, dtype=int), stride=np.int64(2)) > 0
    x = np.zeros((2, 32, 32, 3), np.uint8)
    for severity in (np.int8(2), torch.tensor(2), 2.0):
        again = nm.corrupt(x, "speckle_noise", severity, seed=np.int64(1), first_index=np.int64(3))
        assert (again == nm.corrupt(x, "speckle_noise", 2, seed=1, first_index=3)).all()
    assert len(nm.load("fashion-mini").first(np.int64(3))) == 3
    points, _ = nm.make_polygon_band(np.int64(20), noise=np.float32(0.1), random_state=np.int64(1))
    assert (points == nm.make_polygon_band(20, noise=0.1, random_state=1)[0]).all()
    assert nm.mlp(np.array([2, 8, 2]), seed=np.int64(0)).num_points == 2
    data = np.zeros((6, 2), np.float32), np.arange(6) % 2
    members = Ensemble(
        [nm.Scheme("b")], *data, seeds=np.arange(2), sizes=np.array([2, 4, 2]),
        learning_rate=np.float32(0.01), batch_size=np.int64(3),
    )  # fmt: skip
    members.step(np.int64(2))
    assert members.learning_rate == 0.01


def test_theory_takes_numbers_of_any_kind():
    X, y = np.array([[1.0, 0.5], [-0.3, -1.0]]), np.array([1, 0], np.uint16)
    levels = dict(alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
    others = {k: np.float32(v) for k, v in levels.items()}

    def f(x):
        return x.sum(-1)

    exact = nm.theory.nfm_loss_exact
    assert exact(f, X, y, eps=0.1, **levels) == exact(f, X, y, eps=np.float32(0.1), **others)
    sampled = nm.theory.nfm_loss_monte_carlo
    wanted = sampled(f, X, y, eps=[0.1, 0.2], draws=4, rng=nm.Rng(0), **levels)
    for ladder in (np.array([0.1, 0.2]), torch.tensor([0.1, 0.2]), (np.float32(0.1), 0.2)):
        found = sampled(f, X, y, eps=ladder, draws=np.int64(4), rng=nm.Rng(0), **others)
        assert found.mean == pytest.approx(wanted.mean, rel=1e-6)
    one = sampled(f, X, y, eps=np.float32(0.1), draws=4, rng=nm.Rng(0), **levels)
    assert one.mean[0] == pytest.approx(wanted.mean[0])
    for bad in (True, "0.1", np.nan, [[0.1]], None):
        with pytest.raises((TypeError, ValueError), match="eps"):
            sampled(f, X, y, eps=bad, draws=4, rng=nm.Rng(0), **levels)


SCALARS = [np.int64, np.float16, np.longdouble, torch.tensor, np.array, Fraction, Decimal,
         lambda v: torch.tensor(float(v), requires_grad=True),
         lambda v: torch.tensor(v, dtype=torch.bfloat16)]  # fmt: skip


def settled(**changes):
    levels = dict(alpha=1, sigma_add=1, sigma_mult=1) | changes
    return nm.theory.nfm_loss_exact(lambda x: x.sum(-1), [[1.0, 0.5]], [1], **levels)


EXPANSION = nm.theory.Expansion(1.0, {"R2": nm.theory.Term(2.0, 2)})
PLAN = nm.AugMix().draw(3, nm.Rng(0))

# Calls with a whole number, which all kinds can hold.
TAKES_NUMBERS = {
    "exact alpha": (2, lambda v: settled(alpha=v)),
    "exact order": (3, lambda v: settled(order=(v, v))),
    "meter": (0.5, lambda v: nm.theory.meter_reading(v, alpha=v, sigma_add=v, sigma_mult=v)),
    "coefficient": (2, EXPANSION.coefficient),
    "scaled": (3, lambda v: EXPANSION.scaled(R2=v).at(1.0)),
    "level of a view": (1, nm.Noise(0.1, 0.1, view_gain=1.0).effective_levels),
    "levels of views": (2, lambda v: nm.theory.effective_levels(nm.Noise(0.1), v)),
    "mix point": (1, lambda v: nm.mlp((2, 4, 2))(torch.ones(1, 2), stop=v).shape),
    "split": (1, lambda v: nm.theory.at_point(nm.mlp((2, 4, 2)), torch.ones(1, 2), v)[1].shape),
    "identity": (2, lambda v: Pair.identity(v).partner.tolist()),
    "axis": (1, lambda v: nm.mix(torch.ones(1, 2, 2), Pair.identity(2), dim=v).shape),
    "classes": (3, lambda v: nm.mix_labels([0, 2], Pair.identity(2), v).tolist()),
    "rate": (1, lambda v: nm.Recipe().rate(v, 10)),
    "steps": (100, lambda v: nm.Recipe().steps_per_epoch(v)),
    "draw": (2, lambda v: nm.AugMix().draw(v, nm.Rng(0)).mix.tolist()),
    "adversary": (2, lambda v: nm.AugMax().draw(v, nm.Rng(0)).mix.tolist()),
    "view": (1, lambda v: PLAN.view(v).mix.tolist()),
    "chains": (1, lambda v: PLAN.chains(v, v)),
    "race": (2, lambda v: ToyLab(width=4).step(v)),
    "grid": (8, lambda v: ToyLab(width=4).grid("nfm", v).shape),
    "stream": (3, lambda v: nm.Rng(0).fold(v)),
}


@pytest.mark.parametrize("name", TAKES_NUMBERS)
def test_calls_take_numbers_of_any_kind(name):
    value, call = TAKES_NUMBERS[name]
    wanted = repr(call(value))
    for kind in SCALARS:
        if kind is not np.int64 or type(value) is int:
            assert repr(call(kind(value))) == wanted
    # A result that was kept does not let True pass for 1.
    call(value)
    texts = [] if name == "stream" else ["3", np.str_("3")]
    for bad in (True, torch.tensor(True), float("nan"), 1j, np.datetime64("2020"), *texts):
        with pytest.raises((TypeError, ValueError)) as caught:
            call(bad)
        assert "nmlib" in str(caught.traceback[-1].path) and "\n" not in str(caught.value)


def test_tables_of_errors_are_series_too():
    pandas = pytest.importorskip("pandas")
    errors, flips = ALEXNET, nm.metrics.ALEXNET_FLIP_PROBABILITIES
    table = pandas.Series(errors)
    assert nm.mean_corruption_error(table, reference=table) == 1
    table = pandas.Series(flips)
    assert nm.metrics.mean_flip_rate(table, reference=table, without="snow") == 1


def test_bfloat16_is_the_decimal_it_was_written_as():
    assert nm.Mixup(torch.tensor(0.1, dtype=torch.bfloat16)) == nm.Mixup(0.1)
    half = (nm.metrics.robust_accuracy(dict.fromkeys(ALEXNET, v)) for v in (Fraction(1, 2), 0.5))
    assert next(half) == next(half) == 0.5


def test_what_is_kept_cannot_be_changed_from_outside():
    levels = dict(alpha=1.0, sigma_add=0.4, sigma_mult=0.2)
    nm.theory.meter_reading(0.05, **levels).terms.clear()
    assert nm.theory.meter_reading(0.05, **levels).terms
    nm.theory.example_problem().X.zero_()
    assert nm.theory.example_problem().X.any()
    mean = np.float32([0.5, 0.4, 0.3])
    layer = nm.models.norm.Normalise(mean, 0.5)
    mean[:] = 9
    assert float(layer.mean.max()) == 0.5


@pytest.mark.parametrize("bad", [0, None, "x", np.random.default_rng(0), torch.Generator()])
def test_what_is_no_stream_is_named(bad):
    x, y = torch.rand(4, 3, 8, 8, generator=nm.Rng(0).torch()), torch.arange(4)
    cells = Cells(("a",), [[0], [1]], [[1.0, 2.0], [2.0, 3.0]])
    for call in (
        lambda: nm.Noise(0.1).draw(x[None], bad),
        lambda: nm.Mixup().draw(x, y, None, bad),
        lambda: nm.CutMix().draw(x, y, None, bad),
        lambda: nm.PuzzleMix().draw(x, y, None, bad),
        lambda: nm.AugMix().make(x, y, None, bad),
        lambda: nm.AugMax().draw(4, bad),
        lambda: nm.statistics.resample(cells, bad),
        lambda: nm.theory.nfm_loss_monte_carlo(
            lambda x: x.sum(-1), [[1.0, 0.5]], [1], eps=0.1, alpha=1, sigma_add=1, sigma_mult=1,
            draws=2, rng=bad),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=r"rng must be an nmlib\.Rng such as"):
            call()
    for noise in ("released", 0.1, nm.Noise):
        with pytest.raises(TypeError, match="noise must be a Noise"):
            nm.inject(x[None], noise, nm.Rng(0))


# -- classes --------------------------------------------------------------------------------------

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3], [0.2, 0.5, 0.3]])
Y = [0, 2, 1, 0]
LOGITS = torch.log(torch.tensor(P)).float()

CLASSES = {
    **{d: np.array(Y, d) for d in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", ">i4", ">u2")},
    **{
        str(d): torch.tensor(Y).to(d)
        for d in (torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int32)
    },
    "list": Y,
    "tuple": tuple(Y),
    "scalars": [np.int64(0), 2, torch.tensor(1), np.uint8(0)],
    "backwards": np.array(Y[::-1])[::-1],
    "strided": np.array([Y, Y]).T[:, 0],
}

TAKES_CLASSES = {
    "ece": lambda y: nm.expected_calibration_error(P, y),
    "rms": lambda y: nm.rms_calibration_error(P, y),
    "aurra": lambda y: nm.aurra(P, y),
    "brier": lambda y: brier_score(P, y),
    "nll": lambda y: negative_log_likelihood(P, y),
    "cross-entropy": lambda y: nm.soft_cross_entropy(LOGITS, y),
    "noisymix": lambda y: nm.noisymix_loss(torch.stack([LOGITS] * 3), y).total,
    "mix_labels": lambda y: nm.mix_labels(y, Pair(torch.tensor([1, 0, 3, 2]), 0.75, 0.75), 3),
    "predictions": lambda y: nm.Predictions(P, y).accuracy,
    "data": lambda y: nm.ImageData.of(np.zeros((4, 8, 8, 3), np.uint8), y).fingerprint,
    "ensemble": lambda y: Ensemble([nm.Scheme("b")], P, y, seeds=[0], sizes=(3, 3)).y,
    "flips": lambda y: nm.flip_probability([y, y]),
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("function", TAKES_CLASSES)
def test_classes_of_any_kind(function, kind):
    take = TAKES_CLASSES[function]
    found, wanted = take(CLASSES[kind]), take(torch.tensor(Y))
    assert (found == wanted) if isinstance(found, str) else torch.as_tensor(found == wanted).all()


@pytest.mark.parametrize("function", [f for f in TAKES_CLASSES if f != "flips"])
@pytest.mark.parametrize(
    "bad",
    [[0.5, 1, 1, 1], [0, 1], 1, [0, -1, 0, 0], [[0, 1], [2, 0]], ["a"] * 4, [True] * 4, [None] * 4,
     [0, 1, 2, 2**70], [1j] * 4, {}, None, np.array([2**63] * 4, np.uint64)],
)  # fmt: skip
def test_what_is_no_class_is_named_in_one_line(function, bad):
    if function in ("ece", "rms", "aurra", "brier", "nll") and bad is None:
        return  # the labels are missing then, which says so
    with pytest.raises((TypeError, ValueError)) as caught:
        TAKES_CLASSES[function](bad)
    assert "\n" not in str(caught.value) and str(caught.value)


def test_columns_of_classes():
    """As Keras keeps them; where shares may stand in a column too, the remedy is named."""
    column = np.array(Y, np.uint8)[:, None]
    for name in ("ece", "rms", "aurra", "brier", "nll", "predictions", "data"):
        assert TAKES_CLASSES[name](column) == TAKES_CLASSES[name](Y)

    def loss(y):
        return nm.batch_loss(nm.mlp((3, 4, 3)), (P, y), MIXUP, nm.Rng(0)).total

    for call in (TAKES_CLASSES["mix_labels"], loss):
        with pytest.raises(ValueError, match=r"use y\[:, 0\]") as caught:
            call(column)
        run_remedy(caught.value, y=column)
        torch.testing.assert_close(call(column[:, 0]), call(np.array(Y)))


def test_classes_that_int64_cannot_hold_are_named_as_they_are():
    for big in (np.array([0, 2**63 + 5], np.uint64), torch.tensor([0, -1]).view(torch.uint64)):
        with pytest.raises(ValueError, match=f"below 2.*63, got {int(np.asarray(big).max())}"):
            nm.aurra(P[:2], big)
    with pytest.raises(ValueError, match="1 entries of labels are masked"):
        nm.aurra(P, np.ma.array(Y, mask=[0, 1, 0, 0]))


def test_labels_of_views_and_mixers_are_of_any_kind():
    x = X.numpy()
    for y in (Y, np.array(Y, np.uint16), torch.tensor(Y)):
        pair = nm.PuzzleMix(prob=1.0).draw(x, y, MODEL, nm.Rng(0))
        views = nm.AugMax(steps=1).make(x, y, MODEL, nm.Rng(0))
        assert len(pair.partner) == 4 and torch.isfinite(views).all()
    assert len(nm.CutMix(prob=1.0).draw(x, None, None, nm.Rng(0)).partner) == 4
    assert len(nm.PuzzleMix(prob=1.0).draw(X[:0], [], MODEL, nm.Rng(0)).partner) == 0


@pytest.mark.parametrize("name", ["baseline", "noisymix", "cutmix", "puzzlemix", "augmax"])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_images_come_to_the_type_of_the_weights(name, kind):
    scheme = nm.get_scheme(name)
    if name == "augmax":
        scheme = dataclasses.replace(scheme, views=nm.AugMax(steps=1))
    for x in (X, X.double().numpy()):
        model = nm.build_model("preact_resnet_small", 3).to(kind)
        assert torch.isfinite(nm.batch_loss(model, (x, Y), scheme, nm.Rng(3)).total)


def test_masks_and_doubles_mix_in_the_type_of_the_samples():
    left = np.zeros((1, 1, 8, 8), bool)
    left[..., :4] = True
    for weight in (left, left.astype(float), left.astype(int), torch.tensor(left)):
        mixed = nm.mix(H, Pair(torch.tensor([1, 0, 3, 4, 2]), weight, 0.5))
        assert mixed.dtype == H.dtype
        assert torch.equal(mixed[..., :4], H[..., :4])
        assert torch.equal(mixed[0, ..., 4:], H[1, ..., 4:])


def test_weights_in_half_precision_are_a_distribution():
    p = torch.softmax(LOGITS[:3], -1)
    for kind in (torch.float16, torch.bfloat16):
        thirds = torch.full((3,), 1 / 3, dtype=kind)
        wanted, found = (nm.jensen_shannon_divergence(p, w) for w in (None, thirds))
        torch.testing.assert_close(found, wanted)
        assert float(nm.jensen_shannon_divergence(p[:1].expand(3, -1), thirds)) < 1e-6


def test_a_divergence_without_bound_is_infinite():
    p = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert float(nm.kullback_leibler_divergence(p)) == float("inf")
    # A view without weight does not count.
    three = torch.stack([p[0], torch.tensor([0.25, 0.75]), p[1]])
    torch.testing.assert_close(
        nm.kullback_leibler_divergence(three, [0.5, 0.5, 0.0]),
        nm.kullback_leibler_divergence(three[:2]),
    )


def test_the_remedy_for_float_classes_works():
    for y in (torch.tensor(Y).float(), np.array(Y, float), [float(k) for k in Y]):
        with pytest.raises(TypeError, match="must be integers") as caught:
            nm.soft_cross_entropy(LOGITS, y)
        remedy = re.search(r"use (.*)$", str(caught.value)).group(1)
        nm.soft_cross_entropy(LOGITS, eval(remedy, {"y": y, "torch": torch}))
    # Shares are no classes, and rounding would destroy them.
    with pytest.raises(TypeError, match="not all whole numbers"):
        nm.soft_cross_entropy(LOGITS, torch.full((4,), 0.2))


SCHEMES = ["baseline", "mixup", "manifold_mixup", "cutmix", "puzzlemix", "augmix", "augmax", "nfm"]


@pytest.mark.parametrize("name", SCHEMES)
def test_any_scheme_takes_distributions(name):
    scheme = nm.get_scheme(name)
    if name == "augmax":
        scheme = dataclasses.replace(scheme, views=nm.AugMax(steps=2))
    x = torch.rand(4, 3, 32, 32, generator=nm.Rng(0).torch())
    y = torch.tensor(Y)

    def loss(labels):
        # A new model each time: its batch statistics would have moved.
        model = nm.build_model("preact_resnet_small", 3, **scheme.model_options)
        return nm.batch_loss(model, (x, labels), scheme, nm.Rng(0)).total.detach()

    hot = torch.nn.functional.one_hot(y, 3)
    wanted = loss(y)
    for labels in (hot.float(), hot, hot.double(), hot.numpy(), hot.half()):
        torch.testing.assert_close(loss(labels).float(), wanted, rtol=1e-3, atol=1e-3)
    uniform = torch.full((4, 3), 1 / 3)
    assert torch.isfinite(loss(uniform))
    with pytest.raises((TypeError, ValueError)) as caught:
        loss(uniform * 2)
    assert "sum to 1" in str(caught.value)


def test_one_class_is_a_case_like_others():
    one = torch.ones(4, 1)
    assert nm.expected_calibration_error(one, [0] * 4) == 0
    assert float(nm.noisymix_loss(torch.zeros(2, 4, 1), [0] * 4).total) == 0
    assert float(nm.jensen_shannon_divergence(torch.ones(3, 1))) == 0
    with pytest.raises(ValueError, match="out of range for 1 classes"):
        nm.aurra(one, [1] * 4)


# -- arrays and images ----------------------------------------------------------------------------

PIXELS = nm.Rng(5).numpy().integers(0, 256, (6, 34, 32, 3), dtype=np.uint8)
LABELS = np.arange(6) % 3


def mapped(array, folder):
    np.save(folder / "x.npy", array)
    return np.load(folder / "x.npy", mmap_mode="r")


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def as_pillow(array):
    image = pytest.importorskip("PIL.Image")
    return [image.fromarray(a) for a in array]


KINDS = {
    "negative strides": lambda x, _: np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1],
    "read-only": lambda x, _: read_only(x),
    "Fortran order": lambda x, _: np.asfortranarray(x),
    "not contiguous": lambda x, _: np.repeat(x, 2, axis=2)[:, :, ::2],
    "mapped": mapped,
    "list of arrays": lambda x, _: list(x),
    "list of tensors": lambda x, _: [torch.from_numpy(a) for a in x],
    "Pillow": lambda x, _: as_pillow(x),
    "channels first": lambda x, _: np.ascontiguousarray(x.transpose(0, 3, 1, 2)),
    "tensor": lambda x, _: torch.from_numpy(x.copy()),
    "expanded tensor": lambda x, _: torch.from_numpy(x.copy()).transpose(1, 2).transpose(1, 2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_any_kind(kind, tmp_path):
    given = KINDS[kind](PIXELS, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = nm.ImageData.of(given, LABELS)
        dark = nm.corrupt(given, "fog", 2)
        net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
        found = nm.predict(net, given, batch_size=4)
        frames = nm.perturbation_sequence(given, "tilt")
    assert data.fingerprint == nm.ImageData.of(PIXELS, LABELS).fingerprint
    wanted = nm.corrupt(PIXELS, "fog", 2)
    first = kind == "channels first"
    assert (np.asarray(dark) == (wanted.transpose(0, 3, 1, 2) if first else wanted)).all()
    torch.testing.assert_close(found, nm.predict(net, PIXELS, batch_size=4))
    assert frames.shape == ((6, 31, 3, 34, 32) if first else (6, 31, 34, 32, 3))


@pytest.mark.parametrize("kind", [">f4", ">f8", "f2", "<f4", "longdouble"])
def test_probabilities_and_points_of_any_kind(kind):
    p = P.astype(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        views = [p, p[::-1][::-1], np.asfortranarray(p), read_only(p)]
        # A list holds doubles, whose sums are not forgiven the rounding of half precision.
        for view in views if kind == "f2" else [*views, p.tolist()]:
            assert nm.aurra(view, Y) == pytest.approx(nm.aurra(P, Y), abs=1e-3)
            nm.soft_cross_entropy(view, Y)
            nm.jensen_shannon_divergence(np.stack([view, view]), from_logits=True)
            nm.theory.nfm_loss_exact(
                lambda x: x[:, :2], view[:, :2] if isinstance(view, np.ndarray) else P[:, :2],
                [0, 1, 1, 0], alpha=None, sigma_add=0.1, sigma_mult=0.0,
            )  # fmt: skip
    grad = torch.tensor(P, requires_grad=True)
    assert nm.aurra(grad, Y) == nm.aurra(P, Y)
    assert top5_distance(torch.rand(2, 3, 6, requires_grad=True)) >= 0
    nm.Predictions(grad, Y)


def test_series_and_frames_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(P)
    for labels in (pandas.Series(Y), pandas.Series(Y, dtype="Int64"), pandas.Index(Y)):
        assert nm.aurra(frame, labels) == nm.aurra(P, Y)
        assert nm.ImageData.of(PIXELS[:4], labels).labels.tolist() == Y
    with pytest.raises((TypeError, ValueError), match="labels"):
        nm.aurra(frame, pandas.Series([0, None, 1, 2], dtype="Int64"))


def test_records_own_their_arrays():
    x, y = PIXELS.copy(), LABELS.copy()
    for make in (
        lambda: nm.ImageData.of(x, y),
        lambda: nm.ImageData.of(torch.from_numpy(x), torch.from_numpy(y)),
        lambda: nm.ImageData(
            "own", "test", torch.from_numpy(x), torch.from_numpy(y), ("a", "b", "c"), "own"
        ),
        lambda: nm.ImageData.of(x.transpose(0, 3, 1, 2), y),
    ):
        x[:], y[:] = PIXELS, LABELS
        data = make()
        before, taken = data.images.clone(), data.labels.clone()
        x[:], y[:] = 0, 0
        assert torch.equal(data.images, before) and torch.equal(data.labels, taken)
        again = dataclasses.replace(data, fingerprint="")
        assert again.fingerprint == data.fingerprint
    p, y = P.copy(), np.array(Y)
    held = nm.Predictions(torch.from_numpy(p), torch.from_numpy(y))
    cells = Cells(("a",), np.array([[0], [1]]), values := np.array([[1.0], [2.0]]))
    lab = ToyLab()
    lab.set_points(points := np.eye(4, 2), marks := np.array([0, 1, 0, 1]), [0, 0, 1, 1])
    p[:], y[:], values[:], points[:], marks[:] = 0, 0, 0, 7, 0
    assert held.accuracy == 0.75 and cells.means.tolist() == [1.0, 2.0]
    assert lab.X_train.max() == 1 and set(lab.y_train.tolist()) == {0, 1}


def test_nothing_changes_what_was_given():
    x = torch.rand(4, 3, 32, 32, generator=nm.Rng(0).torch())
    y = np.array(Y, np.int16)
    kept = x.clone()
    for name in SCHEMES[:-2]:
        scheme = nm.get_scheme(name)
        nm.batch_loss(nm.build_model("preact_resnet_small", 3), (x, y), scheme, nm.Rng(0))
    assert (x == kept).all() and y.tolist() == Y and y.dtype == np.int16


GREY = PIXELS[..., 0]


def run_remedy(error, **names):
    """Execute the code after 'with' or 'use' in a message."""
    code = re.search(r"(?:with|use) (\S.*?)$", str(error)).group(1)
    return eval(code, {"np": np, "torch": torch, **names})


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, list])
@pytest.mark.parametrize(
    "images",
    [GREY, GREY[..., None], GREY[:, None], np.concatenate([PIXELS, GREY[..., None]], -1),
     np.concatenate([PIXELS, GREY[..., None]], -1).transpose(0, 3, 1, 2)],
    ids=["grey", "grey last", "grey first", "alpha last", "alpha first"],
)  # fmt: skip
def test_the_remedies_for_other_channels_work(images, kind):
    for take in (
        lambda x: nm.corrupt(x, "fog", 1),
        lambda x: nm.perturbation_sequence(x, "tilt"),
        lambda x: nm.ImageData.of(x, LABELS),
    ):
        given = kind(images)
        try:
            take(given)
        except ValueError as error:
            assert "\n" not in str(error)
            take(run_remedy(error, images=given))


def test_grey_images_are_data_with_three_equal_channels():
    wanted = nm.ImageData.of(np.stack([GREY] * 3, -1), LABELS)
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    for images in (GREY, GREY[..., None], GREY[:, None], torch.as_tensor(GREY.copy())):
        assert nm.ImageData.of(images, LABELS).fingerprint == wanted.fingerprint
        torch.testing.assert_close(nm.predict(net, images), nm.predict(net, wanted))
        assert len(nm.evaluate(net, (images, LABELS))) == 6


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize(
    "images",
    [PIXELS / 255, (PIXELS / 255).astype("f4"), PIXELS.astype(float), PIXELS.astype("i8"),
     PIXELS.astype("u2"), PIXELS > 99],
    ids=["floats", "floats32", "bytes as floats", "integers", "16 bits", "booleans"],
)  # fmt: skip
def test_the_remedies_for_other_types_work(images, kind):
    given = kind(images)
    for take in (lambda x: nm.corrupt(x, "fog", 1), lambda x: nm.ImageData.of(x, LABELS)):
        with pytest.raises(TypeError, match="images must be uint8") as caught:
            take(given)
        take(run_remedy(caught.value, images=given))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (PIXELS / 127.5 - 1, "go from -1 to 1"),
        (np.where(PIXELS > 200, np.nan, 1.0), "values are NaN or infinite"),
        (PIXELS.astype("i4") * 200, "go from 0 to"),
    ],
)
def test_values_that_are_no_bytes_are_described(images, words):
    with pytest.raises(TypeError, match=words):
        nm.corrupt(images, "fog", 1)


def test_photographs_for_frost_are_images_of_any_kind():
    photographs = [np.ascontiguousarray(a) for a in np.tile(PIXELS, (1, 8, 8, 1))[:2]]
    wanted = nm.corrupt(PIXELS, "frost", 2, frost=photographs)
    for kind in ("negative strides", "read-only", "Fortran order", "list of tensors", "Pillow"):
        given = list(KINDS[kind](np.stack(photographs), None))
        assert (nm.corrupt(PIXELS, "frost", 2, frost=given) == wanted).all()
    with pytest.raises(ValueError, match="use frost=None"):
        nm.corrupt(PIXELS, "frost", 2, frost=[])
    with pytest.raises(TypeError, match="must be uint8"):
        nm.corrupt(PIXELS, "frost", 2, frost=[photographs[0] / 255])


def test_a_corruption_of_ones_own_may_return_arrays():
    data = nm.load("fashion-mini", "test").first(4)
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())

    def darker(images, level, *, first_index):
        return images.numpy()[:, ::-1] // 2

    report = nm.evaluate_corruptions(
        net, data, corruptions={"darker": darker}, severities=1, progress=False
    )
    assert len(report.sets) == 1


def test_one_image_as_a_data_set_needs_a_batch_axis():
    for one in (PIXELS[0], PIXELS[0].transpose(2, 0, 1), torch.as_tensor(PIXELS[0].copy())):
        with pytest.raises(ValueError, match="batch axis") as caught:
            nm.ImageData.of(one, [0])
        assert len(nm.ImageData.of(run_remedy(caught.value, images=one), [0])) == 1


# -- remedies in code -----------------------------------------------------------------------------

X = torch.rand(4, 3, 32, 32, generator=nm.Rng(1).torch())
MODEL = nm.build_model("preact_resnet_small", 3)
MIXUP = nm.get_scheme("mixup")
H = torch.rand(5, 3, 8, 8, generator=nm.Rng(2).torch())
HALF = Pair(torch.tensor([1, 0, 3, 4, 2]), torch.full((5,), 0.5), 0.5)
NET = nm.mlp((2, 4, 3))
FAR = nm.Scheme("far", mix=nm.Mixup(), points=(0, 5))
TWO = torch.rand(4, 2, generator=nm.Rng(3).torch()), torch.tensor(Y)
SMALL = torch.rand(6, 3, 16, 16, generator=nm.Rng(4).torch())


def bound(f):
    levels = dict(eps=0.1, alpha=1.0, sigma_add=0.1, sigma_mult=0.1)
    return nm.theory.adversarial_bound(f, TWO[0], [0, 1, 1, 0], **levels)


# What fails, where its remedy stands in the message, and what to do with it.
REMEDIES = [
    (lambda: nm.mix(H, HALF), r"e\.g\. (weight.*\)) for",
     lambda do: nm.mix(H, dataclasses.replace(HALF, weight=do(weight=HALF.weight)))),
    (lambda: nm.mix((255 * H).byte(), nm.Pair.identity(5)), "use (.*)$",
     lambda do: nm.mix(do(h=(255 * H).byte()), nm.Pair.identity(5))),
    (lambda: nm.noisymix_loss(torch.zeros(12, 2), [0, 1, 1, 0]), "use (.*)$",
     lambda do: nm.noisymix_loss(do(logits=torch.zeros(12, 2), V=3), [0, 1, 1, 0])),
    (lambda: nm.jensen_shannon_divergence(torch.zeros(2, 3)), "pass (.*) for logits",
     lambda do: nm.jensen_shannon_divergence(torch.zeros(2, 3), **do())),
    (lambda: nm.jensen_shannon_divergence(torch.ones(2, 2) / 2, [1.0, 2.0]), "(divide them by)",
     lambda do: nm.jensen_shannon_divergence(torch.ones(2, 2) / 2, [1 / 3, 2 / 3])),
    (lambda: nm.kullback_leibler_divergence(torch.ones(2, 2) / 2, [1, 0]), "use (.*)$",
     lambda do: nm.kullback_leibler_divergence(torch.ones(2, 2) / 2, **do())),
    (lambda: nm.batch_loss(NET, TWO, FAR, nm.Rng(0)), "use (.*)$",
     lambda do: nm.batch_loss(NET, TWO, do(scheme=FAR, dataclasses=dataclasses), nm.Rng(0))),
    (lambda: nm.batch_loss(MODEL, ((255 * X).byte(), TWO[1]), MIXUP, nm.Rng(0)), r": (x\..*)$",
     lambda do: nm.batch_loss(
         MODEL, (do(x=(255 * X).byte()), TWO[1]), MIXUP, nm.Rng(0))),
    (lambda: nm.batch_loss(torch.nn.Linear(2, 3), TWO, MIXUP, nm.Rng(0)),
     r"with (nmlib\..*\)), or",
     lambda do: nm.batch_loss(
         do(nmlib=nm, model=torch.nn.Linear(2, 3)), TWO, MIXUP, nm.Rng(0))),
    (lambda: nm.batch_loss(NET, TWO, "noisymix", nm.Rng(0)), r"such as (.*\)),",
     lambda do: nm.batch_loss(
         MODEL, (X, TWO[1]), do(nmlib=nm), nm.Rng(0))),
    (lambda: nm.inject(H[None], nm.Noise(0.1)), "pass (.*)$",
     lambda do: nm.inject(H[None], nm.Noise(0.1), **do(Rng=nm.Rng, seed=0))),
    (lambda: nm.Recipe(momentum=0.0), "set (nesterov=False)",
     lambda do: nm.Recipe(momentum=0.0, **do())),
    (lambda: nm.Noise(0.1, sparsity=1), "use (.*)$", lambda do: nm.Scheme("s", **do())),
    (lambda: nm.Mixup(0), "use (.*)$", lambda do: nm.Scheme("s", **do())),
    (lambda: nm.PuzzleMix(blocks=(2,), neigh_size=3).draw(SMALL, TWO[1][[0, 1, 2, 3, 0, 1]], MODEL,
                                                          nm.Rng(1)), "use (.*)$",
     lambda do: nm.PuzzleMix(blocks=(2,), **do()).draw(
         SMALL, TWO[1][[0, 1, 2, 3, 0, 1]], MODEL, nm.Rng(1))),
    (lambda: nm.rms_calibration_error(P, Y, reference_compatible=True), "or use (.*)$",
     lambda do: nm.rms_calibration_error(P, Y, **do())),
    (lambda: nm.perturbation_sequence(PIXELS, "tilt", difficulty=2), r", (stride=2)\)",
     lambda do: nm.flip_probability(np.eye(3, 5, dtype=int), **do())),
    (lambda: bound(nm.mlp((2, 4, 2))), "pass f = (.*)$",
     lambda do: bound(do(net=nm.mlp((2, 4, 2)).double()))),
    (lambda: nm.theory.mixing_moments(0), r"use (alpha=None)",
     lambda do: nm.theory.mixing_moments(**do())),
    (lambda: nm.expected_calibration_error(np.array([[3.0, -1.0]]), [0]), "need (.*) first",
     lambda do: nm.expected_calibration_error(
         do(logits=torch.tensor([[3.0, -1.0]])), [0])),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REMEDIES)))
def test_a_remedy_is_tried_before_it_is_printed(case):
    bad, where, good = REMEDIES[case]
    with pytest.raises((TypeError, ValueError)) as caught:
        bad()
    code = re.search(where, str(caught.value))
    assert code is not None and "\n" not in str(caught.value), caught.value

    def do(**names):
        text, names = code.group(1), {"np": np, "torch": torch, **names}
        assignment = re.fullmatch(r"\w+=[^=].*", text)
        return eval(f"dict({text})" if assignment else text, names)

    good(do)


def test_the_remedy_for_a_run_without_a_name_works(tmp_path):
    recipe = nm.Recipe(epochs=1, batch_size=12)
    folder = tmp_path / "a run"
    nm.fit(**tiny(recipe=recipe, out=folder))
    with pytest.raises(ValueError, match="build it yourself") as caught:
        nm.load_model(folder)
    weights = eval(
        re.search(r"use (load_weights.*)$", str(caught.value)).group(1),
        {"load_weights": nm.load_weights},
    )
    nm.build_model("preact_resnet_small").load_state_dict(weights)


# -- values in [0, 1] -----------------------------------------------------------------------------


def spoilt(value, x=X):
    x = x.clone()
    x[0, 0, 0, 0] = value
    return x


def loss(name, x):
    return nm.batch_loss(MODEL, (x, torch.tensor(Y)), nm.get_scheme(name), nm.Rng(0))


TAKES_UNIT = {
    "augmix": lambda x: nm.AugMix().make(x, None, None, nm.Rng(0)),
    "augmax": lambda x: nm.AugMax(steps=1).make(x, torch.tensor(Y), MODEL, nm.Rng(0)),
    "puzzlemix": lambda x: nm.PuzzleMix().draw(x, torch.tensor(Y), MODEL, nm.Rng(0)),
    "loss of augmix": lambda x: loss("augmix", x),
    "loss of puzzlemix": lambda x: loss("puzzlemix", x),
    "predict": lambda x: nm.predict(MODEL, x),
}


@pytest.mark.parametrize("function", TAKES_UNIT)
@pytest.mark.parametrize("value", [1.0000002, 1 + 5e-5, -1e-7])
def test_rounding_is_no_fault(function, value):
    made = TAKES_UNIT[function](spoilt(value))
    if isinstance(made, torch.Tensor):
        assert torch.isfinite(made).all()


@pytest.mark.parametrize("function", TAKES_UNIT)
@pytest.mark.parametrize(
    ("x", "words", "remedy"),
    [
        (spoilt(float("nan")), r"1 NaN or infinite value\(s\) of 12288", None),
        (spoilt(float("inf")), "1 NaN or infinite", None),
        (X * 255, "divide grey levels by 255", lambda x: x / 255),
        (X * 255 - 128, "which the model does itself", None),
        (X * 2 - 1, "which the model does itself", None),
        (X * 1.1, r"clamp\(0, 1\)", lambda x: x.clamp(0, 1)),
        (X * 1.1 - 0.05, r"clamp\(0, 1\)", lambda x: x.clamp(0, 1)),
    ],
    ids=["nan", "inf", "bytes", "centred bytes", "normalised", "overshoot", "undershoot"],
)
def test_causes_are_told_apart(function, x, words, remedy):
    with pytest.raises(ValueError, match=words) as caught:
        TAKES_UNIT[function](x)
    assert "\n" not in str(caught.value)
    if remedy is not None:
        TAKES_UNIT[function](remedy(x))


@pytest.mark.parametrize("function", [f for f in TAKES_UNIT if f != "predict"])
def test_channels_last_are_named(function):
    x = X.permute(0, 2, 3, 1)
    with pytest.raises(ValueError, match="channels last") as caught:
        TAKES_UNIT[function](x)
    TAKES_UNIT[function](run_remedy(caught.value, x=x))
    torch.testing.assert_close(nm.predict(MODEL, x), nm.predict(MODEL, X))


def test_the_check_of_views_looks_at_no_device():
    """On an accelerator a look at the values would wait: shapes alone are checked there."""
    x = torch.empty(4, 3, 32, 32, device="meta")
    _checks.image_axes("x", x)
    _checks.on_host_within("x", x, 0, 1)


# -- what is empty, zero or out of range ----------------------------------------------------------

ZEROS = dict.fromkeys(nm.metrics.ALEXNET_ERRORS, 0.0)
FAMILIES = tuple(nm.metrics.CORRUPTION_FAMILIES)
ALEXNET = nm.metrics.ALEXNET_ERRORS

ODD = {
    "empty batch": lambda: nm.noisymix_loss(torch.zeros(3, 0, 2), torch.zeros(0).long()),
    "no views": lambda: nm.noisymix_loss(torch.zeros(0, 4, 2), Y),
    "no classes": lambda: nm.soft_cross_entropy(torch.zeros(4, 0), Y),
    "no distributions": lambda: nm.jensen_shannon_divergence(torch.zeros(0, 4, 2)),
    "cutmix of width 0": lambda: nm.CutMix(prob=1.0).draw(torch.zeros(2, 3, 8, 0), None, None,
                                                          nm.Rng(0)),
    "augmix of width 0": lambda: nm.AugMix().make(torch.zeros(2, 3, 8, 0), None, None, nm.Rng(0)),
    "augmix of height 0": lambda: nm.AugMix().make(torch.zeros(2, 3, 0, 8), None, None, nm.Rng(0)),
    "partner out of range": lambda: Pair(torch.tensor([0, 4]), 0.5, 0.5),
    "negative partner": lambda: Pair(torch.tensor([0, -1]), 0.5, 0.5),
    "weights out of range": lambda: Pair(torch.tensor([0, 1]), torch.full((2, 1), 1.5), 0.5),
    "label shares out of range": lambda: Pair(torch.arange(2), 0.5, torch.tensor([2, 0.5])),
    "shares of labels of another shape": lambda: Pair(torch.tensor([0, 1]), 0.5, torch.ones(3)),
    "NaN weights": lambda: Pair(torch.tensor([0, 1]), torch.full((2, 1), float("nan")), 0.5),
    "pixels out of range": lambda: Pair(torch.arange(2), 1.0, 1.0, torch.full((2, 4, 4), 16)),
    "weights of another size": lambda: nm.mix(torch.zeros(2, 3, 4, 4),
                                              Pair(torch.arange(2), torch.ones(1, 1, 5, 5), 1.0)),
    "another axis": lambda: nm.mix(torch.zeros(2, 3), Pair(torch.arange(2), 0.5, 0.5), dim=2),
    "integers": lambda: nm.mix(torch.zeros(2, 3).int(), Pair(torch.arange(2), 0.5, 0.5)),
    "zero reference": lambda: nm.mean_corruption_error(ALEXNET, reference=ZEROS),
    "no growth of the reference": lambda: nm.metrics.relative_mean_corruption_error(
        ALEXNET, 0.1, reference=dict.fromkeys(ALEXNET, 0.5), reference_clean_error=0.5),
    "no family": lambda: nm.mean_corruption_error(ALEXNET, without=FAMILIES),
    "no family at all": lambda: nm.metrics.robust_accuracy(ALEXNET, without=FAMILIES),
    "zero flips": lambda: nm.metrics.flip_rate({"snow": 0.1}, reference={"snow": 0.0}),
    "no sequence": lambda: nm.metrics.mean_flip_rate({}, reference={"snow": 0.1}, without="snow"),
    "NaN vertices": lambda: nm.make_polygon_band(20, vertices=[(0, 0), (1, 0), (np.nan, 1)]),
    "NaN points": lambda: nm.data.signed_distance([[np.nan, 0]]),
    "NaN on a grid": lambda: boundary.measure_boundary(np.full((4, 4), np.nan), extent=1.0),
    "NaN probabilities": lambda: nm.aurra(np.full((4, 3), np.nan), Y),
    "NaN scores": lambda: top5_distance(np.full((2, 3, 6), np.nan)),
    "ragged lists": lambda: nm.aurra([[0.5, 0.5], [1.0]], [0, 1]),
    "text": lambda: nm.aurra([["a", "b"]], [0]),
    "rows that do not exist": lambda: nm.load("fashion-mini").take([3, 10**6]),
    "plan of floats": lambda: AugMixPlan(*(np.zeros((1, 2, 1, 1)),) * 3, np.ones((1, 2, 1)),
                                         np.ones((1, 2))),
    "depth 2.5": lambda: nm.AugMix(depth=2.5),
    "a chain that is a text": lambda: AugMixPlan.same(2, ["rotate"]),
    "zero steps": lambda: Settings(epochs=0),
    "huge": lambda: nm.Mixup(10**400),
    "floats of eight bits": lambda: nm.corrupt(torch.zeros(1, 32, 32, 3).to(torch.float8_e4m3fn),
                                               "fog", 1),
    "no mapping of errors": lambda: nm.mean_corruption_error(None),
    "no mapping of flips": lambda: nm.metrics.flip_rate([0.1]),
    "no curves": lambda: nm.ReliabilityCurve.pooled([1, 2]),
    "lowest above highest": lambda: nm.statistics.deviation_from_range(1.0, 0.0, 5),
    "infinite results": lambda: nm.statistics.seed_scatter([[1, 2, 3], [3, np.inf, 1]]),
    "no batch": lambda: nm.batch_loss(NET, {"x": TWO[0], "y": TWO[1]}, MIXUP, nm.Rng(0)),
    "no scheme": lambda: nm.suited("nfm", "cifar10", "wrn28_4"),
    "a model for its name": lambda: nm.suited(MIXUP, "cifar10", NET),
    "no samples": lambda: nm.Mixup().draw(torch.tensor(1.0), None, None, nm.Rng(0)),
    "no images": lambda: nm.predict(MODEL, X[:0]),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_cases_are_ours_to_name(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((TypeError, ValueError)) as caught:
            ODD[case]()
    assert caught.traceback[-1].path.is_relative_to(_checks.__file__.rpartition("/")[0])
    assert "\n" not in str(caught.value)


def test_bad_settings_lose_nothing():
    lab = ToyLab(seed=1)
    lab.set_points(np.eye(4, 2), [0, 1, 0, 1], [0, 0, 1, 1])
    for change in (lambda: lab.set(data_seed=-1), lambda: lab.set(data_seed=0.5)):
        with pytest.raises((TypeError, ValueError), match="data_seed"):
            change()
    assert len(lab.X_train) == 2


# -- at random ------------------------------------------------------------------------------------

ODDITIES = [
    0, 1, -1, 2.5, True, None, "x", float("nan"), float("inf"), [], [0], [0, 1], [[0.5, 0.5]], {},
    1j, [[1], [1, 2]], np.int64(2), np.float32(0.5), np.zeros((0, 2)), np.ones((2, 2)),
    np.full((2, 2), 0.5), np.full((2, 2), np.nan), np.array([0, 1], np.uint16), np.array(["a"]),
    np.arange(4)[::-1], np.zeros((2, 2, 3), ">f4"), torch.zeros(0), torch.zeros(2, 2),
    torch.full((2, 2), 0.5), torch.full((2, 2, 2), 0.5), torch.full((2, 2), float("inf")),
    torch.tensor([0, 1]), torch.tensor([[0, 1]]), torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8, 3),
    torch.ones(2, 2, dtype=torch.complex64), torch.zeros(2, 2, dtype=torch.bfloat16),
    torch.tensor(1), torch.tensor(0.5), torch.zeros(1, 1, 1, 1), torch.zeros(2, 2).bool(),
    torch.full((1, 2, 2), 0.5, requires_grad=True), range(2), np.ones((2, 2), np.uint8),
]  # fmt: skip


class TwoClasses(torch.nn.Module):
    """Logits for activations of any shape."""

    def forward(self, x):
        total = x.reshape(len(x), -1).sum(1, keepdim=True).float()
        return torch.cat([total, -total], 1)


ANY = nm.StagedModel([TwoClasses()])

FUNCTIONS = {
    "ece": (nm.expected_calibration_error, 2),
    "rms": (nm.rms_calibration_error, 2),
    "aurra": (nm.aurra, 2),
    "brier": (brier_score, 2),
    "nll": (negative_log_likelihood, 2),
    "curve": (lambda p, y, bins: nm.reliability_curve(p, y, bins=bins), 3),
    "flips": (lambda p, stride: nm.flip_probability(p, stride=stride), 2),
    "top5": (lambda s, stride: top5_distance(s, stride=stride), 2),
    "cross-entropy": (nm.soft_cross_entropy, 2),
    "jsd": (nm.jensen_shannon_divergence, 2),
    "jsd of logits": (lambda p, w: nm.jensen_shannon_divergence(p, w, from_logits=True), 2),
    "kl": (lambda p, w: nm.kullback_leibler_divergence(p, w, from_logits=True), 2),
    "noisymix": (lambda z, y, g: nm.noisymix_loss(z, y, stability=g), 3),
    "pair": (Pair, 3),
    "mix": (lambda h, p, w: nm.mix(h, Pair(p, w, 0.5)), 3),
    "labels": (lambda y, p, lam: nm.mix_labels(y, Pair(p, 0.5, lam), 2), 3),
    "inject": (lambda h, a: nm.inject(h, nm.NoiseDraw(a)), 2),
    "noise": (lambda h, a: nm.Noise(a, a).draw(h, nm.Rng(0)), 2),
    "mixup": (lambda a, b: nm.Mixup(a, b), 2),
    "augmix": (lambda s, w: nm.AugMix(severity=s, width=w), 2),
    "views": (lambda x, c: nm.AugMix(copies=c).make(_checks.tensor("x", x), None, None, nm.Rng(0)),
              2),
    "plan": (lambda b, lv: AugMixPlan.same(b, [("rotate",)], level=lv), 2),
    "data": (nm.ImageData.of, 2),
    "corrupt": (lambda x, s: nm.corrupt(x, "fog", s), 2),
    "errors": (lambda e, c: nm.metrics.relative_mean_corruption_error({**ALEXNET, "fog": e}, c), 2),
    "flip rates": (lambda p: nm.metrics.flip_rate({"snow": p}), 1),
    "points": (lambda n, v: nm.make_polygon_band(n, vertices=v, random_state=0), 2),
    "rng": (lambda s, p: nm.Rng(s).fold(p), 2),
    "recipe": (lambda e, r: nm.Recipe(epochs=e, learning_rate=r), 2),
    "predictions": (nm.Predictions, 2),
    "loss": (lambda x, y: nm.batch_loss(ANY, (x, y), MIXUP, nm.Rng(0)), 2),
}  # fmt: skip


def numbers_in(result):
    """Yield all floating-point values of a result."""
    if isinstance(result, torch.Tensor):
        yield from [result] if result.is_floating_point() else []
    elif isinstance(result, float):
        yield torch.tensor(result)
    elif isinstance(result, nm.LossParts):
        yield from (result.ce, result.jsd)


def is_finite(value):
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return bool(np.isfinite(value).all())
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value.detach()).all())
    return not isinstance(value, float) or bool(np.isfinite(value))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_odd_input_gives_a_result_or_one_line(function):
    call, arity = FUNCTIONS[function]
    pick = nm.Rng(0).fold("odd input", function).numpy()
    answered = 0
    for _ in range(300):
        given = [ODDITIES[int(k)] for k in pick.integers(len(ODDITIES), size=arity)]
        finite = all(is_finite(g) for g in given)
        before = [g.clone() if isinstance(g, torch.Tensor) else g for g in given]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = call(*given)
        except (TypeError, ValueError) as error:
            assert "\n" not in str(error), (given, error)
            last = error.__traceback__
            while last.tb_next is not None:
                last = last.tb_next
            assert "nmlib" in last.tb_frame.f_code.co_filename, (given, repr(error))
        else:
            answered += 1
            if finite:
                assert all(torch.isfinite(v).all() for v in numbers_in(result)), given
        for g, kept in zip(given, before, strict=True):
            if isinstance(g, torch.Tensor) and not g.is_complex():
                assert torch.equal(g.nan_to_num(), kept.nan_to_num())
    assert answered or function not in ("ece", "aurra", "jsd", "mix", "recipe", "noise", "loss")
