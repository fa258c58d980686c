"""Polygon geometry by dense sampling and winding angles."""

import math

import numpy as np


def boundary_points(vertices, n=4000):
    """Return n points on every edge, ends included."""
    points = []
    for (x0, y0), (x1, y1) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        t = np.linspace(0, 1, n)
        points.append(np.stack([x0 + t * (x1 - x0), y0 + t * (y1 - y0)], 1))
    return np.concatenate(points)


def is_inside(point, vertices):
    """Sum the angles under which a point sees the edges: 2 pi inside, 0 outside."""
    total = 0.0
    for (x0, y0), (x1, y1) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        a = math.atan2(y0 - point[1], x0 - point[0])
        b = math.atan2(y1 - point[1], x1 - point[0])
        total += math.remainder(b - a, 2 * math.pi)
    return abs(total) > math.pi


def signed_distance(point, vertices, boundary):
    """Distance to the nearest sampled boundary point (never too small), positive inside."""
    distance = np.sqrt(((boundary - np.asarray(point)) ** 2).sum(1)).min()
    return distance if is_inside(point, vertices) else -distance
