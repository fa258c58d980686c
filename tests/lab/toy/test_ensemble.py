"""Every member of an ensemble is the same network trained alone with the same draws."""

import numpy as np
import pytest
import torch

from nmlib import Noise, fig4_schemes, make_polygon_band
from nmlib.lab.toy.draws import initial_values, symmetric_beta
from nmlib.lab.toy.ensemble import Ensemble
from nmlib.lab.toy.ensemble._gradients import parameter_views
from nmlib.models import mlp
from nmlib.objective import apply_draws


def train_alone(ensemble: Ensemble, scheme: int, seed: int, steps: int) -> list[float]:
    """Train one member the plain way (autograd, torch.optim.Adam) with the ensemble's draws."""
    model = mlp(ensemble.sizes, activation=ensemble.activation)
    start = torch.tensor(initial_values(ensemble.sizes, ensemble.seeds[seed]), dtype=torch.float32)
    torch.nn.utils.vector_to_parameters(start, model.parameters())
    optimiser = torch.optim.Adam(model.parameters(), lr=ensemble.learning_rate)
    losses = []
    for step in range(steps):
        draws, y = ensemble.draws(scheme, seed, step)
        parts = apply_draws(model, y, draws, stability=ensemble.schemes[scheme].stability)
        optimiser.zero_grad()
        parts.total.backward()
        optimiser.step()
        losses.append(parts.total.item())
    trained = torch.cat(
        [torch.cat([m.weight.flatten(), m.bias]) for m in model.modules() if hasattr(m, "weight")]
    )
    mine = ensemble._parameters[scheme, seed]
    # Adam divides a gradient by its own size: of one that cancels to three digits, each step is
    # wrong by a thousandth.
    bound = 1e-3 * ensemble.learning_rate * steps
    assert (trained - mine).detach().abs().max().item() < bound, (scheme, seed)
    return losses


CASES = {
    "independent": dict(reading="independent"),
    "unmixed": dict(reading="unmixed"),
    "extra noise": dict(reading="noise"),
    "released law": dict(reading="independent", law="released"),
    "input only": dict(reading="independent", points=(0,)),
    "hidden only": dict(reading="unmixed", points=(1,)),
}


@pytest.mark.parametrize("case", CASES)
def test_members_equal_networks_trained_alone(case):
    X, y = make_polygon_band(110, random_state=1)
    schemes = list(fig4_schemes(stability=0.7, **CASES[case]).values())
    ensemble = Ensemble(schemes, X, y, seeds=[3, 5], batch_size=20, sizes=(2, 12, 2))
    ensemble.step(20)
    for scheme in range(6):
        for seed in range(2):
            losses = train_alone(ensemble, scheme, seed, 20)
            total = (
                ensemble.ce[scheme, seed] + schemes[scheme].stability * ensemble.jsd[scheme, seed]
            )
            assert float(total) == pytest.approx(losses[-1], abs=1e-5)


