"""How nbval runs the notebooks: one CPU thread, no progress bars, bulky outputs not compared."""

import os
from collections.abc import Iterator

import pytest

KERNEL_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TQDM_DISABLE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "PYTHONWARNINGS": "ignore",
}
NOT_COMPARED = (
    "application/vnd.plotly.v1+json",
    "application/javascript",
    "text/html",
    "image/svg+xml",
)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Leave figures and HTML out of the comparison; their numbers are asserted in cells."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += NOT_COMPARED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Give kernels their environment, and leave that of other tests as it was.

    A kernel starts while the first cell of its notebook is set up, and inherits what is set then.
    """
    before = {name: os.environ.get(name) for name in KERNEL_ENVIRONMENT}
    os.environ.update(KERNEL_ENVIRONMENT)
    try:
        return (yield)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
