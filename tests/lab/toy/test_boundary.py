"""Boundary length and steepness against closed forms and matplotlib's own contours."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from nmlib.lab.toy.boundary import grid_points, measure_boundary
from nmlib.rng import Rng

EPS = np.finfo(float).eps


def plane(size, extent=1.6):
    return grid_points(extent, size).T.reshape(2, size, size)


def test_grid_runs_like_an_image():
    points = grid_points(1.6, 4)
    assert points[0].tolist() == pytest.approx([-1.2, 1.2])
    assert points[-1].tolist() == pytest.approx([1.2, -1.2])


@pytest.mark.parametrize("radius", [0.3, 0.7, 1.2])
def test_circle(radius):
    x, y = plane(200)
    measured = measure_boundary(3 * (radius - np.hypot(x, y)), extent=1.6)
    assert measured.length[0] == pytest.approx(2 * np.pi * radius, rel=1e-3)
    assert measured.steepness[0] == pytest.approx(3, rel=1e-3)


def test_tilted_line_has_its_length_and_slope():
    x, y = plane(64)
    measured = measure_boundary(2 * x - y, extent=1.6)
    inside = 2 * 1.6 * 63 / 64  # between the outermost grid points
    assert measured.length[0] == pytest.approx(inside * np.hypot(1, 0.5), rel=1e-6)
    assert measured.steepness[0] == pytest.approx(5**0.5, rel=1e-6)


def test_random_fields_equal_matplotlib_contours():
    draw = Rng(0).numpy()
    for _ in range(5):
        field = draw.normal(size=(12, 12))
        lines = Figure().subplots().contour(field, levels=[0.0])
        total = 0.0
        for path in lines.get_paths():
            for part in path._iter_connected_components():
                total += np.hypot(*np.diff(part.vertices, axis=0).T).sum()
        mine = measure_boundary(field, extent=6.0).length[0]
        # Cells with four crossings are split by the same rule; matplotlib closes loops.
        assert mine == pytest.approx(total, rel=1e-6)


def test_many_at_once_equal_one_by_one():
    fields = Rng(1).numpy().normal(size=(7, 20, 20))
    together = measure_boundary(fields, extent=1.0)
    for k in range(7):
        alone = measure_boundary(fields[k], extent=1.0)
        # A sum over 19 x 19 cells, in double precision.
        assert together.length[k] == pytest.approx(alone.length[0], rel=361 * EPS)
        assert together.steepness[k] == pytest.approx(alone.steepness[0], rel=361 * EPS)


def test_no_boundary_is_length_zero():
    measured = measure_boundary(np.ones((10, 10)), extent=1.0)
    assert measured.length[0] == 0
    assert np.isnan(measured.steepness[0])


def test_scale_of_axes():
    x, y = plane(100, extent=1.0)
    field = 0.5 - np.hypot(x, y)
    small, large = measure_boundary(field, extent=1.0), measure_boundary(field, extent=2.0)
    assert large.length[0] == pytest.approx(2 * small.length[0])
    assert large.steepness[0] == pytest.approx(small.steepness[0] / 2)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4), (1, 1, 1)])
def test_bad_shapes_are_named(shape):
    with pytest.raises(ValueError, match="values must have shape"):
        measure_boundary(np.zeros(shape), extent=1.0)
