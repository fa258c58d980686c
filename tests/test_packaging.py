"""One story about dependencies, a core that imports alone, a wheel that holds everything."""

import ast
import importlib
import json
import os
import pkgutil
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import time
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import address
import measure
import nblint
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import nmlib
from nmlib.doctor import TESTED, TESTED_PYTHON

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Some packages have other names in conda's channel.
CONDA_NAMES = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
}


def requirements(*groups):
    """Direct requirements of the core and the given extras, without nmlib itself."""
    texts = list(PROJECT["dependencies"]) if not groups else []
    for group in groups:
        texts += EXTRAS[group]
    parsed = [Requirement(text) for text in texts]
    return {r.name: r for r in parsed if r.name != "nmlib"}


def pins(path):
    lines = (ROOT / path).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


EVERYTHING = requirements() | requirements(*EXTRAS)
LAB = requirements() | requirements("plots", "data", "tables", "notebooks", "lab")


def lower_bound(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == ">=", f"{requirement}: lower bounds only"
    return specifier.version


def test_the_core_needs_torch_and_numpy_alone():
    assert set(requirements()) == {"torch", "numpy"}


def test_lower_bounds_only():
    for requirement in EVERYTHING.values():
        lower_bound(requirement)


def test_constraints_pin_every_direct_dependency_and_nothing_else():
    pinned = pins("constraints.txt")
    assert set(pinned) == set(EVERYTHING)
    for name, version in pinned.items():
        assert Version(version) >= Version(lower_bound(EVERYTHING[name])), name


def test_the_doctor_knows_the_same_versions():
    pinned = pins("constraints.txt")
    assert set(TESTED) == set(LAB)
    for name, tested in TESTED.items():
        assert (tested.oldest, tested.newest) == (lower_bound(EVERYTHING[name]), pinned[name])
        assert name in (requirements(tested.extra) if tested.extra else requirements())
    assert PROJECT["requires-python"] == f">={TESTED_PYTHON.oldest}"


def test_conda_has_the_same_packages_and_bounds():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [d for d in environment if isinstance(d, str)]
    expected = {CONDA_NAMES.get(n, n): f">={lower_bound(r)}" for n, r in LAB.items()}
    expected |= {"python": PROJECT["requires-python"], "pip": ""}
    assert {
        re.match(r"[\w-]+", d)[0]: d[len(re.match(r"[\w-]+", d)[0]) :] for d in plain
    } == expected
    assert environment[-1] == {"pip": ["-e ."]}


def test_the_older_stack_is_within_the_bounds():
    older, newest = pins("tests/colab/requirements.txt"), pins("constraints.txt")
    assert older["torch"] == newest["torch"]
    assert older["ipywidgets"] == "7.7.1"
    for name in set(older) & set(EVERYTHING):
        assert Version(lower_bound(EVERYTHING[name])) <= Version(older[name]), name
        assert Version(older[name]) <= Version(newest[name]), name


def locked(path):
    """Versions by name of a file of requirements/, for this machine; each must have hashes."""
    entries = re.split(r"\n(?=\S)", (ROOT / path).read_text())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", entry) for entry in entries)
    parsed = [Requirement(entry.split("\\\n")[0]) for entry in entries]
    here = [r for r in parsed if r.marker is None or r.marker.evaluate()]
    found = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in here}
    assert len(found) == len(here)
    return found


def needs(name, names):
    """Names of the packages that an installed one asks for here, if they are among `names`."""
    parsed = [Requirement(text) for text in metadata.requires(name) or ()]
    parsed = [r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return {canonicalize_name(r.name) for r in parsed} - names


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("requirements/ci.txt", "constraints.txt"),
        ("requirements/colab.txt", "tests/colab/requirements.txt"),
    ],
)
def test_ci_installs_by_hashes_what_people_install_by_versions(path, source):
    """All but torch, whose builds differ by machine; `make lock` writes these files."""
    pinned, found = pins(source), locked(path)
    assert {n: v for n, v in pinned.items() if n != "torch"} == {
        n: v for n, v in found.items() if n in pinned
    }
    assert not [n for n in found if n in ("torch", "triton") or n.startswith(("nvidia-", "cuda-"))]
    text = (ROOT / path).read_text()
    assert "://" not in text and "index" not in text


