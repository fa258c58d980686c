"""The main job in a minute: train the six toy schemes, write the figure, print the table."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from nmlib._files import path_option, rename_into
from nmlib._progress import Parser, error_line, lasting_output
from nmlib.lab.display.looks import LANE_LABELS
from nmlib.lab.toy.displays.decision import DecisionBoundaryDisplay
from nmlib.lab.toy.lab import ToyLab, one_class_words

__all__ = ["main", "table"]


def table(lab: ToyLab) -> str:
    """Return the accuracy table of a lab as text.

    >>> print(table(ToyLab(epochs=1)).splitlines()[0])
    scheme                  test  with noise  boundary  confidence
    """
    lines = [f"{'scheme':22} {'test':>5}  {'with noise':>10}  {'boundary':>8}  {'confidence':>10}"]
    for lane in lab.lanes:
        m = lab.metrics(lane)
        words = one_class_words(m)
        note = f"  {words}" if words else ""
        lines.append(
            f"{LANE_LABELS[lane]:22} {100 * m['test_accuracy']:5.1f}  "
            f"{100 * m['noisy_accuracy']:10.1f}  {m['boundary_length']:8.2f}  "
            f"{m['confidence']:10.3f}{note}"
        )
    return "\n".join(lines)


def main() -> int:
    """Run the demo."""
    with lasting_output():
        try:
            return _run()
        except KeyboardInterrupt:
            return 130
        except (ValueError, OSError) as error:
            print(f"nmlib.lab.toy.demo: {error_line(error)}", file=sys.stderr)
            return 2


def _run() -> int:
    parser = Parser(prog="nmlib.lab.toy.demo", description=__doc__)
    parser.add_argument(
        "--out", type=path_option, default=Path("out/demo"), help="folder of the figure"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)  # fails before the work, not after it
    start = time.perf_counter()
    lab = ToyLab(seed=arguments.seed)
    lab.step(lab.total_steps)
    seconds = time.perf_counter() - start
    display = DecisionBoundaryDisplay.from_lab(lab)
    picture = arguments.out / "decision_boundaries.png"
    page = arguments.out / "decision_boundaries.html"
    with rename_into(picture) as temporary:
        display.plot().figure_.savefig(temporary, dpi=150, format="png")
    with rename_into(page) as temporary:
        display.plotly().write_html(temporary, include_plotlyjs=True, full_html=True)
    print(f"Six schemes, {lab.settings.epochs} epochs each, trained in {seconds:.2f} s.")
    print(f"Conditions: {display.conditions}.")
    print()
    print(table(lab))
    print()
    print("test: accuracy in percent on 250 points; with noise: the same points with Gaussian")
    print("noise of 0.2; boundary: length of the decision boundary; confidence: mean largest")
    print("probability. This is a single seed; notebook 01 shows 1,000.")
    print()
    print(f"Figure:           {picture}")
    print(f"Interactive page: {page}  (open it in a browser; it needs no network)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
