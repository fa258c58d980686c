"""The data set of appendix A: geometry, label rule, statistics, scikit-learn's manners."""

import inspect

import numpy as np
import pytest
from oracles import polygon as oracle

from nmlib import Rng, make_polygon_band
from nmlib.data import POLYGON_VERTICES, signed_distance

STAR = ((0, 1), (0.2, 0.2), (1, 0), (0.2, -0.2), (0, -1), (-0.2, -0.2), (-1, 0), (-0.2, 0.2))
POLYGONS = {
    "paper": POLYGON_VERTICES,
    "clockwise": POLYGON_VERTICES[::-1],
    "star": STAR,
    "triangle": ((0, 0), (1, 0), (0, 1)),
}


@pytest.mark.parametrize("name", POLYGONS)
def test_signed_distance_equals_brute_force(name):
    vertices = POLYGONS[name]
    points = Rng(0).numpy().uniform(-1.5, 1.5, size=(300, 2))
    boundary = oracle.boundary_points(vertices)
    expected = np.array([oracle.signed_distance(p, vertices, boundary) for p in points])
    got = signed_distance(points, vertices)
    assert np.array_equal(np.sign(got), np.sign(expected))
    # 4,000 samples an edge of length <= 1.5: the nearest one is at most 2e-4 along the edge away.
    assert (np.abs(expected) - np.abs(got)).min() > -1e-12
    assert (np.abs(expected) - np.abs(got)).max() < 2e-4


def test_points_level_with_a_corner():
    """A horizontal ray through a corner must not count it twice."""
    square = ((0, 0), (1, 0), (1, 1), (0, 1))
    diamond = ((0, -1), (1, 0), (0, 1), (-1, 0))
    assert signed_distance([[-0.5, 0.0], [-0.5, 1.0], [0.5, 0.5]], square).tolist() == [
        -0.5, -0.5, 0.5,
    ]  # fmt: skip
    assert signed_distance([[-2.0, 0.0], [0.0, 0.0]], diamond).tolist() == pytest.approx(
        [-1.0, np.sqrt(0.5)]
    )
    assert signed_distance([[1.0, 0.5], [0.0, 0.0]], square).tolist() == [0, 0]


def test_distance_is_1_lipschitz():
    points = Rng(1).numpy().uniform(-1.5, 1.5, size=(2, 2000, 2))
    a, b = signed_distance(points[0]), signed_distance(points[1])
    assert (np.abs(a - b) <= np.linalg.norm(points[0] - points[1], axis=1) + 1e-12).all()


def test_repeated_corners_change_nothing():
    points = Rng(2).numpy().uniform(-1, 1, size=(50, 2))
    closed = (*POLYGON_VERTICES, POLYGON_VERTICES[0])
    doubled = [v for v in POLYGON_VERTICES for _ in range(2)]
    expected = signed_distance(points)
    assert np.array_equal(signed_distance(points, closed), expected)
    assert np.array_equal(signed_distance(points, doubled), expected)


# -- the generator --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many_seeds():
    return [make_polygon_band(500, random_state=s) for s in range(200)]


def test_statistics_of_200_seeds(many_seeds):
    """Digitised from Fig. 4: 0.189 +- 0.014 of class 1, 0.213 +- 0.016 in the band, Bayes 0.893."""
    positive = np.array([y.mean() for _, y in many_seeds])
    in_band = np.array([(np.abs(signed_distance(X)) <= 0.1).mean() for X, _ in many_seeds])
    assert positive.mean() == pytest.approx(0.189, abs=4 * 0.014 / 200**0.5)
    assert positive.std() == pytest.approx(0.014, abs=0.003)
    assert in_band.mean() == pytest.approx(0.213, abs=4 * 0.016 / 200**0.5)
    assert in_band.std() == pytest.approx(0.016, abs=0.003)
    # The best rule follows the polygon and is right half of the time in the band.
    bayes = np.mean([((signed_distance(X) > 0) == y).mean() for X, y in many_seeds])
    assert bayes == pytest.approx(0.893, abs=0.004)
    assert bayes == pytest.approx(1 - in_band.mean() / 2, abs=4 * 0.5 * (0.213 / 1e5) ** 0.5)


def test_labels_follow_the_rule(many_seeds):
    X, y = (np.concatenate(part) for part in zip(*many_seeds, strict=True))
    distance = signed_distance(X)
    assert (y[distance > 0.1] == 1).all()
    assert (y[distance < -0.1] == 0).all()
    coin = y[np.abs(distance) <= 0.1]
    assert coin.mean() == pytest.approx(0.5, abs=4 * 0.5 / len(coin) ** 0.5)
    inner = y[(distance > 0) & (distance <= 0.1)]  # the coin does not look at the side
    assert inner.mean() == pytest.approx(0.5, abs=4 * 0.5 / len(inner) ** 0.5)