def test_the_locked_packages_are_complete():
    """Nothing that they need is left for pip to choose."""
    found = locked("requirements/ci.txt")
    bare = {"torch", "triton"}
    installed = {canonicalize_name(d.name): d.version for d in metadata.distributions()}
    # Not those of the site, if it is not installed, nor of other versions.
    for name in (n for n, version in found.items() if installed.get(n) == version):
        missing = needs(name, found.keys() | bare)
        assert missing == set(), name


@pytest.mark.skipif(not os.environ.get("LOCKED"), reason="packages were not installed by hashes")
def test_ci_has_the_locked_packages_and_no_others():
    found = locked("requirements/ci.txt")
    # What was installed, not what a package brings along: ray, once imported, has its own folder.
    here = metadata.distributions(path=[sysconfig.get_path("purelib")])
    installed = {canonicalize_name(d.name): d.version for d in here}
    free = r"nmlib|pip|torch|triton|(nvidia|cuda)-.*"
    assert {n: v for n, v in installed.items() if not re.fullmatch(free, n)} == found


# Where data and weights come from, and whose they are.
SOURCES = {
    "https://bitbucket.org/robert_geirhos/texture-vs-shape-pretrained-models",
    "https://github.com/zalandoresearch/fashion-mnist",
    "https://github.com/RobustBench/robustbench",
    "https://github.com/forresti/SqueezeNet",
    "https://github.com/hendrycks/imagenet-r",
    "https://github.com/rgeirhos/texture-vs-shape",
    "https://github.com/songhan/SqueezeNet-Deep-Compression",
    "https://raw.githubusercontent.com/hendrycks/robustness",
}
HOSTS = (
    r"https?://(?:[\w.-]*(?:git|codeberg|bitbucket)[\w.-]*|colab\.research\.google\.com/github"
    r"|mybinder\.org/v2/gh)/[\w.~-]+/[\w.~-]+"
)


def foreign(text, ours):
    """Return the addresses of repositories, and the names pip is given, that are not ours."""
    name = "/".join(ours.split("/")[3:]) or "/"
    found = [a.removesuffix(".git") for a in re.findall(HOSTS, text)]
    by_name = r"pip3? install[^\n`]*[\s'\"\\]nmlib[\s'\"\\\[<>=~)]"
    return [a for a in found if a not in SOURCES and not a.endswith(f"/{name}")] + re.findall(
        by_name, text
    )


