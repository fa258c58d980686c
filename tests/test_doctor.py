"""The diagnosis: verdicts, remedies, forms, and what it must not do."""

import subprocess
import sys
from importlib import metadata

import pytest

from nmlib import doctor as doctor_function
from nmlib.cli import main
from nmlib.data.cache import data_folder
from nmlib.doctor import TESTED, Diagnosis, Finding, Range, _judge, _numbers, doctor


@pytest.fixture(autouse=True)
def room(monkeypatch, tmp_path):
    """Data go where there is room, whatever the machine."""
    monkeypatch.setenv("NMLIB_DATA", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2**40}))


def test_public_name():
    assert doctor_function is doctor


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("2.13.0+cpu", (2, 13, 0)),
        ("7.34", (7, 34)),
        ("3.0.0rc1", (3, 0, 0)),
        ("2.7.0a0+git1234", (2, 7, 0)),
        ("unknown", ()),
    ],
)
def test_version_numbers(version, numbers):
    assert _numbers(version) == numbers


@pytest.mark.parametrize(
    ("version", "verdict", "remedy"),
    [
        ("2.6", "ok", ""),
        ("2.6.0", "ok", ""),
        ("2.13.0+cu128", "ok", ""),
        ("2.9.1", "ok", ""),
        ("2.5.1", "too old", 'pip install --upgrade "torch>=2.6"'),
        ("2.14.0", "newer", "probably fine; if something looks off, report it with this table"),
        (None, "missing", 'pip install "torch>=2.6"'),
    ],
)
def test_verdicts(version, verdict, remedy):
    finding = _judge("torch", version, Range("2.6", "2.13.0"))
    assert (finding.verdict, finding.remedy) == (verdict, remedy)
    assert "==" not in finding.remedy  # never a pin


def test_missing_extras_name_their_extra():
    assert _judge("plotly", None, TESTED["plotly"]).remedy == 'pip install "plotly>=5.24"'


def test_every_fault_has_one_line_of_remedy(monkeypatch):
    def version(name):
        if name == "plotly":
            raise metadata.PackageNotFoundError(name)
        return {"anywidget": "0.1", "torch": "99.0"}.get(name, TESTED[name].oldest)

    monkeypatch.setattr(metadata, "version", version)
    diagnosis = doctor()
    assert not diagnosis.ok
    assert {f.what: f.verdict for f in diagnosis.faults} == {
        "plotly": "missing",
        "anywidget": "too old",
    }
    assert all(f.remedy and "\n" not in f.remedy for f in diagnosis.faults)
    assert diagnosis.summary() == (
        'plotly is missing: pip install "plotly>=5.24"\n'
        'anywidget is too old: pip install --upgrade "anywidget>=0.9"'
    )
    assert "99.0 (tested: up to 2.13.0)  [newer]" in str(diagnosis)


def test_front_ends_without_jupyterlab_are_no_fault(monkeypatch):
    def version(name):
        if name == "jupyterlab":
            raise metadata.PackageNotFoundError(name)
        return TESTED[name].newest

    monkeypatch.setattr(metadata, "version", version)
    assert doctor().ok


def test_what_is_looked_at():
    diagnosis = doctor()
    assert [f.what for f in diagnosis.findings] == [
        "Python", *TESTED, "device", "panels", "data cache", "mode",
    ]  # fmt: skip
    panels = diagnosis.findings[-3]
    assert panels.found.startswith("still: no front end")
    assert panels.remedy == "open a notebook: make lab"


def test_this_environment_is_well():
    assert doctor().summary() == "All is well: everything that the notebooks use is here."


def test_forms():
    diagnosis = Diagnosis((Finding("torch", "1|0", "too old", "upgrade"), Finding("numpy", "2")))
    assert str(diagnosis).splitlines() == [
        "torch  1|0  [too old]",
        "       -> upgrade",
        "numpy  2",
        "",
        "torch is too old: upgrade",
    ]
    assert "| torch | 1\\|0 | too old | upgrade |" in diagnosis._repr_markdown_()
    assert repr(diagnosis) == str(diagnosis)


def test_data_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NMLIB_DATA", str(tmp_path / "not" / "yet"))
    assert data_folder() == tmp_path / "not" / "yet"
    assert str(tmp_path) in next(f for f in doctor().findings if f.what == "data cache").found
    assert not (tmp_path / "not").exists()  # looking creates nothing
    (tmp_path / "file").touch()
    monkeypatch.setenv("NMLIB_DATA", str(tmp_path / "file"))
    (fault,) = doctor().faults
    assert (fault.what, fault.verdict) == ("data cache", "off")
    assert "NMLIB_DATA" in fault.remedy
    monkeypatch.delenv("NMLIB_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "nmlib"


def test_a_full_disk_is_a_fault(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**6}))
    assert [f.what for f in doctor().faults] == ["data cache"]


def test_it_imports_no_optional_package():
    code = (
        "import sys, nmlib; nmlib.doctor(); "
        "bad = {'matplotlib', 'plotly', 'ipywidgets', 'anywidget', 'sklearn', 'PIL', 'requests'}; "
        "assert not bad & set(sys.modules), bad & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_command_line(monkeypatch, capsys):
    assert main(["doctor", "--short"]) == 0
    assert capsys.readouterr().out == "All is well: everything that the notebooks use is here.\n"
    monkeypatch.setenv("NMLIB_DATA", __file__)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "torch" in shown
    assert "[off]" in shown


@pytest.mark.parametrize(
    ("environ", "what", "told"),
    [
        ({"HOME": None, "NMLIB_DATA": None}, "data cache", "has no home folder to keep data in"),
        ({"NMLIB_DATA": "~nobody-here/x"}, "data cache", "names a home folder that does not"),
        ({"NMLIB_PANELS": "lvie"}, "panels", "must be live or still, got 'lvie'"),
    ],
)
def test_odd_surroundings_are_findings(monkeypatch, environ, what, told):
    """The diagnosis is for machines on which something is off: it must not raise there."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in environ.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    def nameless(uid):
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nameless)
    (finding,) = doctor().faults
    assert finding.what == what and told in finding.found and finding.remedy
    assert main(["doctor", "--short"]) == 1


def test_a_folder_that_cannot_be_looked_into(monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.exists", denied)
    (finding,) = doctor().faults
    assert finding.what == "data cache" and "Permission denied" in finding.found


@pytest.mark.parametrize("version", [None, "", "unknown"])
def test_damaged_metadata_are_a_finding(monkeypatch, version):
    whole = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: version if n == "plotly" else whole(n))
    (finding,) = doctor().faults
    assert finding.what == "plotly" and "damaged" in finding.found
    assert "--force-reinstall" in finding.remedy


def test_room_for_the_corrupted_archives_is_said_apart(monkeypatch):
    usage = type("Usage", (), {"free": 3 * 2**30})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert doctor().ok and "all but the CIFAR-C archives (6 GiB)" in str(doctor())
    monkeypatch.setattr(usage, "free", 2**29)
    assert [f.what for f in doctor().faults] == ["data cache"]
