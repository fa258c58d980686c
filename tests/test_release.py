"""What `make release` refuses, and what `make version` writes. .ci/run makes a whole release."""

import subprocess
import sys
import zipfile

import pytest
import release

FILES = {
    "pyproject.toml": '[project]\nname = "a"\nversion = "1.2.3"\n[tool.other]\nversion = 4\n',
    "nmlib/__init__.py": '__version__ = "1.2.3"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.3\nlicense: MIT\n",
    "CHANGELOG.md": "# Log\n\n## 1.2.3 (2026-01-31)\n\n- New.\n\n## 1.2.2 (2025-01-31)\n\n- Old.\n",
}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(folder, *words):
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def commit(folder):
    git(folder, "add", "-A")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(folder, *who, "commit", "-qm", "all", "--allow-empty")


def test_a_project_in_order_is_released(project):
    assert release.faults(project) == []
    assert release.entry(FILES["CHANGELOG.md"], "1.2.3") == ("2026-01-31", "- New.")
    assert release.entry(FILES["CHANGELOG.md"], "1.2.2") == ("2025-01-31", "- Old.")


def unknown_file(project):
    (project / "new").touch()


def tag(project):
    git(project, "tag", "v1.2.3")


def change(name, old, new):
    def spoil(project):
        path = project / name
        path.write_text(path.read_text().replace(old, new))
        commit(project)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "complaint", "rehearsed"),
    [
        (unknown_file, "1 changed or unknown file", False),
        (tag, "tag v1.2.3 exists", True),
        (change("CHANGELOG.md", "2026-01-31", "unreleased"), "no date in CHANGELOG", True),
        (change("CHANGELOG.md", "- New.\n", ""), "says nothing of 1.2.3", False),
        (change("CHANGELOG.md", "## 1.2.3", "## 1.3"), "says nothing of 1.2.3", False),
        (change("CITATION.cff", "1.2.3", "1.2.2"), "CITATION.cff does not name 1.2.3", False),
        (change("nmlib/__init__.py", "1.2.3", "1.2.2"), "__init__.py does not name", False),
    ],
)
def test_what_stands_against_a_release_is_named(project, spoil, complaint, rehearsed):
    """A rehearsal, as in CI, passes over the date and the tag."""
    spoil(project)
    (fault,) = release.faults(project)
    assert complaint in fault
    assert (release.faults(project, rehearsal=True) == []) is rehearsed


def test_nothing_is_made_of_a_tree_with_faults(project, monkeypatch):
    unknown_file(project)
    monkeypatch.setattr(release, "ROOT", project)
    monkeypatch.setattr(release.faults, "__defaults__", (project,))
    monkeypatch.setattr(release.version_of, "__defaults__", (project,))
    monkeypatch.setattr(sys, "argv", ["release.py"])
    with pytest.raises(SystemExit, match="No release"):
        release.main()
    assert not (project / "dist").exists()


def test_a_version_and_its_date_are_written_everywhere(project):
    change("CHANGELOG.md", "## 1.2.3 (2026-01-31)", "## 2.0.0 (unreleased)")(project)
    release.set_version("2.0.0", "2026-12-01", project)
    assert "version: 2.0.0\ndate-released: 2026-12-01\n" in (project / "CITATION.cff").read_text()
    assert "version = 4" in (project / "pyproject.toml").read_text()
    commit(project)
    assert release.faults(project) == []
    # A day later nothing but the date changes.
    before = (project / "CITATION.cff").read_text()
    release.set_version("2.0.0", "2026-12-02", project)
    assert (project / "CITATION.cff").read_text() == before.replace("12-01", "12-02")
    with pytest.raises(SystemExit, match="is no version"):
        release.set_version("next", "2026-12-02", project)


def test_notebooks_and_lessons_have_the_wheel_beside_them(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "LESSONS", tmp_path / "lessons")
    for name in ("lessons/student/01.ipynb", "lessons/instructor/01.ipynb", "lessons/slides/a.html",
                 "site/index.html", "new.whl", "new.tar.gz", "into/old"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    into = tmp_path / "into"
    release.gather(into, tmp_path / "new.whl", tmp_path / "new.tar.gz", tmp_path / "site")
    packed = {
        kind: set(zipfile.ZipFile(into / f"nmlib-{release.version_of()}-{kind}.zip").namelist())
        for kind in ("lessons", "notebooks")
    }
    assert packed["lessons"] == {
        "student/01.ipynb", "student/new.whl", "instructor/01.ipynb", "instructor/new.whl",
        "slides/a.html",
    }  # fmt: skip
    assert {"new.whl", "00_start_here.ipynb"} <= packed["notebooks"]
    assert not (tmp_path / "lessons/student/new.whl").exists()


def test_a_finished_folder_takes_the_place_of_an_older_one(tmp_path, monkeypatch):
    new, target = tmp_path / "new", tmp_path / "dist" / "nmlib-1"
    new.mkdir()
    (new / "a").touch()
    release.publish(new, target)
    (new / "a").rename(new / "b")
    release.publish(new, target)
    assert [path.name for path in target.iterdir()] == ["b"]

    def fail(*args, **kwargs):
        raise OSError("full")

    monkeypatch.setattr(release.shutil, "copytree", fail)
    with pytest.raises(OSError, match="full"):
        release.publish(new, target)
    assert [path.name for path in target.parent.iterdir()] == ["nmlib-1"]


def test_the_packages_of_an_environment_are_those_that_pip_would_take():
    core = release.closure(["torch>=2.6", "numpy"], {})
    assert {"torch", "numpy", "sympy", "typing-extensions"} <= core
    assert not {"pandas", "matplotlib", "nmlib"} & core
    extras = {"plots": ["matplotlib>=3.8"], "all": ["nmlib[plots]"]}
    assert release.closure(["nmlib[all]"], extras) == release.closure(["matplotlib"], {})