def test_nothing_leads_to_an_address_or_a_name_of_others():
    """Until `Repository` says where nmlib lies, no text sends a reader, or pip, elsewhere."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    ours = PROJECT["urls"].get("Repository", "")
    texts = {
        path: (ROOT / path).read_bytes().decode("utf-8", "replace")
        for path in filter(None, tracked)
        if not path.startswith("tests/") and path != "tools/address.py" and (ROOT / path).exists()
    }
    assert {path: bad for path, text in texts.items() if (bad := foreign(text, ours))} == {}


@pytest.mark.parametrize("url", ["https://github.com/an-owner/live", "https://git.example.org/a/b"])
def test_the_address_is_set_and_removed_by_one_command(tmp_path, monkeypatch, capsys, url):
    files = [path.relative_to(ROOT) for path in address.texts(ROOT, "")]
    for path in files:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    monkeypatch.setattr(address, "ROOT", tmp_path)

    def texts():
        return {path: (tmp_path / path).read_text() for path in files}

    def set_to(url):
        monkeypatch.setattr(sys, "argv", ["address.py", "--set", url])
        return address.main()

    before, first = texts(), PROJECT["urls"].get("Repository", "")
    assert set_to(url + "/") == 0
    after = texts()
    version = PROJECT["version"]
    for path, text in after.items():
        assert not foreign(text, url), path
        # Notebooks of other hosts have no badge, and README.md no badges.
        assert text.count(url) + text.count(f"github/{url[19:]}/blob") >= 1, path
    assert yaml.safe_load(after[Path("CITATION.cff")])["repository-code"] == url
    assert url in str(json.loads(after[Path(".zenodo.json")])["related_identifiers"])
    assert tomllib.loads(after[Path("pyproject.toml")])["project"]["urls"]["Repository"] == url
    monkeypatch.setattr(nblint, "REPOSITORY", url)
    for path in files:
        if path.suffix == ".ipynb":
            found = nblint.lint(tmp_path / path)
            assert [problem for problem in found if "links to" not in problem] == []
            assert f"nmlib[notebooks] @ git+{url}@v{version}" in after[path]
    # Not a line is written for an address that is none.
    assert set_to('https://git.example.org/"quoted"') == 1
    assert "is no address of a repository" in capsys.readouterr().err
    assert texts() == after
    # Without a word the notebooks follow the version.
    project = tmp_path / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{version}"', 'version = "9.9.9"'))
    monkeypatch.setattr(sys, "argv", ["address.py"])
    assert address.main() == 0
    assert f"git+{url}@v9.9.9" in texts()[Path("notebooks/00_start_here.ipynb")]
    project.write_text(project.read_text().replace('version = "9.9.9"', f'version = "{version}"'))
    assert set_to("") == 0
    assert not any(url in text for text in texts().values())
    assert set_to(first) == 0 and texts() == before


def test_one_version():
    assert nmlib.__version__ == PROJECT["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation.get("repository-code") == PROJECT["urls"].get("Repository")
    zenodo = json.loads((ROOT / ".zenodo.json").read_text())
    assert zenodo["title"] == citation["title"] and zenodo["keywords"] == PROJECT["keywords"]
    assert zenodo["license"] == citation["license"] == PROJECT["license"]
    assert [{"name": a["name"]} for a in citation["authors"]] == zenodo["creators"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()


BLOCKED = (
    "matplotlib", "plotly", "ipywidgets", "anywidget", "sklearn", "scipy", "PIL", "requests",
    "tqdm", "IPython", "yaml", "pandas",
)  # fmt: skip


def run_without(packages, code):
    """Run code in a Python that lacks some packages and the network; return what it prints."""
    blocked = f"""
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the network was used")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Block())
"""
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_imports_without_anything_else_and_without_network():
    code = """
import nmlib, torch
x, y = nmlib.make_polygon_band(20, random_state=0)
batch = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
for scheme in nmlib.fig4_schemes().values():
    nmlib.batch_loss(nmlib.mlp(), batch, scheme, nmlib.Rng(0)).total.backward()
nmlib.doctor()
assert all(hasattr(nmlib, name) for name in nmlib.__all__)
print("done")
"""
    assert run_without(BLOCKED, code) == "done\n"


# What a reader of results imports.
TABLES = (
    "nmlib.paper", "nmlib.statistics", "nmlib.metrics", "nmlib.lab.measurements",
    "nmlib.lab.display.tables", "nmlib.lab.display.conditions", "nmlib.lab.display.verdict",
    "nmlib.lab.cifar", "nmlib.lab.cifar.records", "nmlib.lab.cifar.published",
    "nmlib.lab.cifar.ordering",
)  # fmt: skip
PICTURES = (
    "nmlib.lab.cifar.displays", "nmlib.lab.ablation.displays", "nmlib.lab.paper.displays",
    "nmlib.lab.paper.exercises", "nmlib.lab.toy.displays",
)  # fmt: skip


def test_results_are_read_with_numpy_and_pandas_alone():
    blocked = ("torch", *(name for name in BLOCKED if name != "pandas"))
    code = f"""
import importlib
for name in {TABLES!r}:
    importlib.import_module(name)
from nmlib import Rng, paper, statistics
from nmlib.lab.cifar import SHORT, ablation_cells, measured, measures
assert len(paper.tables()) == 14 and len(paper.audit()) and len(paper.claims())
for cells in (paper.ablation(), ablation_cells(measured(SHORT))):
    statistics.effects(cells, Rng(0), resamples=10)
print(sorted(measures(measured()).columns)[0], "torch" in sys.modules)
"""
    assert run_without(blocked, code) == "aurra False\n"


def test_pictures_of_results_need_no_torch():
    code = f"""
import importlib
for name in {PICTURES!r}:
    importlib.import_module(name)
