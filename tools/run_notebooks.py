"""Execute notebooks in place, as the tests do: `python tools/run_notebooks.py [FILE ...]`.

Outputs are stored, widget state is stripped, and a notebook that fails stays unchanged.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "notebooks"))

from conftest import KERNEL_ENVIRONMENT

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def execute(path: Path) -> float:
    """Execute one notebook and return the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", store_widget_state=False,
        coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}},
    )  # fmt: skip
    start = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - start
    notebook.metadata = nbformat.NotebookNode(
        kernelspec=KERNELSPEC,
        language_info={"name": "python"},
        colab={"name": path.name, "provenance": [], "toc_visible": True},
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/plain")
            if text:
                output["data"]["text/plain"] = re.sub(r"0x[0-9a-f]{6,}", "0xADDR", text)
    temporary = path.with_suffix(".tmp")
    nbformat.write(notebook, temporary)
    temporary.replace(path)
    return seconds


def main() -> None:
    """Execute the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files or sorted((ROOT / "notebooks").glob("*.ipynb"))
    os.environ.update(KERNEL_ENVIRONMENT)
    for path in files:
        # As under nbval: panels then show their still picture alone.
        os.environ["PYTEST_CURRENT_TEST"] = f"{path.name}::Cell 0"
        print(f"{path.name}: {execute(path.resolve()):.1f} s")


if __name__ == "__main__":
    main()
