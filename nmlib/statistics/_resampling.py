"""The bootstrap over seeds and test images, paired over the rows."""

from __future__ import annotations

import numpy as np

from nmlib import _checks
from nmlib.rng import Rng, checked_rng
from nmlib.statistics._cells import Cells, Floats


def resample(cells: Cells, rng: Rng, *, resamples: int = 2000) -> Floats:
    r"""Draw row means from the bootstrap over seeds and, if `cells.correct` has them, test images.

    From n seeds (or images), n - 1 are drawn with replacement: their mean has
    variance $s^2/n$ with $s^2$ the unbiased variance, where n draws would give $(n-1)/n$ of it,
    a third too little for three seeds. Seeds and images are drawn for all rows at once.

    Args:
        cells: Results.
        rng: Random source.
        resamples: Number of draws.

    Returns:
        (resamples, R) row means. With one seed and no images, all are the printed values.

    Source: ours (rescaled bootstrap, Rao and Wu 1988).

    >>> cells = Cells(("a",), [[0], [1]], [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    >>> draws = resample(cells, Rng(0), resamples=4)
    >>> (draws[:, 1] - draws[:, 0]).tolist()  # paired: the difference is always 1
    [1.0, 1.0, 1.0, 1.0]
    """
    resamples = _checks.integer("resamples", resamples, 1)
    n = cells.seeds
    draw = checked_rng(rng).fold("bootstrap", "seeds").numpy()
    if n == 1:
        weights = np.ones((resamples, 1))
    else:
        weights = draw.multinomial(n - 1, np.full(n, 1 / n), size=resamples) / (n - 1)
    if cells.correct is None:
        return weights @ cells.values.T
    rows, _, images = cells.correct.shape
    if images < 2:
        raise ValueError("the bootstrap over images needs two images or more, got 1")
    scale = scale_of(cells)
    # In single precision the last digits would depend on the number of threads.
    flat = cells.correct.reshape(rows * n, images).astype(np.float64)
    picked = rng.fold("bootstrap", "images").numpy()
    result = np.empty((resamples, rows))
    for start in range(0, resamples, 64):  # 64 x images counts at a time
        some = slice(start, min(start + 64, resamples))
        counts = picked.multinomial(
            images - 1, np.full(images, 1 / images), size=some.stop - some.start
        )
        means = (counts @ flat.T) / (images - 1)
        result[some] = np.einsum("brs,bs->br", means.reshape(-1, rows, n), weights[some]) * scale
    return result


def scale_of(cells: Cells) -> float:
    """Return the factor from shares of images to values (100 for percent)."""
    assert cells.correct is not None
    shares = cells.correct.mean(-1, dtype=np.float64)
    scale = float((cells.values * shares).sum() / max((shares**2).sum(), 1e-300))
    if not np.allclose(cells.values, scale * shares, rtol=1e-4, atol=1e-6 * abs(scale)):
        raise ValueError("values are not proportional to the means of correct over its images")
    return scale


def interval(cells: Cells, draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return percentile limits; nan for one seed without images, which says nothing of chance."""
    if cells.seeds == 1 and cells.correct is None:
        nothing = np.full(draws.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def check_level(level: float) -> None:
    _checks.number("level", level, 0, 1, ends="()", remedy="0.95 is usual")
