"""How fast: every measured speed in one picture, against the peer that it was measured with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.display.base import Display
from nmlib.lab.display.conditions import Conditions
from nmlib.lab.display.looks import OKABE_ITO, new_figure
from nmlib.lab.measurements import measured_files, read_measured

__all__ = ["Ratio", "SpeedDisplay", "Wait"]

FILES = ("toy_speed", "augmix_speed", "corruptions_speed", "theory_ladder", "training_speed",
         "explorer_latency")  # fmt: skip
"""The measurements that the picture reads, by name."""


@dataclass(frozen=True)
class Ratio:
    """How many times faster than a peer, both measured in one run.

    Attributes:
        task: What both did.
        peer: Against what.
        times: Time of the peer over ours; below 1 ours is slower.
        low: Least of the single measurements behind `times`.
        high: Largest of them.
        single: What these are, e.g. "single corruptions".
    """

    task: str
    peer: str
    times: float
    low: float | None = None
    high: float | None = None
    single: str = ""


@dataclass(frozen=True)
class Wait:
    """How long something takes that has no peer.

    Attributes:
        task: What.
        seconds: Median, or the one time measured.
        late: 95th percentile, if there is one.
    """

    task: str
    seconds: float
    late: float | None = None


def _toy(record: Mapping[str, Any]) -> list[Ratio]:
    return [
        Ratio(f"six toy schemes, {record['epochs']} epochs",
              "nn.Sequential and Adam, one after another", record["six_schemes_ratio"]),
        Ratio("256 seeds of toy NoisyMix, a network", "nn.Sequential and Adam, one network",
              record["noisymix_ratio_per_net"]),
    ]  # fmt: skip


def _augmix(record: Mapping[str, Any]) -> list[Ratio]:
    rows = record["rows"]
    # What a training uses: all threads, the largest batch.
    chief = max(rows, key=lambda row: (row["threads"], row["batch"]))
    found = []
    for key, peer in (("pillow", "loops over Pillow images"), ("timm", "timm's AugMix")):
        times = [row[f"times_{key}_wall"] for row in rows if f"times_{key}_wall" in row]
        if f"times_{key}_wall" in chief:
            found.append(
                Ratio(f"AugMix views, batch {chief['batch']}", peer, chief[f"times_{key}_wall"],
                      min(times), max(times), "other batches and threads")
            )  # fmt: skip
    return found


def _corruptions(record: Mapping[str, Any]) -> list[Ratio]:
    found = []
    for pixels, part in record["pixels"].items():
        single = [part["rows"][name]["times_faster_wall"] for name in CORRUPTIONS]
        found.append(
            Ratio(f"the 15 corruptions, {pixels} pixels", "imagecorruptions-imaug",
                  part["sum of the 15"]["times_faster_wall"], min(single), max(single),
                  "single corruptions")
        )  # fmt: skip
    return found


def _theory(record: Mapping[str, Any]) -> list[Ratio]:
    both = [case for case in record["cases"].values() if "plain" in case]
    ours, plain = (sum(case[k] for case in both) for k in ("same_rule", "plain"))
    single = [case["plain"] / case["same_rule"] for case in both]
    return [
        Ratio(f"ladder of Theorems 1 and 2, {len(both)} cases", "plain NumPy, the same rule",
              plain / ours, min(single), max(single), "single cases")
    ]  # fmt: skip


def _training(record: Mapping[str, Any]) -> list[Ratio]:
    found = []
    for name, row in record["rows"].items():
        single = [1 / wall for wall, _ in row["cost_at_point_wall_cpu"].values()]
        found.append(
            Ratio(f"NoisyMix step, {name.split(',')[0]}", "bare step, the same three views",
                  1 / row["cost_wall"], min(single), max(single), "single mix points")
        )  # fmt: skip
    return found


def _waits(records: Mapping[str, Mapping[str, Any]]) -> list[Wait]:
    page, sets = records["explorer_latency"]["page"], records["corruptions_speed"]["cifar10c"]
    ladder = records["theory_ladder"]
    waits = [
        Wait("slider at rest to first changed frame", page["single_p50_ms"] / 1000,
             page["single_p95_ms"] / 1000),
        Wait("slider in a drag to changed frame", page["drawn_p50_ms"] / 1000,
             page["drawn_p95_ms"] / 1000),
        Wait("slider to all six schemes retrained", page["six_p50_ms"] / 1000,
             page["six_p95_ms"] / 1000),
        Wait("ladder of Theorems 1 and 2, two processes", ladder["two_workers_wall_seconds"]),
        Wait(f"CIFAR-10-C: {sets['sets']} sets of {sets['images']:,} images", sets["wall_s"]),
    ]  # fmt: skip
    return sorted(waits, key=lambda wait: wait.seconds)


def _seconds(value: float) -> str:
    return f"{1000 * value:.0f} ms" if value < 0.5 else f"{value:.2g} s"


def _times(value: float) -> str:
    return f"{value:.2g}×" if value < 10 else f"{value:.0f}×"


@dataclass(frozen=True, eq=False)
class SpeedDisplay(Display):
    """Ratios to named peers on the left, times that have no peer on the right.

    Attributes:
        ratios: From fast to slow.
        waits: From short to long.
        conditions: Machine and commits.

    >>> SpeedDisplay((Ratio("a task", "a peer", 3.04),), ()).summary
    'Speed. a task: 3× the speed of a peer.'
    """

    ratios: tuple[Ratio, ...]
    waits: tuple[Wait, ...]

    image = "lines"
    grid = "x"

    @classmethod
    def from_measured(cls, names: Iterable[str] = FILES) -> SpeedDisplay:
        """Read the committed measurements.

        Args:
            names: Files of figures/data, without their ending.
        """
        there = measured_files()
        records = {name: read_measured(f"{name}.json") for name in names if f"{name}.json" in there}
        lacking = [name for name in names if name not in records]
        if lacking:
            raise FileNotFoundError(
                f"not measured yet: {', '.join(lacking)}; run `make measure` to get them"
            )
        readers = {
            "toy_speed": _toy, "augmix_speed": _augmix, "corruptions_speed": _corruptions,
            "theory_ladder": _theory, "training_speed": _training,
        }  # fmt: skip
        ratios = [ratio for name, read in readers.items() for ratio in read(records[name])]
        ratios.sort(key=lambda r: -r.times)
        made = {name: record["provenance"] for name, record in records.items()}
        cores = sorted({p["cpus"] for p in made.values()})
        versions = sorted({p["torch"] for p in made.values()})
        commits: dict[str, list[str]] = {}
        for name, p in made.items():
            commits.setdefault(p["commit"], []).append(name)
        note = Conditions(
            note=f"{' or '.join(map(str, cores))} CPU cores, torch {' or '.join(versions)}; "
            "theory: CPU seconds, the others: wall time; data and rounds: figures/data\n"
            "commit " + ", ".join(f"{c} ({', '.join(n)})" for c, n in commits.items()),
        )
        return cls(tuple(ratios), tuple(_waits(records)), conditions=note)

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = [f"{r.task}: {_times(r.times)} the speed of {r.peer}" for r in self.ratios]
        for w in self.waits:
            late = f" (95th percentile {_seconds(w.late)})" if w.late else ""
            parts.append(f"{w.task}: {_seconds(w.seconds)}{late}")
        return f"Speed. {'; '.join(parts)}."

    def _axes(self) -> Any:
        rows = max(len(self.ratios), len(self.waits))
        return new_figure(12, 0.46 * rows + 1.5).subplots(1, 2, width_ratios=(1.35, 1))

    def _draw(self, ax: Any) -> None:
        left, right = ax
        for at, ratio in enumerate(self.ratios):
            slow = ratio.times < 1
            colour = OKABE_ITO["vermilion" if slow else "blue"]
            if ratio.low is not None and ratio.high is not None:
                left.hlines(at, ratio.low, ratio.high, color=colour, lw=5, alpha=0.25)
            left.plot(ratio.times, at, "s" if slow else "o", color=colour, ms=8)
            left.annotate(
                _times(ratio.times), (ratio.times, at), (0, 7), textcoords="offset points",
                ha="center", fontsize=9, weight="bold", color=colour,
                bbox={"fc": "white", "ec": "none", "pad": 0.6, "alpha": 0.85},
            )  # fmt: skip
        left.axvline(1, color="0.3", lw=1)
        for at, wait in enumerate(self.waits):
            late = f"\n95 %: {_seconds(wait.late)}" if wait.late else ""
            bar = [[0], [wait.late - wait.seconds]] if wait.late else None
            right.errorbar(
                wait.seconds, at, xerr=bar, fmt="D", ms=7, lw=1.6, capsize=4,
                color=OKABE_ITO["bluish green"],
            )  # fmt: skip
            right.annotate(
                _seconds(wait.seconds) + late, (wait.late or wait.seconds, at), (8, 0),
                textcoords="offset points", va="center", fontsize=8.5, weight="bold", color="0.2",
            )  # fmt: skip
        panels = (
            (left, [f"{r.task}\nagainst {r.peer}" for r in self.ratios], "{:g}×",
             (0.2, 1, 5, 20, 100), "against a named peer, in one run",
             "times the speed of the peer; band: single cases behind the number"),
            (right, [w.task for w in self.waits], "{:g}",
             (0.1, 1, 10, 100), "time that a reader waits",
             "seconds (bar: to the 95th percentile)"),
        )  # fmt: skip
        for one, names, form, ticks, title, label in panels:
            one.set_xscale("log")
            one.set_xticks(ticks, map(form.format, ticks), fontsize=8)
            one.set_xticks([], minor=True)
            one.set_yticks(range(len(names)), names, fontsize=8)
            one.set_xlabel(label)
            one.set_title(title, fontsize=10.5, loc="left")
            one.invert_yaxis()
            one.margins(y=0.08)
            one.tick_params(axis="y", length=0)
            one.spines["left"].set_visible(False)
        right.set_xlim(right=250)  # room for the last number
