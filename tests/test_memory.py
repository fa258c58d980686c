"""Freed memory is used again, while asked for and not after."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from nmlib import _memory

PROGRAM = """
import resource, torch
from nmlib import _memory
from nmlib._memory import reused_memory

_memory._LONG_SECONDS = 0

def faults():
    def count():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_000_000)
    before = count()
    for _ in range(20):
        torch.ones(12_000_000)
    return count() - before

found = [faults()]
with reused_memory("cuda"):
    found.append(faults())
with reused_memory():
    faults()  # the heap grows to its size
    found.append(faults())
    with reused_memory():
        found.append(faults())
    found.append(faults())
found.append(faults())
print(*found)
"""


def page_faults(**environment: str) -> list[int]:
    """Return the faults of twenty times 48 MB: before, for a GPU, thrice inside, after."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        env=plain | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [int(word) for word in done.stdout.split()]


needs_glibc = pytest.mark.skipif(
    _memory._find_glibc() is None, reason="needs glibc without settings of its own"
)


@needs_glibc
def test_memory_is_used_again_inside_the_block_only():
    before, gpu, *inside, after = page_faults()
    # Large pages make fewer faults than small ones, so only their ratio is sure.
    assert min(before, gpu, after) > 100
    # One block in twenty may still be fresh.
    assert max(inside) < min(before, gpu, after) / 10


@needs_glibc
def test_settings_of_the_user_stay():
    before, _, *inside, after = page_faults(MALLOC_MMAP_THRESHOLD_="1000000")
    assert min(inside) > min(before, after) / 2


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(_memory.platform, "libc_ver", lambda: ("", ""))
    assert _memory._find_glibc() is None
    monkeypatch.setattr(_memory, "_glibc", None)
    with _memory.reused_memory():
        pass


class Recorder:
    """Stands for glibc and notes its calls."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.trims = 0

    def mallopt(self, parameter: int, value: int) -> None:
        self.values.append(value)

    def malloc_trim(self, pad: int) -> None:
        self.trims += 1


@pytest.fixture
def glibc(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(_memory, "_glibc", recorder)
    return recorder


def test_blocks_of_several_threads_end_together(glibc):
    first, second = _memory.reused_memory(), _memory.reused_memory()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert glibc.values == [value for _, value in _memory._KEEP]
    second.__exit__(None, None, None)
    assert glibc.values == [value for _, value in (*_memory._KEEP, *_memory._DEFAULT)]


def test_an_error_ends_the_block_too(glibc):
    with pytest.raises(KeyError), _memory.reused_memory():
        raise KeyError
    assert _memory._users == 0
    assert glibc.values == [value for _, value in (*_memory._KEEP, *_memory._DEFAULT)]


@pytest.mark.parametrize(("seconds", "trims"), [(0.5, 0), (2.0, 1)])
def test_a_long_block_gives_its_memory_back(glibc, monkeypatch, seconds, trims):
    times = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr(_memory.time, "monotonic", lambda: next(times))
    with _memory.reused_memory():
        pass
    assert glibc.trims == trims
