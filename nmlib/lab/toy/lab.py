"""The toy lab behind the live explorer: settings in, pictures and numbers out. No widgets here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from nmlib import _checks
from nmlib.lab.toy.boundary import grid_points, measure_boundary
from nmlib.lab.toy.draws import normals
from nmlib.lab.toy.ensemble import Ensemble
from nmlib.lab.toy.shapes import SHAPES, toy_data
from nmlib.schemes import FIG4, READINGS, Scheme, fig4_schemes

__all__ = ["Settings", "ToyLab", "one_class_words"]

# Standard deviation of the test noise (that of the data's own), and its draws per point.
TEST_NOISE, _TEST_NOISE_DRAWS = 0.2, 8
_GRID = 100
# With fewer steps, one class everywhere means only that training has just begun.
ENOUGH_STEPS = 100


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _one_thread(method: _Method) -> _Method:
    """Run with one thread of PyTorch: on matrices this small, more threads wait for each other.

    On two busy CPUs the 500 steps took 0.4 s with one thread, and 2 to 20 s with two.
    """

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return method(*args, **kwargs)
        finally:
            torch.set_num_threads(before)

    return run  # type: ignore[return-value]


def one_class_words(metrics: Mapping[str, Any]) -> str:
    """Return a warning if a trained network puts the whole plane in one class, else "".

    >>> one_class_words({"one_class": True, "collapsed": False, "step": 3})
    'one class everywhere so far'
    """
    if not metrics["one_class"] or not metrics["step"]:
        return ""
    return (
        "collapsed: one class everywhere" if metrics["collapsed"] else "one class everywhere so far"
    )


@dataclass(frozen=True)
class Settings:
    r"""Everything that determines what the explorer shows.

    The defaults were measured (figures/data/toy_final.jsonl): no scheme collapses and every
    slider has a visible effect. The paper's own values were lost; its $\gamma = 12$ collapses.

    Args:
        alpha: Beta parameter of the mixing, > 0.
        sigma_add: Additive noise level $\sigma_{add} \ge 0$, in units of the axes (input) or of
            the activations (hidden layer).
        sigma_mult: Multiplicative noise level $\sigma_{mult} \ge 0$, relative.
        stability: Weight $\gamma \ge 0$ of the Jensen-Shannon divergence.
        seed: Seed of initial weights, batches, partners and noise, below 2^32.
        data_seed: Seed of the data, below 2^32.
        shape: Shape of the data, a key of `SHAPES`.
        data_noise: How far the points stray, see `toy_data`.
        reading: What 'JSD without augmentation' means, a key of `READINGS`.
        law: Noise law, "paper" or "released".
        learning_rate: Learning rate of Adam, > 0.
        batch_size: Samples per step.
        width: Hidden units.
        epochs: Length of training.

    >>> Settings(alpha=-1)
    Traceback (most recent call last):
    ValueError: alpha must be a finite number > 0, got -1
    """

    alpha: float = 0.3
    sigma_add: float = 0.15
    sigma_mult: float = 0.1
    stability: float = 0.3
    seed: int = 0
    data_seed: int = 0
    shape: str = "band"
    data_noise: float = 0.2
    reading: str = "independent"
    law: Literal["paper", "released"] = "paper"
    learning_rate: float = 0.03
    batch_size: int = 50
    width: int = 100
    epochs: int = 100

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.positive, "alpha", "learning_rate")
        _checks.keep(
            self, _checks.non_negative, "sigma_add", "sigma_mult", "stability", "data_noise"
        )
        _checks.keep(self, _checks.integer, "seed", "data_seed", least=0, most=2**32 - 1)
        _checks.keep(self, _checks.integer, "batch_size", "width", "epochs", least=1)
        _checks.keep(self, _checks.choice, "reading", allowed=READINGS)
        _checks.keep(self, _checks.choice, "shape", allowed=SHAPES)
        law = _checks.choice("noise law", self.law, ("paper", "released"))
        object.__setattr__(self, "law", law)

    def schemes(self) -> dict[str, Scheme]:
        """Return the six schemes of Fig. 4 at these settings."""
        return fig4_schemes(
            alpha=self.alpha,
            additive=self.sigma_add,
            multiplicative=self.sigma_mult,
            stability=self.stability,
            reading=self.reading,
            law=self.law,
        )


class ToyLab:
    """Six schemes trained side by side on the toy problem: same seed, same batches, same draws.

    Pictures depend only on the settings and the number of steps, not on what was shown before.

    Args:
        settings: Initial settings; default `Settings()`.
        **changes: Single settings to change.

    >>> lab = ToyLab(epochs=2)
    >>> lab.step(5)
    5
    >>> lab.grid("noisymix", size=20).shape, lab.metrics("noisymix")["step"]
    ((20, 20), 5)
    """

    EXTENT = 1.6
    lanes: tuple[str, ...] = FIG4

    def __init__(self, settings: Settings | None = None, **changes: Any) -> None:
        self.settings = replace(settings or Settings(), **changes)
        self._use_points(None)

    # -- settings and data ----------------------------------------------------------------------

    def set(self, **changes: Any) -> bool:
        """Change settings; if anything changes, start training again from the seed's weights.

        Returns:
            Whether anything changed.

        Raises:
            TypeError: For an unknown setting.
            ValueError: For a value out of range; no setting changes then.
        """
        settings = replace(self.settings, **changes)
        if settings == self.settings:
            return False
        data = ("data_seed", "shape", "data_noise")
        redraw = any(getattr(settings, k) != getattr(self.settings, k) for k in data)
        self.settings = settings
        if redraw:
            self._use_points(None)
        else:
            self.reset()
        return True

    def set_points(self, X: ArrayLike, y: ArrayLike, is_test: ArrayLike) -> None:
        """Replace the data: (n, 2) points, (n,) classes 0 or 1, (n,) True for test points.

        Raises:
            ValueError: For shapes that do not fit, or without a training point of each class.
        """
        # Copies: the lab's data do not change with the caller's arrays.
        X, test = _checks.array("X", X), _checks.array("is_test", is_test).astype(bool)
        y = _checks.class_labels(_checks.column(y), 2).cpu().numpy().copy()
        if X.ndim != 2 or X.shape[1] != 2 or y.shape != (len(X),) or test.shape != (len(X),):
            raise ValueError(
                f"points must be (n, 2), classes (n,), is_test (n,), got {X.shape}, {y.shape}, "
                f"{test.shape}"
            )
        if not np.isfinite(X).all():
            raise ValueError("points must be finite")
        if set(y[~test].tolist()) != {0, 1} or not test.any():
            raise ValueError("keep at least one training point of each class and one test point")
        self._use_points((X, y, test))

    def points(self, digits: int | None = None) -> list[list[float]]:
        """Return all points as rows [x, y, class, 1 if held back], in the order of their making.

        Args:
            digits: Decimals of the coordinates; default all.
        """
        if self._points is None:
            X, y = self._generated()
            test = np.arange(len(y)) >= len(y) // 2
        else:
            X, y, test = self._points
        return [
            [float(a) if digits is None else round(float(a), digits) for a in xy] + [int(c), int(h)]
            for xy, c, h in zip(X, y, test, strict=True)
        ]

    def _generated(self) -> tuple[NDArray, NDArray]:
        s = self.settings
        return toy_data(s.shape, seed=s.data_seed, noise=s.data_noise)

    def _use_points(self, points: tuple[NDArray, NDArray, NDArray] | None) -> None:
        """Take (X, y, is_test) as the data, or draw them if None; start training again."""
        self._points = points
        if points is None:
            X, y = self._generated()
            test = np.arange(500) >= 250
        else:
            X, y, test = points
        self.X_train, self.y_train = X[~test], y[~test]
        self.X_test, self.y_test = X[test], y[test]
        shape = (_TEST_NOISE_DRAWS, *self.X_test.shape)
        noise = TEST_NOISE * normals(0, "test noise", 0, int(np.prod(shape))).reshape(shape)
        self._noisy_test = (self.X_test + noise).reshape(-1, 2)
        self.reset()

    def reset(self) -> None:
        """Start training again from the seed's weights."""
        s = self.settings
        self._ensemble = Ensemble(
            list(s.schemes().values()), self.X_train, self.y_train, seeds=[s.seed],
            sizes=(2, s.width, 2), learning_rate=s.learning_rate, batch_size=s.batch_size,
        )  # fmt: skip
        self._margins: dict[tuple[str, int], NDArray[np.float32]] = {}

    # -- training -------------------------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return self._ensemble.steps_per_epoch

    @property
    def total_steps(self) -> int:
        """Optimiser steps after which training stops."""
        return self.settings.epochs * self.steps_per_epoch

    @property
    def steps_done(self) -> int:
        """Optimiser steps since the last start."""
        return self._ensemble.steps_done

    @property
    def done(self) -> bool:
        """Whether training has stopped."""
        return self.steps_done >= self.total_steps

    @_one_thread
    def step(self, n: int = 1) -> int:
        """Train all six schemes for n steps, or to the end of training if that is nearer.

        Returns:
            Steps taken.
        """
        taken = min(self.total_steps - self.steps_done, _checks.integer("n", n, 0))
        if taken:
            self._ensemble.step(taken)
            self._margins.clear()
        return taken

    # -- pictures and numbers -------------------------------------------------------------------

    def _lane(self, lane: str) -> int:
        _checks.choice("lane", lane, self.lanes)
        return self.lanes.index(lane)

    @_one_thread
    def _margin(self, lane: str, size: int) -> NDArray[np.float32]:
        """Return the (size, size) difference of the logits, class 1 minus class 0."""
        size = _checks.integer("size", size, 2)
        if (lane, size) not in self._margins:
            i = self._lane(lane)
            points = grid_points(self.EXTENT, size)
            logits = self._ensemble.logits(points, schemes=slice(i, i + 1))[0, 0]
            self._margins[lane, size] = (logits[:, 1] - logits[:, 0]).view(size, size).numpy()
        return self._margins[lane, size]

    def probability(self, lane: str, size: int = _GRID) -> NDArray[np.float32]:
        """Return P(class 1) on a (size, size) grid over [-EXTENT, EXTENT]^2, top row first."""
        return torch.sigmoid(torch.from_numpy(self._margin(lane, size))).numpy()

    def grid(self, lane: str, size: int = _GRID) -> NDArray[np.uint8]:
        """Return 255 * P(class 1), rounded, as a (size, size) image with the top row first."""
        return np.rint(self.probability(lane, size) * 255).astype(np.uint8)

    @_one_thread
    def metrics(self, lane: str) -> dict[str, Any]:
        """Return the numbers of one scheme at this step.

        Keys: step, epoch, loss, ce, jsd (of the last batch), train_accuracy, test_accuracy,
        noisy_accuracy (test points with Gaussian noise of 0.2, 8 fixed draws), errors (test
        points), boundary_length and steepness (see `measure_boundary`; steepness is None without
        a boundary), confidence (mean largest probability at the test points), one_class (all
        points of the plane in one class), collapsed (one_class at the end of a training of
        `ENOUGH_STEPS` steps or more).
        """
        i, ensemble, margin = self._lane(lane), self._ensemble, self._margin(lane, _GRID)
        splits = [self.X_train, self.X_test, self._noisy_test]
        logits = ensemble.logits(np.concatenate(splits), schemes=slice(i, i + 1))[0, 0]
        train, test, noisy = logits.split([len(s) for s in splits])
        truth = torch.from_numpy(self.y_test)
        right = test.argmax(1) == truth
        boundary = measure_boundary(margin, extent=self.EXTENT)
        scheme = ensemble.schemes[i]
        steps = ensemble.steps_done
        ce = float(ensemble.ce[i, 0]) if steps else None
        jsd = float(ensemble.jsd[i, 0]) if steps and scheme.stability else 0.0
        steepness = float(boundary.steepness[0])
        one_class = bool((margin > 0).all() or (margin <= 0).all())
        return {
            "step": steps,
            "epoch": steps / self.steps_per_epoch,
            "ce": ce,
            "jsd": jsd,
            "loss": None if ce is None else ce + scheme.stability * jsd,
            "train_accuracy": float(
                (train.argmax(1) == torch.from_numpy(self.y_train)).float().mean()
            ),
            "test_accuracy": float(right.float().mean()),
            "noisy_accuracy": float(
                (noisy.argmax(1) == truth.repeat(_TEST_NOISE_DRAWS)).float().mean()
            ),
            "errors": int((~right).sum()),
            "boundary_length": float(boundary.length[0]),
            "steepness": None if np.isnan(steepness) else steepness,
            "confidence": float(test.softmax(1).amax(1).mean()),
            "one_class": one_class,
            "collapsed": one_class and steps >= max(self.total_steps, ENOUGH_STEPS),
        }

    # -- export ---------------------------------------------------------------------------------

    def preset(self) -> dict[str, Any]:
        """Return the settings that differ from the defaults, ready for `Settings(**preset)`."""
        default = asdict(Settings())
        return {k: v for k, v in asdict(self.settings).items() if v != default[k]}

    def as_code(self, lane: str = "noisymix") -> str:
        """Return Python that reproduces the numbers and the picture shown.

        Args:
            lane: Scheme to draw; the table has all six.

        >>> print(ToyLab(alpha=0.5).as_code())
        from nmlib.lab.toy.demo import table
        from nmlib.lab.toy import ToyLab
        from nmlib.lab.toy.displays import DecisionBoundaryDisplay
        <BLANKLINE>
        lab = ToyLab(alpha=0.5)
        lab.step(0)
        print(table(lab))
        DecisionBoundaryDisplay.from_lab(lab, ['noisymix'])
        """
        self._lane(lane)
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.preset().items())
        lines = [
            "from nmlib.lab.toy.demo import table",
            "from nmlib.lab.toy import ToyLab",
            "from nmlib.lab.toy.displays import DecisionBoundaryDisplay",
            "",
            f"lab = ToyLab({arguments})",
        ]
        if self._points is not None:
            X, y, test = self._points
            lines += [
                f"X = {X.round(4).tolist()}",
                f"y = {y.tolist()}",
                f"is_test = {test.tolist()}",
                "lab.set_points(X, y, is_test)",
            ]
        lines += [
            f"lab.step({self.steps_done})",
            "print(table(lab))",
            f"DecisionBoundaryDisplay.from_lab(lab, [{lane!r}])",
        ]
        return "\n".join(lines)
