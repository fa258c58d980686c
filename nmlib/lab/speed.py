"""How fast: every measured speed in one picture, against the peer that it was measured with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nmlib.corruptions import CORRUPTIONS
from nmlib.lab.display.base import Shown
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
    live, sets = records["explorer_latency"], records["corruptions_speed"]["cifar10c"]
    ladder = records["theory_ladder"]
    return [
        Wait("slider at rest to first changed frame", live["single_p50_ms"] / 1000,
             live["single_p95_ms"] / 1000),
        Wait("slider in a drag to changed frame", live["drawn_p50_ms"] / 1000,
             live["drawn_p95_ms"] / 1000),
        Wait("slider to all six schemes retrained", live["retrain_p50_ms"] / 1000,
             live["retrain_p95_ms"] / 1000),
        Wait("ladder of Theorems 1 and 2, two processes", ladder["two_workers_wall_seconds"]),
        Wait(f"CIFAR-10-C: {sets['sets']} sets of {sets['images']:,} images", sets["wall_s"]),
    ]  # fmt: skip


def _seconds(value: float) -> str:
    return f"{1000 * value:.0f} ms" if value < 0.5 else f"{value:.2g} s"


def _times(value: float) -> str:
    return f"{value:.2g}×" if value < 10 else f"{value:.0f}×"


@dataclass(frozen=True)
class SpeedDisplay(Shown):
    """Ratios to named peers on the left, times that have no peer on the right.

    Attributes:
        ratios: From fast to slow.
        waits: From short to long.
        conditions: Small print: machine and commits.

    >>> SpeedDisplay((Ratio("a task", "a peer", 3.04),), ()).summary
    'Speed. a task: 3× the speed of a peer.'
    """

    ratios: tuple[Ratio, ...]
    waits: tuple[Wait, ...]
    conditions: str = ""

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
        lines = (
            f"{' or '.join(map(str, cores))} CPU cores, torch {' or '.join(versions)}; "
            "theory: CPU seconds, the others: wall time; data and rounds: figures/data",
            "commit " + ", ".join(f"{c} ({', '.join(n)})" for c, n in commits.items()),
        )
        return cls(tuple(ratios), tuple(_waits(records)), "\n".join(lines))

    @property
    def summary(self) -> str:
        """The figure in words."""
        parts = [f"{r.task}: {_times(r.times)} the speed of {r.peer}" for r in self.ratios]
        for w in self.waits:
            late = f" (95th percentile {_seconds(w.late)})" if w.late else ""
            parts.append(f"{w.task}: {_seconds(w.seconds)}{late}")
        return f"Speed. {'; '.join(parts)}."

    def plot(self) -> Any:
        """Draw with matplotlib; return the figure."""
        rows = max(len(self.ratios), len(self.waits))
        figure = new_figure(12, 0.46 * rows + 1.5)
        left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
        for at, ratio in enumerate(self.ratios):
            slow = ratio.times < 1
            colour = OKABE_ITO["vermilion"] if slow else OKABE_ITO["blue"]
            if ratio.low is not None and ratio.high is not None:
                left.plot([ratio.low, ratio.high], [at, at], color=colour, lw=5, alpha=0.25,
                          solid_capstyle="butt")  # fmt: skip
            left.plot(ratio.times, at, "s" if slow else "o", color=colour, ms=8)
            left.annotate(
                _times(ratio.times), (ratio.times, at), (0, 7), textcoords="offset points",
                ha="center", fontsize=9, weight="bold", color=colour,
                bbox={"fc": "white", "ec": "none", "pad": 0.6, "alpha": 0.85},
            )  # fmt: skip
        left.axvline(1, color="0.3", lw=1)
        left.set_xscale("log")
        left.set_yticks(
            range(len(self.ratios)), [f"{r.task}\nagainst {r.peer}" for r in self.ratios],
            fontsize=8,
        )  # fmt: skip
        ticks = (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
        left.set_xticks(ticks, [f"{t:g}×" for t in ticks], fontsize=8)
        left.set_xticks([], minor=True)
        left.set_xlabel("times the speed of the peer; band: single cases behind the number")
        left.set_title("against a named peer, in one run", fontsize=10.5, loc="left")
        for at, wait in enumerate(self.waits):
            colour = OKABE_ITO["bluish green"]
            if wait.late:
                right.plot([wait.seconds, wait.late], [at, at], color=colour, lw=1.6)
                right.plot(wait.late, at, "|", color=colour, ms=9, mew=1.6)
            right.plot(wait.seconds, at, "D", color=colour, ms=7)
            late = f"\n95 %: {_seconds(wait.late)}" if wait.late else ""
            right.annotate(
                _seconds(wait.seconds) + late, (wait.late or wait.seconds, at), (8, 0),
                textcoords="offset points", va="center", fontsize=8.5, weight="bold", color="0.2",
            )  # fmt: skip
        right.set_xscale("log")
        right.set_yticks(range(len(self.waits)), [w.task for w in self.waits], fontsize=8)
        marks = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
        right.set_xticks(marks, [f"{t:g}" for t in marks], fontsize=8)
        right.set_xticks([], minor=True)
        right.set_xlim(right=200)
        right.set_xlabel("seconds (bar: to the 95th percentile)")
        right.set_title("time that a reader waits", fontsize=10.5, loc="left")
        for ax in (left, right):
            ax.invert_yaxis()
            ax.margins(y=0.08)
            ax.grid(axis="x", color="0.92")
            ax.set_axisbelow(True)
            ax.tick_params(axis="y", length=0)
            ax.spines[["top", "right", "left"]].set_visible(False)
        figure.supxlabel(self.conditions, fontsize=7.5, color="0.35", x=0.99, ha="right")
        return figure