from nmlib.lab.cifar import measured
from nmlib.lab.cifar.displays import OrderingDisplay
from nmlib.lab.toy.displays import ToyStudyDisplay
OrderingDisplay.from_records(measured()).plot()
ToyStudyDisplay.from_measured().plot()
print("torch" in sys.modules)
"""
    assert run_without(("torch",), code) == "False\n"


@pytest.mark.parametrize(
    "package", sorted(p for p in ROOT.glob("nmlib/**/__init__.py") if "on_demand(" in p.read_text())
)
def test_names_on_demand_are_those_that_type_checkers_see(package):
    name = ".".join(package.parent.relative_to(ROOT).parts)
    tree = ast.parse(package.read_text())
    (branch,) = (n for n in tree.body if isinstance(n, ast.If))
    typed = {}
    for node in branch.body:
        for alias in node.names:
            whole = isinstance(node, ast.Import)
            typed[alias.asname or alias.name] = alias.name if whole else node.module
    (call,) = (n for n in ast.walk(branch.orelse[0]) if isinstance(n, ast.Dict))
    lazy = ast.literal_eval(call)
    assert typed == {n: module for module, names in lazy.items() for n in names.split()} | {
        module.rpartition(".")[2]: module for module, names in lazy.items() if not names
    }
    # Importing a submodule sets an attribute of its name, which must not hide another thing.
    modules = {m.name for m in pkgutil.iter_modules([package.parent])}
    assert not modules & {n for names in lazy.values() for n in names.split()}
    assert set(typed) <= set(dir(importlib.import_module(name)))


def test_public_names_are_sorted_and_exist():
    assert len(set(nmlib.__all__)) == len(nmlib.__all__)
    assert all(getattr(nmlib, name) is not None for name in nmlib.__all__)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from the files that git tracks, as a release would."""
    out = tmp_path_factory.mktemp("wheel")
    code = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    subprocess.run(
        [sys.executable, "-c", code, str(out)], cwd=ROOT, check=True, capture_output=True
    )
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_code_data_and_front_end(wheel):
    names = set(wheel.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "nmlib"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert tracked
    assert set(tracked) - names == set()
    assert any(name.endswith(".js") for name in names)
    assert "nmlib/py.typed" in names
    assert any(name.startswith("nmlib-") and name.endswith("LICENSE") for name in names)
    # And nothing that is not the package.
    assert {name.split("/")[0].split("-")[0] for name in names} == {"nmlib"}


def test_the_wheels_metadata(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith("METADATA"))
    text = wheel.read(name).decode()
    assert "Requires-Dist: torch>=2.6" in text
    assert not re.search(r"Requires-Dist: (torch|numpy)(?![\w-]).*(==|<)", text)


# -- make and CI ----------------------------------------------------------------------------------


def test_make_lists_every_target():
    text = (ROOT / "Makefile").read_text()
    listed = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in [
        "demo",
        "lab",
        "test",
        "test-colab",
        "lint",
        "format",
        "figures",
        "measure",
        "bench",
        "docs",
        "site",
        "wheel",
        "address",
        "version",
        "release",
        "lessons",
        "slides",
        "lock",
        "test-3.12",
        "test-3.13",
        "test-lowest",
        "test-newest",
        "clean",
    ]:
        assert re.search(rf"^{re.escape(target)}\s+\S", listed, re.MULTILINE), target
        assert re.search(rf"^{re.escape(target)}:", text, re.MULTILINE), target


def test_make_takes_paths_with_spaces():
    names = re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    places = ["VENV=/some where/ü", "COLAB_VENV=/some where/ü", "CONSTRAINTS=/some where/ü"]
    for target in names:
        # Recipes that call make again choose an environment of their own.
        if target in ("test-3.12", "test-3.13", "test-lowest", "test-newest"):
            continue
        done = subprocess.run(
            ["make", "-n", target, *places], cwd=ROOT, capture_output=True, text=True, check=True
        )
        words = shlex.split(done.stdout)
        torn = [w for w in words if "where/ü" in w and "/some where/ü" not in w]
        assert torn == [], target


@pytest.mark.parametrize("home", [None, "", "/no/such/home", str(ROOT / "Makefile")])
def test_make_finds_a_home_that_can_be_written_to(home):
    environ = {n: v for n, v in os.environ.items() if n != "HOME"}
    database = subprocess.run(
        ["make", "-pn", "help"], cwd=ROOT, env=environ | ({} if home is None else {"HOME": home}),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"\nHOME := {ROOT}/build/home\n" in database
    assert (ROOT / "build/home").is_dir()


def test_the_lowest_versions_are_those_declared(tmp_path):
    recipe = subprocess.run(
        ["make", "--no-print-directory", "-n", "test-lowest", "MAKE=true"], cwd=ROOT,
        capture_output=True, text=True, check=True,
    ).stdout.replace("build", str(tmp_path))  # fmt: skip
    subprocess.run(["sh", "-c", recipe], cwd=ROOT, check=True)
    lines = (tmp_path / "lowest.txt").read_text().split()
    expected = {f"{n}=={lower_bound(r)}" for n, r in EVERYTHING.items()}
    assert set(lines) == expected


def test_installing_says_what_is_missing(tmp_path):
    """An interpreter that is too old, and a Debian Python without ensurepip."""
    install = ["sh", "tools/install.sh", str(tmp_path / "venv"), "test", ".[test]"]

    def run(body):
        fake = tmp_path / "fakepython"
        fake.write_text(f"#!/bin/sh\n{body}\n")
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        environ = os.environ | {"PYTHON": str(fake)}
        return subprocess.run(
            install, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )

    too_old = run("exit 1")
    assert too_old.returncode == 1
    assert "needs Python 3.11 or newer" in too_old.stderr
    assert "apt-get install python3 python3-venv" in too_old.stderr
    no_ensurepip = run('case "$2" in *ensurepip*) exit 1;; esac')
    assert no_ensurepip.returncode == 1
    assert "ensurepip is missing" in no_ensurepip.stderr
    assert "apt-get install python3-venv" in no_ensurepip.stderr
    assert not (tmp_path / "venv").exists()


@pytest.fixture
def fake(tmp_path):
    """An interpreter that writes down what it is asked and makes environments of itself.

    It locks as the real one does. "pip install" waits for the file `go`, if there is `stop`.
    """
    folder = tmp_path / "with space, ü"
    folder.mkdir()
    path = folder / "fakepython"
    path.write_text(
        f"""#!/bin/sh
cd "{folder}"
case "$*" in
"- "*) exec "{sys.executable}" "$@";;
"-m pip install"*)
    echo "$*" >> calls
    while [ -e stop ] && [ ! -e go ]; do sleep 0.05; done;;
"-m venv"*)
    echo "$*" >> calls
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python";;
esac
"""
    )
    path.chmod(0o755)
    return path


def start_installing(fake, *options, **environ):
    return subprocess.Popen(
        ["sh", "tools/install.sh", str(fake.parent / "venv"), "some", ".[part]", *options],
        cwd=ROOT, env=os.environ | {"PYTHON": str(fake)} | environ, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def install(fake, *options, **environ):
    """Install, and return what the interpreter was asked to do."""
    calls = fake.parent / "calls"
    calls.write_text("")
    process = start_installing(fake, *options, **environ)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return calls.read_text().splitlines()


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def asked(fake):
    venv = fake.parent / "venv"
    pip = "-m pip install -qq"
    return [
        f"-m venv {venv}",
        f"{pip} hatchling -c c.txt",
        # With the hatchling that is there: nothing is fetched when all packages are.
        f"{pip} --no-build-isolation --editable .[part] -c c.txt",
    ]


def test_installing_twice_installs_once_and_a_broken_environment_is_made_anew(fake):
    venv, made = fake.parent / "venv", asked(fake)
    assert install(fake, "-c", "c.txt") == made
    assert install(fake, "-c", "c.txt") == []
    (venv / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    assert install(fake, "-c", "c.txt") == made
    (stamp,) = venv.glob(".some-*")
    stamp.rename(venv / ".some-other")  # as if the lists of packages had changed
    assert install(fake, "-c", "c.txt") == made[1:]
    assert [path.name for path in venv.glob(".some-*")] == [stamp.name]


def test_installing_by_hashes_takes_everything_from_the_list_first(fake):
    assert install(fake, "-c", "c.txt") == asked(fake)
    hashed = "-m pip install -qq --require-hashes --no-deps --only-binary :all: -r "
    lock = "requirements/ci.txt"
    assert install(fake, "-c", "c.txt", LOCK=lock) == [hashed + lock, *asked(fake)[1:]]
    assert install(fake, "-c", "c.txt", LOCK=lock) == []


def test_of_two_that_install_at_once_one_waits(fake):
    (fake.parent / "stop").touch()
    calls = fake.parent / "calls"
    first = start_installing(fake, "-c", "c.txt")
    wait_for(lambda: calls.exists() and "hatchling" in calls.read_text())
    second = start_installing(fake, "-c", "c.txt")
    assert second.stdout.readline().startswith("Another make installs into")
    (fake.parent / "go").touch()
    assert first.wait(60) == second.wait(60) == 0
    # The second found everything done.
    assert calls.read_text().splitlines() == asked(fake)


def test_an_installation_that_was_killed_keeps_nobody_waiting(fake):
    (fake.parent / "stop").touch()
    calls = fake.parent / "calls"
    first = start_installing(fake, "-c", "c.txt")
    wait_for(lambda: calls.exists() and "hatchling" in calls.read_text())
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(60)
    (fake.parent / "stop").unlink()
    assert install(fake, "-c", "c.txt") == asked(fake)[1:]


def test_where_nothing_can_be_written_a_finished_environment_is_used(fake):
    assert install(fake, "-c", "c.txt") == asked(fake)
    lock = fake.parent / "venv.lock"
    lock.unlink()
    lock.mkdir()  # cannot be opened for writing, by root neither
    assert install(fake, "-c", "c.txt") == []


@pytest.mark.parametrize("path", [".ci/run", "tools/install.sh"])
def test_scripts_are_sound(path):
    shell = "bash" if path == ".ci/run" else "sh"
    subprocess.run([shell, "-n", path], cwd=ROOT, check=True)
    text = (ROOT / path).read_text()
    assert "set -eu" in text


def test_ci_runs_what_make_runs():
    assert os.access(ROOT / ".ci/run", os.X_OK)
    text = (ROOT / ".ci/run").read_text()
    assert "make test " in text
    assert "make test-colab " in text
    assert "make release " in text
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert jobs["test"]["steps"][-1]["run"] == "bash .ci/run"


HOSTED = sorted(
    path.relative_to(ROOT)
    for path in [*ROOT.glob(".github/**/*.yml"), ROOT / ".gitlab-ci.yml"]
    if "ISSUE" not in str(path)
)


@pytest.mark.parametrize("path", HOSTED, ids=str)
def test_hosts_run_targets_that_exist(path):
    text = (ROOT / path).read_text()
    known = yaml.safe_load(text)
    words = re.findall(r"\bmake ([a-z][\w.-]*)", text) + re.findall(r"(?i)target: ([\w.-]+)", text)
    targets = re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words) <= set(targets)
    for job in known.get("jobs", {}).values():
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert "@" in step.get("uses", "@")


def test_commits_are_checked_with_the_tested_formatter():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    pinned = {d for hook in hooks for d in hook.get("additional_dependencies", ())}
    assert pinned == {f"ruff=={pins('constraints.txt')['ruff']}"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["toy_speed"], ["figures/data/toy_speed.json"]),
        (["--speed", "--into", "build/b"], [f"build/b/{n}.json" for n in measure.SPEED]),
    ],
)
def test_measuring_runs_what_is_asked_for(monkeypatch, words, expected):
    """The commands as they would be run; their scripts read such words."""
    started = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: started.append(command))
    monkeypatch.setattr(sys, "argv", ["measure.py", *words])
    measure.main()
    assert [Path(c[c.index("--out") + 1]) for c in started if "--out" in c] == [
        Path(e) for e in expected
    ]
    for command in started:
        text = (ROOT / command[1]).read_text()
        assert all(repr(w).replace("'", '"') in text for w in command if w.startswith("--"))


def test_every_measured_file_is_there():
    # Those of a GPU may be missing; the page of the explorer is no figure's data.
    made = {name for name in measure.FILES if name != "explorer_page"}
    stored = {path.stem for path in (ROOT / "figures/data").iterdir()}
    assert made <= stored and set(measure.SPEED) <= set(measure.FILES)
