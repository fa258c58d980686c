"""Run the numeric tests with the rounding of other processors: `make test-rounding`.

Another processor, number of threads or library changes the last bits of sums, products and
exponentials. Each set-up below changes them on this machine. A test that fails under one of them
compares floats bit for bit that agree on one processor only, or decides by a last bit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

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


def last_bits() -> dict[str, int]:
    """Return a checksum of the results of several operations, to the last bit."""
    draws = torch.Generator().manual_seed(0)
    image = torch.rand(8, 16, 32, 32, generator=draws)
    kernel = torch.rand(32, 16, 3, 3, generator=draws) - 0.5
    a, b = torch.rand(200, 300, generator=draws), torch.rand(300, 250, generator=draws)
    wide, high = a.double().numpy(), b.double().numpy()
    found = {
        "convolution": torch.conv2d(image, kernel),
        "product": a @ b,
        "small products": torch.cat([(a[:k, :k] @ b[:k, :k]).flatten() for k in range(3, 40)]),
        "product of doubles": a.double() @ b.double(),
        "sum": a.sum(),
        "softmax": a.log_softmax(1),
        "power": a**1.3,
        "batch statistics": torch.batch_norm(image, None, None, None, None, True, 0.1, 1e-5, False),
        "product of NumPy": wide @ high,
        "exponential of NumPy": np.exp(wide),
        "exponential of Python": np.array([math.exp(v) for v in wide.ravel()[:2000]]),
    }
    return {k: zlib.crc32(np.ascontiguousarray(np.asarray(v)).tobytes()) for k, v in found.items()}


def environment(setup: Setup | None) -> dict[str, str]:
    """Return the environment of a set-up, or of the normal run: one thread."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ATEN_", "MKL_", "ONEDNN_"))}
    return kept | {"OMP_NUM_THREADS": "1"} | (setup.environment if setup else {})


def bits_of(setup: Setup | None) -> dict[str, int]:
    """Return `last_bits` of a process with that set-up."""
    more = ["--shifted"] if setup and "rounding" in setup.arguments else []
    command = [sys.executable, __file__, "--bits", *more]
    done = subprocess.run(command, env=environment(setup), capture_output=True, check=True)
    bits: dict[str, int] = json.loads(done.stdout)
    return bits


def run(setup: Setup, paths: list[str]) -> tuple[bool, str]:
    """Run the tests under a set-up; return whether all passed, and the output of pytest."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header"]
    done = subprocess.run(
        [*command, *setup.arguments, *paths], cwd=ROOT, env=environment(setup),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    return done.returncode == 0, done.stdout


def main() -> int:
    """Run all set-ups, several at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", help="tests, instead of the numeric ones")
    parser.add_argument("--workers", type=int, default=2, help="number of set-ups run at a time")
    parser.add_argument("--bits", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shifted", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bits:
        context: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if arguments.shifted:
            from rounding import OtherLastBits

            context = OtherLastBits()
        with context:
            print(json.dumps(last_bits()))
        return 0
    normal, chosen = bits_of(None), []
    for setup in SETUPS:
        bits = bits_of(setup)
        other = [name for name in normal if bits[name] != normal[name]]
        print(f"{setup.name}: other last bits in {', '.join(other) or 'nothing here; left out'}")
        chosen += [setup] if other else []
    passed = True
    with ThreadPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(run, setup, arguments.paths or list(NUMERIC)) for setup in chosen]
        for setup, job in zip(chosen, jobs, strict=True):
            good, said = job.result()
            lines = said.strip().splitlines() or ["no output"]
            print(*([] if good else lines[:-1]), f"== {setup.name}: {lines[-1]} ==", sep="\n")
            passed &= good
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