def test_rings_and_noise():
    X, _ = make_polygon_band(400, factor=0.3, noise=0, shuffle=False, random_state=0)
    radius = np.hypot(*X.T)
    assert np.allclose(radius[:200], 1)
    assert np.allclose(radius[200:], 0.3)
    angles = np.sort(np.mod(np.arctan2(X[:200, 1], X[:200, 0]), 2 * np.pi))
    assert np.allclose(np.diff(angles), 2 * np.pi / 200)
    noisy, _ = make_polygon_band(20_000, factor=0.3, noise=0.2, shuffle=False, random_state=0)
    clean, _ = make_polygon_band(20_000, factor=0.3, noise=0, shuffle=False, random_state=0)
    offset = noisy - clean
    assert offset.std() == pytest.approx(0.2, rel=4 / (2 * 40_000) ** 0.5)
    assert np.abs(np.corrcoef(offset.T)[0, 1]) < 4 / 20_000**0.5


def test_equals_scikit_learns_circles_without_noise():
    datasets = pytest.importorskip("sklearn.datasets")
    X, _ = make_polygon_band(101, factor=0.4, noise=0, shuffle=False)
    circles, _ = datasets.make_circles(101, factor=0.4, noise=None, shuffle=False)
    assert np.allclose(X, circles, atol=1e-12)


def test_shuffling_mixes_the_rings(many_seeds):
    first = np.mean([np.hypot(*X[:250].T).mean() for X, _ in many_seeds])
    last = np.mean([np.hypot(*X[250:].T).mean() for X, _ in many_seeds])
    assert first == pytest.approx(last, abs=0.01)


@pytest.mark.parametrize(("p_band", "band"), [(0.0, 0.1), (1.0, 0.1), (0.5, 0.0), (0.8, 0.3)])
def test_the_band_has_its_probability(p_band, band):
    X, y = make_polygon_band(20_000, band=band, p_band=p_band, random_state=0)
    inside = np.abs(signed_distance(X)) <= band
    if band == 0:
        assert np.array_equal(y == 1, signed_distance(X) > 0)
    else:
        assert y[inside].mean() == pytest.approx(p_band, abs=0.02)


def test_manners_of_scikit_learn():
    X, y = make_polygon_band(random_state=0)
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((500, 2), np.float64, (500,), np.int64)
    assert len(make_polygon_band(101, random_state=0)[0]) == 101
    parameters = list(inspect.signature(make_polygon_band).parameters.values())[1:]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters)
    one, two = make_polygon_band(random_state=3), make_polygon_band(random_state=np.int64(3))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])
    assert not np.array_equal(one[0], make_polygon_band(random_state=4)[0])
    assert not np.array_equal(make_polygon_band()[0], make_polygon_band()[0])


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_a_generator_moves_on(kind):
    state = kind(0)
    first, second = make_polygon_band(random_state=state), make_polygon_band(random_state=state)
    assert not np.array_equal(first[0], second[0])
    assert np.array_equal(first[0], make_polygon_band(random_state=kind(0))[0])


def test_vertices_are_not_changed_and_may_be_any_sequence():
    vertices = np.array(POLYGON_VERTICES)
    before = vertices.copy()
    X, y = make_polygon_band(random_state=0, vertices=vertices)
    assert np.array_equal(vertices, before)
    Z, z = make_polygon_band(random_state=0, vertices=vertices.tolist())
    assert np.array_equal(X, Z)
    assert np.array_equal(y, z)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(n_samples=1), ValueError, "n_samples must be an integer >= 2, got 1"),
        (dict(n_samples=10.5), TypeError, "n_samples must be an integer >= 2, got 10.5"),
        (dict(n_samples="10"), TypeError, "n_samples must be an integer >= 2, got '10'"),
        (dict(factor=1.0), ValueError, r"factor must lie in \(0, 1\), got 1.0"),
        (dict(factor=0), ValueError, r"factor must lie in \(0, 1\), got 0"),
        (dict(noise=-0.1), ValueError, "noise must .* got -0.1"),
        (dict(noise=None), TypeError, "noise must be a number, got None"),
        (dict(band=-0.1), ValueError, "band must .* got -0.1"),
        (dict(p_band=1.1), ValueError, r"p_band must lie in \[0, 1\], got 1.1"),
        (dict(vertices=[(0, 0), (1, 1)]), ValueError, r"shape \(m, 2\) with m >= 3, got \(2, 2\)"),
        (dict(random_state="0"), TypeError, "random_state must be None, an int, .* got '0'"),
        (dict(random_state=1.5), TypeError, "got 1.5"),
        (dict(random_state=-1), ValueError, "random_state must be an integer >= 0, got -1"),
    ],
)
def test_wrong_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        make_polygon_band(**change)


def test_wrong_points_are_named():
    with pytest.raises(ValueError, match=r"points must have shape \(n, 2\), got \(3,\)"):
        signed_distance([1.0, 2.0, 3.0])
