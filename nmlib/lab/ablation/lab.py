"""The ablation as a live experiment: choose switches and levels, train, compare the result.

No widgets here. Everything is trained by `nmlib.fit` and measured by `nmlib.evaluate_corruptions`,
so the same settings give the same weights, bit for bit, with or without the lab.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from nmlib import _checks
from nmlib.data import ImageData, load
from nmlib.evaluation import CorruptionReport, evaluate_corruptions
from nmlib.lab.display.conditions import Conditions
from nmlib.mixing import Mixup
from nmlib.models import Mixable, build_model
from nmlib.noise import Noise
from nmlib.schemes import ABLATION, Scheme, Switches
from nmlib.training import BUDGETS, Budget, Execution, Run, TrainingInterrupted, fit
from nmlib.views import Augmented, AugMix, Plain

__all__ = ["LEVELS", "AblationLab", "LabResult", "LabSettings", "LabStatus"]

LEVELS: dict[str, tuple[float, float]] = {
    "alpha": (0.05, 4.0), "sigma_add": (0.0, 2.0), "sigma_mult": (0.0, 2.0),
}  # fmt: skip
"""Range of each level that the lab takes."""

SEEDS = 1000
_STABILITY = 12.0
_POINTS = (0, 1, 2, 3)
_NAMES = {scheme.switches: name for name, scheme in ABLATION.items()}


@dataclass(frozen=True)
class LabSettings:
    r"""A combination to train; the defaults are the paper's NoisyMix.

    Args:
        augmentations: AugMix views.
        feature_mixing: Manifold mixup at a random layer.
        noise_injections: Noise at the same layer, by the released law.
        jsd_loss: Divergence between three views, times 12.
        alpha: Beta parameter of the mixing, in [0.05, 4].
        sigma_add: Nominal additive level, in [0, 2].
        sigma_mult: Nominal multiplicative level, in [0, 2].
        seed: Of weights and draws, 0 to 999.

    Raises:
        ValueError: For a value out of range.
        TypeError: For a switch that is no bool.

    Source: paper Table 4.

    >>> LabSettings(jsd_loss=False).switches.ticks(), LabSettings().scheme() == ABLATION["noisymix"]
    ('✓✓✓✗', True)
    """

    augmentations: bool = True
    feature_mixing: bool = True
    noise_injections: bool = True
    jsd_loss: bool = True
    alpha: float = 1.0
    sigma_add: float = 0.5
    sigma_mult: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.keep(self, _checks.truth, *Switches._fields)
        for name, (low, high) in LEVELS.items():
            value = _checks.number(name, getattr(self, name), low, high)
            object.__setattr__(self, name, float(value))
        _checks.keep(self, _checks.integer, "seed", least=0, most=SEEDS - 1)

    @property
    def switches(self) -> Switches:
        """Which parts are on, in the order of Table 4."""
        return Switches(
            self.augmentations, self.feature_mixing, self.noise_injections, self.jsd_loss
        )

    @property
    def canonical(self) -> LabSettings:
        """The same experiment, with unused levels at their defaults."""
        plain = LabSettings()
        unused: dict[str, float] = {}
        if not self.feature_mixing:
            unused["alpha"] = plain.alpha
        if not self.noise_injections:
            unused |= {"sigma_add": plain.sigma_add, "sigma_mult": plain.sigma_mult}
        return replace(self, **unused)  # type: ignore[arg-type]

    @property
    def baseline(self) -> LabSettings:
        """All switches off, with the same seed: the reference of the gains."""
        return LabSettings(False, False, False, False, seed=self.seed)

    @property
    def problem(self) -> str:
        """Why this cannot be trained, and the remedy; empty if it can."""
        if self.noise_injections and not self.sigma_add and not self.sigma_mult:
            return (
                "Noise is on but both of its levels are 0, so nothing would be injected. Raise a "
                "level, or switch Noise off."
            )
        if self.jsd_loss and not self.augmentations and not self.noise_injections:
            text = (
                "The JSD loss compares three views of each image. Without augmentations and noise "
                "the three are the same and their divergence is always 0. Switch Augmentations or "
                "Noise on, or JSD loss off."
            )
            if self.feature_mixing:
                text += (
                    " (If each view were mixed with a partner of its own they would differ: "
                    "Scheme(pairing='independent'), our reading, not the paper's.)"
                )
            return text
        return ""

    @property
    def note(self) -> str:
        """A remark on an unusual combination; may be empty."""
        if self.problem:
            return ""
        if self.switches in _NAMES:
            return ""
        text = "Table 4 of the paper has no such row."
        if self.jsd_loss and not self.augmentations:
            text = f"Without augmentations the three views differ in their noise alone. {text}"
        return text

    def scheme(self) -> Scheme:
        """Return the scheme.

        Raises:
            ValueError: If it cannot be trained; says what to change.

        >>> LabSettings(False, False, False, True).scheme()
        Traceback (most recent call last):
        ValueError: The JSD loss compares three views of each image. ...
        """
        if self.problem:
            raise ValueError(self.problem)
        if self.augmentations:
            views: Any = AugMix() if self.jsd_loss else Augmented(AugMix())
        else:
            views = Plain(3 if self.jsd_loss else 1)
        noise = Noise.released(self.sigma_add, self.sigma_mult) if self.noise_injections else None
        return Scheme(
            self.name,
            views,
            Mixup(self.alpha) if self.feature_mixing else None,
            noise,
            _POINTS if self.feature_mixing or self.noise_injections else (0,),
            _STABILITY if self.jsd_loss else 0.0,
        )

    @property
    def name(self) -> str:
        """The name of the scheme: that of its row in `ABLATION`, if there is one."""
        if self.switches in _NAMES:
            return _NAMES[self.switches]
        words = zip(("augmix", "mixing", "noise"), self.switches, strict=False)
        on = [word for word, is_on in words if is_on]
        if self.jsd_loss != self.augmentations:
            on.append("jsd" if self.jsd_loss else "no_jsd")
        return "_".join(on)

    @property
    def levels(self) -> str:
        """The levels in use, in words; empty where there are none."""
        parts = [f"α {self.alpha:.2f}"] if self.feature_mixing else []
        if self.noise_injections:
            parts.append(f"σ_add {self.sigma_add:.2f}, σ_mult {self.sigma_mult:.2f}")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class LabResult:
    """A combination that has been trained and measured.

    Attributes:
        settings: Canonical.
        run: The training: network, losses, provenance.
        report: Clean and corrupted test images.
    """

    settings: LabSettings
    run: Run
    report: CorruptionReport

    def __repr__(self) -> str:
        s = self.settings
        levels = f", {s.levels}" if s.levels else ""
        return f"LabResult({s.switches.ticks()}{levels}, seed {s.seed}: {self.report.summary})"


@dataclass
class LabStatus:
    """Progress of the lab.

    Attributes:
        state: "idle", "training", "evaluating", "done", "stopped" or "failed".
        settings: Settings of this or the last training, None before the first.
        part: Number of this training in the job, from 1.
        parts: Number of trainings in the job.
        step: Steps done.
        steps: Steps of the training.
        losses: (step, loss) so far.
        sets: Corrupted sets done.
        total_sets: Corrupted sets to do.
        seconds_left: Until the end of this state; None while unknown.
        message: The error, if it failed.
        job: Counts the jobs.
    """

    state: str = "idle"
    settings: LabSettings | None = None
    part: int = 0
    parts: int = 0
    step: int = 0
    steps: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    sets: int = 0
    total_sets: int = 0
    seconds_left: float | None = None
    message: str = ""
    job: int = 0

    @property
    def busy(self) -> bool:
        """Whether something is being computed."""
        return self.state in ("training", "evaluating")

    @property
    def share(self) -> float:
        """Part of the present training and evaluation that is done, in [0, 1].

        The evaluation counts for a quarter.
        """
        trained = self.step / self.steps if self.steps else 0.0
        measured = self.sets / self.total_sets if self.total_sets else 0.0
        return 1.0 if self.state == "done" else 0.75 * trained + 0.25 * measured


class AblationLab:
    """Trains combinations of the four switches at a small budget and remembers the results.

    Args:
        budget: A key of `BUDGETS`, or a budget of your own.
        dataset: Name for `nmlib.load`.
        test_images: Number of test images to evaluate, the first of the set.
        severities: Of the 15 corruptions.
        device: Where to train; default the accelerator, or the CPU.

    Attributes:
        results: By canonical settings, in the order of training.
        budget: The budget.

    >>> lab = AblationLab()
    >>> print(lab.conditions)
    fashion-mini, preact_resnet_small, budget smoke (1,000 images x 3 epochs), 300 test images, ...
    """

    def __init__(
        self,
        budget: str | Budget = "smoke",
        dataset: str = "fashion-mini",
        *,
        test_images: int = 300,
        severities: Sequence[int] = (3,),
        device: torch.device | str | None = None,
    ) -> None:
        if isinstance(budget, str):
            _checks.choice("budget", budget, BUDGETS)
            budget = BUDGETS[budget]
        test_images = _checks.integer("test_images", test_images, 2)
        self.budget, self.dataset, self.device = budget, dataset, device
        self.test_images = test_images
        self.severities = _checks.integers("severity", severities, 1, 5)
        self.results: dict[LabSettings, LabResult] = {}
        self.status = LabStatus()
        self._data: tuple[ImageData, ImageData] | None = None
        # One training at a time; `_state` guards what other threads read.
        self._work, self._state = threading.Lock(), threading.RLock()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def data(self) -> tuple[ImageData, ImageData]:
        """Training and test images."""
        if self._data is None:
            train = self.budget.cut(load(self.dataset, "train"))
            test = load(self.dataset, "test")
            self._data = train, test.first(min(self.test_images, len(test)))
        return self._data

    @property
    def conditions(self) -> Conditions:
        """Data, network, budget and test images of every training in this lab."""
        train, test = self.data
        levels = ", ".join(map(str, self.severities))
        return Conditions(
            train.label, self.budget.model, self.budget.name, len(train), self.budget.epochs,
            len(test), details=(f"15 corruptions at severity {levels}",),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"AblationLab({self.conditions}; {len(self.results)} trained)"

    def snapshot(self) -> LabStatus:
        """Return the status as it is now; it will not change."""
        with self._state:
            return replace(self.status, losses=list(self.status.losses))

    def train(self, settings: LabSettings | None = None, **changes: Any) -> LabResult:
        """Train and measure a combination, or return its result if that has been done.

        Args:
            settings: What; default `LabSettings()`.
            **changes: Settings by name.

        Raises:
            ValueError: If the combination cannot be trained; says what to change.
            TrainingInterrupted: After `cancel` or Ctrl-C.
        """
        settings = replace(settings or LabSettings(), **changes).canonical
        settings.scheme()
        with self._work:
            self._cancel.clear()
            self._run([settings])
        return self.results[settings]

    def start(self, settings: LabSettings | None = None, **changes: Any) -> tuple[LabSettings, ...]:
        """Train in a thread of its own, the baseline of the same seed first if it is lacking.

        Follow it with `snapshot`, wait for it with `wait`, end it with `cancel`.

        Returns:
            What will be trained; empty if all is there.

        Raises:
            ValueError: If the combination cannot be trained, or another training is under way.
        """
        settings = replace(settings or LabSettings(), **changes).canonical
        settings.scheme()
        wanted = dict.fromkeys((settings.baseline, settings))
        todo = tuple(s for s in wanted if s not in self.results)
        if not todo:
            with self._state:
                # Nothing to compute, but the reader asked for this one.
                job = self.status.job + 1
                losses = self.results[settings].run.series("loss", "step")
                self.status = LabStatus("done", settings, losses=losses, job=job)
            return ()
        if not self._work.acquire(blocking=False):
            raise ValueError("a training is under way; wait for it, or stop it first")
        self._cancel.clear()
        with self._state:
            self.status = LabStatus("training", todo[0], 1, len(todo), job=self.status.job + 1)
        # A new thread starts with PyTorch's default, and results depend on the number.
        threads = torch.get_num_threads()

        def work() -> None:
            try:
                if torch.get_num_threads() != threads:
                    torch.set_num_threads(threads)
                self._run(todo)
            except (TrainingInterrupted, Exception):
                pass  # the status holds the message
            finally:
                self._work.release()

        self._thread = threading.Thread(target=work, name="nmlib-ablation-lab", daemon=True)
        self._thread.start()
        return todo

    def wait(self, timeout: float | None = None) -> LabStatus:
        """Wait for what `start` began, at most `timeout` seconds; return the status."""
        if self._thread is not None:
            self._thread.join(timeout)
        return self.snapshot()

    def cancel(self) -> None:
        """End the training under way before its next step; nothing of it is kept."""
        self._cancel.set()

    def as_code(self, settings: LabSettings | None = None) -> str:
        """Return Python that trains and measures the same without the lab."""
        settings = (settings or LabSettings()).canonical
        named = BUDGETS.get(self.budget.name) == self.budget
        budget = f"nm.BUDGETS[{self.budget.name!r}]" if named else f"nm.{self.budget!r}"
        return (
            "import nmlib as nm\n"
            "from nmlib import Augmented, AugMix, Mixup, Noise, Plain, Scheme\n\n"
            f"budget = {budget}\n"
            f"train = budget.cut(nm.load({self.dataset!r}, 'train'))\n"
            f"test = nm.load({self.dataset!r}, 'test').first({len(self.data[1])})\n"
            f"scheme = {settings.scheme()!r}\n"
            f"model = nm.build_model(budget.model, len(train.classes), seed={settings.seed})\n"
            f"run = nm.fit(model, train, scheme, budget.recipe(), seed={settings.seed})\n"
            f"report = nm.evaluate_corruptions(model, test, severities={self.severities})\n"
            "print(report.summary)\n"
        )

    def _run(self, todo: Sequence[LabSettings]) -> None:
        """Train one after the other and keep the status."""
        job = self.status.job
        try:
            for part, settings in enumerate(todo, 1):
                if settings not in self.results:
                    with self._state:
                        self.status = LabStatus("training", settings, part, len(todo), job=job)
                    result = self._train(settings)
                    with self._state:
                        self.results[settings] = result
            with self._state:
                self.status.state, self.status.seconds_left = "done", None
        except BaseException as error:
            with self._state:
                stopped = isinstance(error, KeyboardInterrupt)
                self.status.state = "stopped" if stopped else "failed"
                self.status.message = "" if stopped else f"{error}"
            raise

    def _train(self, settings: LabSettings) -> LabResult:
        train, test = self.data
        scheme = settings.scheme()
        model = build_model(self.budget.model, len(train.classes), seed=settings.seed)
        begun: list[tuple[int, float]] = []

        def follow(run: Run) -> None:
            now = time.perf_counter()
            begun.append((run.step, now))
            first, then = begun[0]
            # The first step also warms up.
            pace = (now - then) / (run.step - first) if run.step > first else None
            with self._state:
                self.status.step, self.status.steps = run.step, run.steps
                self.status.losses = run.series("loss", "step")
                if pace is not None:
                    self.status.seconds_left = pace * (run.steps - run.step)

        run = fit(
            model, train, scheme, self.budget.recipe(), seed=settings.seed, device=self.device,
            progress=False, on_row=follow, stop=self._cancel.is_set,
            log=lambda text: None, execution=Execution(log_every=1),
            details={"model": self.budget.model, "budget": self.budget.name},
        )  # fmt: skip
        return LabResult(settings, run, self._measure(model, test, settings))

    def _measure(self, model: Mixable, test: ImageData, settings: LabSettings) -> CorruptionReport:
        start = time.perf_counter()
        total = 15 * len(self.severities)
        seen: set[str] = set()
        with self._state:
            self.status.state, self.status.seconds_left = "evaluating", None
            self.status.total_sets = total

        def follow(label: str, done: int, images: int) -> None:
            if self._cancel.is_set():
                raise TrainingInterrupted("stopped during the evaluation")
            if done == images:
                seen.add(label)
            with self._state:
                self.status.sets = len(seen)
                if seen:
                    pace = (time.perf_counter() - start) / len(seen)
                    self.status.seconds_left = pace * (total - len(seen))

        return evaluate_corruptions(
            model, test, severities=self.severities, progress=follow,
            key={"model": self.budget.model, "scheme": settings.name, "seed": settings.seed},
        )  # fmt: skip
