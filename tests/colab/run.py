"""Execute notebooks with Colab's older widget stack, as `make test-colab` does.

Outputs are not compared (they come from newer versions); every cell must run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ("tests/colab/stack.ipynb", *sorted(map(str, (ROOT / "notebooks").glob("*.ipynb"))))


def check_versions() -> None:
    """Stop unless exactly the versions of requirements.txt are installed."""
    text = (Path(__file__).parent / "requirements.txt").read_text(encoding="utf-8")
    for name, wanted in re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE):
        found = metadata.version(name).split("+")[0]
        if found != wanted:
            sys.exit(f"{name} is {found}, not {wanted}: run `make test-colab`")
        print(f"{name} {found}", end="  ")
    print(flush=True)


def main(notebooks: list[str]) -> int:
    """Run the notebooks and return pytest's exit code."""
    check_versions()
    command = [
        sys.executable, "-m", "pytest", "-o", "addopts=", "--nbval-lax", "--nbval-current-env",
        "--import-mode=importlib", "--nbval-cell-timeout=300", "--nbval-kernel-startup-timeout=120",
        *notebooks,
    ]  # fmt: skip
    environ = os.environ | {"OMP_NUM_THREADS": "2"}
    return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(NOTEBOOKS)))
