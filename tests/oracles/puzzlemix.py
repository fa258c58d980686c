"""PuzzleMix written out: energies by loops, minima by trying everything."""

import itertools
import math

import numpy as np


def grid_energies(unary, vertical, horizontal):
    """Return every labelling of one grid with its energy: (n, h, w), (n,)."""
    height, width, labels = unary.shape
    every = np.array(list(itertools.product(range(labels), repeat=height * width)))
    every = every.reshape(-1, height, width)
    energy = np.zeros(len(every))
    for i in range(height):
        for j in range(width):
            energy += unary[i, j][every[:, i, j]]
            if i + 1 < height:
                gap = (every[:, i, j] - every[:, i + 1, j]) / (labels - 1)
                energy += vertical[i, j] * gap**2
            if j + 1 < width:
                gap = (every[:, i, j] - every[:, i, j + 1]) / (labels - 1)
                energy += horizontal[i, j] * gap**2
    return every, energy


def mask_energy(mask, x, other, share, other_share, lam, *, beta, gamma, eta, neigh_size):
    """Energy of a mask of 0 and 1, term by term, from the images (C, H, H)."""
    n = len(mask)
    block = x.shape[-1] // n
    cell = min(neigh_size, block)

    def averaged(image, row, column):
        patch = image[:, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
        return patch.mean((1, 2))

    images = {1: x, 0: other}
    smooth = beta / (16 * n)
    total = 0.0
    for i in range(n):
        for j in range(n):
            kept = int(mask[i, j])
            total += other_share[i, j] if kept else share[i, j]
            total -= eta / n**2 * math.log((lam if kept else 1 - lam) + 1e-8)
            for di, dj in ((1, 0), (0, 1)):
                if i + di == n or j + dj == n:
                    continue
                neighbour = int(mask[i + di, j + dj])
                total += smooth * (kept != neighbour)
                steps = []
                for t in range(block // cell):
                    if di:  # last row of cells of this block, first of the one below
                        column = j * (block // cell) + t
                        row = (i + 1) * (block // cell)
                        here = averaged(images[kept], row - 1, column)
                        there = averaged(images[neighbour], row, column)
                    else:
                        row = i * (block // cell) + t
                        column = (j + 1) * (block // cell)
                        here = averaged(images[kept], row, column - 1)
                        there = averaged(images[neighbour], row, column)
                    steps.append(np.abs(here - there).mean())
                total += smooth * gamma * np.mean(steps)
    return total


def transport_costs(share, shown, t_eps):
    """Return every permutation of the patches of one image with its cost: (n, p * p), (n,)."""
    side = len(shown)
    every = np.array(list(itertools.permutations(range(side * side))))
    cost = np.zeros(len(every))
    for target in range(side * side):
        row, column = divmod(target, side)
        from_row, from_column = np.divmod(every[:, target], side)
        distance = ((from_row - row) ** 2 + (from_column - column) ** 2) / (side - 1) ** 2
        cost += t_eps * distance
        if shown[row, column]:
            cost -= share[from_row, from_column]
    return every, cost


def moved_patches(image, plan, side):
    """Return the image (C, H, H) with patch plan[t] standing at t."""
    edge = image.shape[-1] // side
    out = np.empty_like(image)
    for target, patch in enumerate(plan):
        (r, c), (fr, fc) = divmod(target, side), divmod(int(patch), side)
        out[:, r * edge : (r + 1) * edge, c * edge : (c + 1) * edge] = image[
            :, fr * edge : (fr + 1) * edge, fc * edge : (fc + 1) * edge
        ]
    return out