def member_losses(group, step):
    """(ce, jsd) of every member at a step as a function of its parameters, in plain PyTorch."""
    shape, kind, (window, at) = group.shape, group.windows.kind, group.windows.at(step)
    c, s, point = len(group.schemes), len(group.seeds), window.point[at]
    batch, views, width = shape.batch, kind.views, shape.sizes[window.point[at]]
    levels = [window.level[i][at] for i in (0, 1)]
    fields = [group.windows.field(window, at, width, i) for i in (0, 1)]
    additive, multiplicative = (
        (f.clone() * n.clone()).expand(c, s, views, batch, width).flatten(0, 1)
        for f, n in zip(fields, levels, strict=True)
    )
    members = torch.arange(c * s).view(-1, 1, 1)
    partner = window.partner[at].long().view(c * s, kind.pairs, batch)
    partner = partner - members * batch  # rows of the member's own batch
    activate = torch.relu if shape.activation == "relu" else torch.tanh

    def run(parameters, h, start, stop):
        layers = list(parameter_views(parameters, shape.sizes))
        for i in range(start, stop):
            h = h @ layers[i][0].T + layers[i][1]
            h = activate(h) if i < len(layers) - 1 else h
        return h

    def parts(parameters, x, target, lam, partner, additive, multiplicative):
        h = run(parameters, x, 0, point)
        if kind.mixes:
            h = lam * h + (1 - lam) * h[partner]  # (pairs, batch, width)
        h = (1 + multiplicative) * h + additive  # (views, batch, width)
        log_p = run(parameters, h, point, len(shape.sizes) - 1).log_softmax(-1)
        ce = -(target.T * log_p[0]).sum() / batch
        mean = log_p.exp().mean(0)
        jsd = (log_p.exp() * (log_p - mean.log())).sum() / (views * batch)
        return ce, jsd

    inputs = (window.x[at], window.target[at], window.lam[at], partner, additive, multiplicative)
    gamma = torch.tensor([scheme.stability for scheme in group.schemes]).repeat_interleave(s)

    def total(parameters, gamma, *inputs):
        ce, jsd = parts(parameters, *inputs)
        return ce + gamma * jsd, (ce, jsd)

    flat = group.state.parameters.reshape(c * s, -1)
    inputs = [t.clone() for t in inputs]  # none of inference mode
    gradient, kept = torch.func.vmap(torch.func.grad(total, has_aux=True))(flat, gamma, *inputs)
    return [t.reshape(c, s, *t.shape[1:]) for t in (gradient, *kept)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradients_are_those_of_torch_func(case, activation):
    """The hand-written gradient of every member, at every mix point, against vmap(grad(loss))."""
    X, y = make_polygon_band(60, random_state=1)
    options = dict(points=(0, 1, 2)) | CASES[case]
    schemes = list(fig4_schemes(stability=0.7, **options).values())
    ensemble = Ensemble(
        schemes, X, y, seeds=[3, 4], batch_size=20, sizes=(2, 9, 7, 2), activation=activation
    )
    ensemble.step(3)  # away from the initial weights
    seen = set()
    for *_, group in ensemble._groups:
        for step in range(3, 11):
            seen.add(group.windows.at(step)[0].point[step])
            with torch.inference_mode():  # as in training
                group.gradients.write(step, keep=True)
            gradient, ce, jsd = member_losses(group, step)
            # Sums over a batch of 20, in another order.
            torch.testing.assert_close(group.state.gradient, gradient, rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(group.state.ce, ce, rtol=1e-5, atol=1e-6)
            if group.windows.kind.compares:
                torch.testing.assert_close(group.state.jsd, jsd, rtol=1e-4, atol=1e-6)
    assert seen == set(options["points"])


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_depth_own_data_and_many_blocks(activation):
    seeds = [0, 1, 14, 15, 16, 17, 40]
    data = [make_polygon_band(60, random_state=s) for s in seeds]
    X, y = np.stack([d[0] for d in data]), np.stack([d[1] for d in data])
    schemes = list(fig4_schemes(points=(0, 1, 2), stability=2.0).values())
    ensemble = Ensemble(
        schemes, X, y, seeds=seeds, sizes=(2, 10, 7, 2), batch_size=16, activation=activation
    )
    ensemble.step(12)
    for scheme in range(6):
        # The others have units with gradients of 1e-9, which Adam magnifies.
        for seed in (0, 1, 4, 6):
            train_alone(ensemble, scheme, seed, 12)


def test_a_member_does_not_depend_on_its_company():
    X, y = make_polygon_band(100, random_state=0)
    schemes = fig4_schemes()
    everyone = Ensemble(list(schemes.values()), X, y, seeds=range(20)).fit(3)
    alone = Ensemble([schemes["noisymix"]], X, y, seeds=[18]).fit(3)
    difference = (everyone.logits(X)[5, 18] - alone.logits(X)[0, 0]).abs().max()
    assert float(difference) < 1e-5


def test_members_are_ordinary_models():
    X, y = make_polygon_band(100, random_state=0)
    ensemble = Ensemble([fig4_schemes()["nfm"]], X, y, seeds=[0, 1], sizes=(2, 9, 5, 2)).fit(2)
    logits = ensemble.member(0, 1)(torch.tensor(X, dtype=torch.float32))
    assert torch.allclose(logits, ensemble.logits(X)[0, 1], atol=1e-6)


def test_common_random_numbers_across_schemes():
    X, y = make_polygon_band(100, random_state=0)
    ensemble = Ensemble(list(fig4_schemes().values()), X, y, seeds=[4])
    ensemble.step(1)
    (nfm, y_nfm), (mixup, y_mixup) = ensemble.draws(3, 0), ensemble.draws(2, 0)
    assert torch.equal(y_nfm, y_mixup)
    assert torch.equal(nfm.views, mixup.views)
    assert nfm.pairs[0].lam == mixup.pairs[0].lam
    assert torch.equal(nfm.pairs[0].partner, mixup.pairs[0].partner)


def test_noise_fields_have_the_law_and_differ_between_seeds_and_steps():
    X, y = make_polygon_band(100, random_state=0)
    scheme = fig4_schemes(additive=0.5, multiplicative=0.25, points=(1,))["nfm"]
    ensemble = Ensemble([scheme], X, y, seeds=range(16))
    fields = [ensemble.draws(0, s, t)[0].noise for s in (0, 7, 15) for t in range(4)]
    for name, level in (("additive", 0.5), ("multiplicative", 0.25)):
        values = torch.stack([getattr(f, name) for f in fields]).flatten(1)
        assert float(values.std()) == pytest.approx(level, rel=0.01)
        assert float(values.mean()) == pytest.approx(0, abs=4 * level / values.numel() ** 0.5)
        correlation = torch.corrcoef(values) - torch.eye(len(values))
        assert float(correlation.abs().max()) < 5 / values.shape[1] ** 0.5


def test_released_law_has_its_effective_levels():
    X, y = make_polygon_band(60, random_state=0)
    noise = Noise.released(0.5, 0.5)
    scheme = fig4_schemes(law="released", additive=0.5, multiplicative=0.5, points=(1,))["noisymix"]
    ensemble = Ensemble([scheme], X, y, seeds=range(16), sizes=(2, 50, 2))
    draws = [ensemble.draws(0, s, t)[0].noise for s in range(16) for t in range(100)]
    for view in range(3):
        add, mult = noise.effective_levels(view)
        got_add = torch.stack([d.additive[view] for d in draws]).square().mean().sqrt()
        got_mult = torch.stack([d.multiplicative[view] for d in draws]).square().mean().sqrt()
        # 1,600 draws of the Beta(2, 5) scale: relative error of its second moment about 2 %.
        assert float(got_add) == pytest.approx(add, rel=0.06)
        assert float(got_mult) == pytest.approx(mult, rel=0.06)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 1.0, 2.0, 8.0])
