"""Calibration measures in plain Python, one prediction at a time, from their definitions."""

import math


def top(probabilities, labels):
    """Confidence and correctness of each prediction."""
    pairs = []
    for row, label in zip(probabilities, labels, strict=True):
        row = [float(p) for p in row]
        pairs.append((max(row), row.index(max(row)) == int(label)))
    return pairs


def calibration_error(pairs, bins, norm):
    """Bins (lo, hi] of equal width."""
    gaps = []
    for b in range(bins):
        inside = [(c, r) for c, r in pairs if b / bins < c <= (b + 1) / bins]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(r for _, r in inside) / len(inside)
            gaps.append((len(inside) / len(pairs), abs(confidence - accuracy)))
    if norm == "l1":
        return sum(share * gap for share, gap in gaps)
    if norm == "l2":
        return math.sqrt(sum(share * gap**2 for share, gap in gaps))
    return max(gap for _, gap in gaps)


def rms_error(pairs, size, drop_last):
    """Bins of `size` predictions in the order of confidence, the last one takes what is left."""
    pairs = sorted(pairs, key=lambda pair: pair[0])
    groups = []
    while len(pairs) >= 2 * size:
        groups.append(pairs[:size])
        pairs = pairs[size:]
    groups.append(pairs)
    total = sum(len(group) for group in groups)
    if drop_last:
        groups.pop()
    square = 0.0
    for group in groups:
        gap = sum(c for c, _ in group) / len(group) - sum(r for _, r in group) / len(group)
        square += len(group) / total * gap**2
    return math.sqrt(square)


def response_area(pairs):
    """Mean accuracy of the k most confident predictions, over k."""
    pairs = sorted(pairs, key=lambda pair: -pair[0])
    accuracies = [sum(r for _, r in pairs[:k]) / k for k in range(1, len(pairs) + 1)]
    return sum(accuracies) / len(accuracies)


def brier(probabilities, labels):
    """Mean squared distance to the one-hot label."""
    total = 0.0
    for row, label in zip(probabilities, labels, strict=True):
        total += sum((float(p) - (k == int(label))) ** 2 for k, p in enumerate(row))
    return total / len(labels)
