"""Every test of this folder needs a Chromium: skipped where there is none, never in CI."""

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


def _missing():
    try:
        from lab_server import chromium_path
        from playwright import sync_api  # noqa: F401
    except ImportError as error:
        return f"{error}; install the test extra"
    if chromium_path() is None:
        return "no Chromium; install one (apt install chromium) or name it in NMLIB_CHROMIUM"
    return ""


@pytest.fixture(scope="session", autouse=True)
def _browser_at_hand():
    missing = _missing()
    if missing and os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"in CI the browser tests must run: {missing}")
    if missing:
        pytest.skip(missing)