def test_beta_quantile_equals_scipy(alpha):
    stats = pytest.importorskip("scipy.stats")
    u = np.linspace(0.001, 0.5, 500)
    # Above one half a small alpha rounds 1 - t to 1, so the upper half is tested by symmetry.
    assert np.allclose(symmetric_beta(1 - u, alpha), 1 - symmetric_beta(u, alpha))
    assert np.abs(stats.beta(alpha, alpha).cdf(symmetric_beta(u, alpha)) - u).max() < 1e-5


@pytest.mark.parametrize("alpha", [0.1, 0.3, 1.0, 1 + 1e-7, 1.1, 3.0, 50.0, 600.0, 1e4, 1e9])
def test_beta_quantile_at_the_ends(alpha):
    stats = pytest.importorskip("scipy.stats")
    u = np.concatenate([[0, 1e-15, 1e-9, 1e-6], np.linspace(1e-4, 0.5, 999), [1 - 1e-9, 1]])
    found = symmetric_beta(u, alpha)
    np.testing.assert_allclose(found, stats.beta.ppf(u, alpha, alpha), rtol=0, atol=2e-6)
    assert (np.diff(found) >= 0).all() and found[0] == 0 and found[-1] == 1


def test_inputs_are_not_changed():
    X, y = make_polygon_band(100, random_state=0)
    before = X.copy(), y.copy()
    Ensemble(list(fig4_schemes().values()), X, y, seeds=[0]).fit(1)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(seeds=[]), "at least one"),
        (dict(seeds=[1, 1]), "must differ"),
        (dict(sizes=(3, 5, 2)), "features"),
        (dict(batch_size=0), "batch_size"),
        (dict(learning_rate=-1.0), "learning_rate"),
        (dict(activation="swish"), "unknown activation"),
        (dict(sizes=(2, 2)), "mix point 1 does not exist"),
    ],
)
def test_bad_arguments_are_named(change, message):
    X, y = make_polygon_band(60, random_state=0)
    arguments = dict(seeds=[0]) | change
    with pytest.raises(ValueError, match=message):
        Ensemble(list(fig4_schemes().values()), X, y, **arguments)
