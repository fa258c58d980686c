"""Run the numeric tests with the rounding of other processors: `make test-rounding`.

Another processor, number of threads or library changes the last bits of sums, products and
exponentials. Each set-up below changes them on this machine. A test that fails under one of them
compares floats bit for bit that agree on one processor only, or decides by a last bit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]

NUMERIC = (
    "nmlib/lab/toy/boundary.py", "nmlib/losses.py", "nmlib/metrics", "nmlib/mixing.py",
    "nmlib/noise.py", "nmlib/objective.py", "nmlib/ops", "nmlib/theory", "nmlib/views",
    "tests/corruptions/test_corrupt.py", "tests/corruptions/test_golden.py",
    "tests/corruptions/test_perturbations.py", "tests/corruptions/test_streams.py",
    "tests/evaluation/test_corruption_report.py", "tests/evaluation/test_perturbation_report.py",
    "tests/evaluation/test_predictions.py", "tests/models/test_networks.py",
    "tests/models/test_norm.py", "tests/theory/test_inputs.py",
    "tests/theory/test_monte_carlo.py", "tests/training/test_fit.py",
    "tests/lab/toy/test_boundary.py",
    "tests/lab/blocks/test_displays.py", "tests/lab/toy/test_ensemble.py",
    "tests/test_losses.py",
    "tests/test_metrics_calibration.py", "tests/test_mixing.py", "tests/test_models.py",
    "tests/test_noise.py", "tests/test_objective.py", "tests/test_ops.py", "tests/test_views.py",
    "tests/lab/toy/test_lab.py",
)  # fmt: skip
"""Doctests and tests that compute and compare floats.

All set-ups take minutes on two cores; `make test-rounding TESTS=...` runs other tests.
"""


class Setup(NamedTuple):
    """One way to change the rounding: environment variables, and arguments for pytest."""

    name: str
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()


def numpy_features() -> str:
    """Return the vector instructions that NumPy chose at run time."""
    return " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


SETUPS = (
    Setup("no vectors", {
        "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": numpy_features(),
        # Exponentials of the C library without fused multiply-add, by its new and old names.
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable",
    }),
    Setup("AVX2", {
        "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    }),
    Setup("two threads", {"OMP_NUM_THREADS": "2"}),
    # Harsher than any processor: each operation and shape rounds differently (tests/rounding.py).
    Setup("other last bits", {"PYTHONPATH": str(ROOT / "tests")}, ("-p", "rounding")),
)  # fmt: skip


def run(setup: Setup, paths: list[str]) -> tuple[bool, str]:
    """Run the tests under a set-up; return whether all passed, and the output of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    done = subprocess.run(
        [*command, *setup.arguments, *paths], cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | setup.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    return done.returncode == 0, done.stdout


def main() -> int:
    """Run all set-ups, several at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="tests, instead of the numeric ones")
    parser.add_argument("--workers", type=int, default=2, help="number of set-ups run at a time")
    arguments = parser.parse_args()
    passed = True
    with ThreadPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(run, setup, arguments.paths or list(NUMERIC)) for setup in SETUPS]
        for setup, job in zip(SETUPS, jobs, strict=True):
            good, said = job.result()
            lines = said.strip().splitlines() or ["no output"]
            print(*([] if good else lines[:-1]), f"== {setup.name}: {lines[-1]} ==", sep="\n")
            passed &= good
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
