"""Which form of the panels is chosen where."""

import subprocess
import sys

import pytest

from nmlib._host import choose_form, notebook_host

EVERYTHING = {"ipywidgets", "anywidget"}


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, "jupyter"),
        ({"PYTEST_CURRENT_TEST": "notebooks/00_start_here.ipynb::Cell 0 (setup)"}, "nbval"),
        # JupyterLab started by a browser test is a real front end.
        ({"PYTEST_CURRENT_TEST": "tests/browser/test_lab.py::test_run (call)"}, "jupyter"),
        ({"COLAB_RELEASE_TAG": "release"}, "colab"),
        ({"COLAB_RELEASE_TAG": "r", "PYTEST_CURRENT_TEST": "a.ipynb::Cell 0 (setup)"}, "nbval"),
        ({"VSCODE_PID": "12"}, "vscode"),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, "kaggle"),
    ],
)
def test_hosts_of_a_kernel(environ, host):
    assert notebook_host(environ, kernel=True) == host
    assert notebook_host(environ, kernel=False) == "python"


@pytest.mark.parametrize(
    ("host", "packages", "name"),
    [
        ("jupyter", EVERYTHING, "live"),
        ("colab", EVERYTHING, "live"),
        ("vscode", EVERYTHING, "live"),
        ("jupyter", {"ipywidgets"}, "still"),
        ("colab", {"ipywidgets"}, "still"),
        ("jupyter", set(), "still"),
        ("nbval", EVERYTHING, "still"),
        ("python", EVERYTHING, "still"),
    ],
)
def test_choice(host, packages, name):
    chosen = choose_form({}, host=host, installed=packages.__contains__)
    assert (chosen.name, chosen.host) == (name, host)
    assert chosen.reason
    assert ("anywidget" in chosen.remedy) == (
        host not in ("nbval", "python") and "anywidget" not in packages
    )
    assert not (host == "nbval" and chosen.remedy)


@pytest.mark.parametrize("name", ["live", "still"])
def test_the_environment_decides(name):
    chosen = choose_form({"NMLIB_PANELS": name}, host="nbval")
    assert (chosen.name, chosen.reason) == (name, f"NMLIB_PANELS={name} asks for it")


def test_wrong_environment_is_named():
    with pytest.raises(ValueError, match="must be live or still, got 'lvie'; unset"):
        choose_form({"NMLIB_PANELS": "lvie"})


def test_choosing_imports_no_widgets():
    code = (
        "import sys; from nmlib._host import choose_form as c; print(c().host);"
        "assert not {'ipywidgets', 'anywidget', 'IPython', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "python"
