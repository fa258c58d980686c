"""Everything of a release up to the steps that need an account: `make release`.

The files are made from the last commit alone and tried in environments that have never seen it:
torch and NumPy alone, and the packages of the notebooks, where nmlib comes from its wheel. They
appear in dist/nmlib-VERSION as a whole or not at all. `make version VERSION=...` comes first: it
writes version and date into the files that name them.

`--rehearse`, as CI runs it, takes a version that has no date yet or was released before.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LESSONS = ROOT / "build/lessons"

CORE = """
import sys, torch, nmlib
x, y = nmlib.make_polygon_band(20, random_state=0)
batch = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
loss = nmlib.batch_loss(nmlib.mlp(), batch, nmlib.fig4_schemes()["noisymix"], nmlib.Rng(0))
loss.total.backward()
assert "site-packages" in nmlib.__file__, nmlib.__file__
assert not {"pandas", "scipy", "matplotlib", "PIL"} & set(sys.modules)
"""
NOTEBOOK = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
"""


def run(*command: str | Path, cwd: Path | None = None, **environ: str) -> str:
    """Run a command without the settings of this process; return what it prints, or raise."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "PIP_"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd or ROOT, env=kept | {"OMP_NUM_THREADS": "1"} | environ,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        words = " ".join(map(str, command[:6]))
        raise SystemExit(f"{words} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done.stdout


def read(name: str, root: Path = ROOT) -> str:
    """Return a text file of the project."""
    return (root / name).read_text(encoding="utf-8")


def version_of(root: Path = ROOT) -> str:
    """Return the version that pyproject.toml names."""
    return tomllib.loads(read("pyproject.toml", root))["project"]["version"]


# -- before ---------------------------------------------------------------------------------------


def entry(changelog: str, version: str) -> tuple[str, str]:
    """Return the date in a version's heading and what the changelog says of it; "" for neither."""
    pattern = rf"^## {re.escape(version)} \(([^\n]*)\)\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, changelog, re.MULTILINE | re.DOTALL)
    date = re.fullmatch(r"\d{4}-\d\d-\d\d", found[1]) if found else None
    return (date[0] if date else "", found[2].strip() if found else "")


def faults(root: Path = ROOT, *, rehearsal: bool = False) -> list[str]:
    """Return what stands against a release, each with its remedy."""
    version, found = version_of(root), []
    if changed := run("git", "status", "--porcelain", cwd=root).splitlines():
        shown = ", ".join(line[3:] for line in changed[:5])
        found.append(f"{len(changed)} changed or unknown file(s), {shown}; commit or remove them")
    if run("git", "tag", "--list", f"v{version}", cwd=root) and not rehearsal:
        found.append(f"tag v{version} exists; name the next version: make version VERSION=...")
    date, text = entry(read("CHANGELOG.md", root), version)
    if not text:
        found.append(f"CHANGELOG.md says nothing of {version}; write what is new in it")
    elif not date and not rehearsal:
        found.append(f"{version} has no date in CHANGELOG.md; run: make version, and commit")
    for name, pattern in VERSIONED.items():
        stated = re.search(pattern, read(name, root), re.MULTILINE)
        if not stated or stated[2] != version:
            found.append(f"{name} does not name {version}; run: make version")
    return found


# Where the version stands, between what comes before and after it.
VERSIONED = {
    "pyproject.toml": r'^(version = ")(.*)(")$',
    "nmlib/__init__.py": r'^(__version__ = ")(.*)(")$',
    "CITATION.cff": r"^(version: )(.*)()$",
}


def set_version(version: str, date: str, root: Path = ROOT) -> None:
    """Write a version and its date into all files that name them."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise SystemExit(f"{version!r} is no version such as 0.2.0")
    texts = {
        name: re.sub(pattern, rf"\g<1>{version}\g<3>", read(name, root), flags=re.MULTILINE)
        for name, pattern in VERSIONED.items()
    }
    citation = re.sub(r"^date-released: .*\n", "", texts["CITATION.cff"], flags=re.MULTILINE)
    texts["CITATION.cff"] = citation.replace(
        f"version: {version}\n", f"version: {version}\ndate-released: {date}\n"
    )
    changelog, heading = read("CHANGELOG.md", root), rf"^## {re.escape(version)} \(.*\)$"
    if not re.search(heading, changelog, re.MULTILINE):
        heading = r"^## \S+ \(unreleased\)$"
    if not re.search(heading, changelog, re.MULTILINE):
        raise SystemExit(f"CHANGELOG.md has no heading `## {version} (unreleased)`; write one")
    texts["CHANGELOG.md"] = re.sub(
        heading, f"## {version} ({date})", changelog, count=1, flags=re.MULTILINE
    )
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8", newline="\n")


# -- environments that never saw the checkout -----------------------------------------------------


def closure(requirements: Iterable[str], extras: dict[str, list[str]]) -> set[str]:
    """Return the installed packages that requirements need, directly or not."""
    found: set[tuple[str, str]] = set()
    open_ = [Requirement(text) for text in requirements]
    while open_:
        wanted = open_.pop()
        name = canonicalize_name(wanted.name)
        for extra in ["", *wanted.extras]:
            if (name, extra) in found:
                continue
            found.add((name, extra))
            needed = extras.get(extra, []) if name == "nmlib" else metadata.requires(name) or []
            parsed = [Requirement(text) for text in needed]
            open_ += [
                r for r in parsed
                if name == "nmlib" or r.marker is None or r.marker.evaluate({"extra": extra})
            ]  # fmt: skip
    return {name for name, _ in found} - {"nmlib"}


def environment(folder: Path, packages: Iterable[str]) -> Path:
    """Make a virtual environment of installed packages, by links; return its Python.

    Neither the network nor a second copy of torch is needed.
    """
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", code).strip())
    for name in packages:
        distribution = metadata.distribution(name)
        parts = {Path(file).parts[0] for file in distribution.files or ()}
        for part in parts - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(part)))
            if not (site / part).exists() and source.exists():
                (site / part).symlink_to(source)
    return python


def try_wheel(folder: Path, wheel: Path, *, every: bool) -> Iterator[str]:
    """Install the wheel where nothing else of nmlib is and use it; yield what was tried."""
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras, needs = project["optional-dependencies"], project["dependencies"]
    core = environment(folder / "core", closure(needs, extras))
    install = ("-m", "pip", "install", "--quiet", "--no-index")
    run(core, *install, wheel, cwd=folder)
    run(core, "-c", CORE, cwd=folder)
    train = ("train", "--scheme", "baseline", "--dataset", "fashion-mini", "--budget", "smoke")
    run(core.with_name("nmlib"), *train, "--out", "run", cwd=folder)
    yield "core and command line with torch and NumPy alone"

    # Here nmlib is installed by the first cell of the notebook, from the wheel that lies beside it.
    full = environment(
        folder / "notebooks", closure(["nmlib[notebooks]", "nbclient", *needs], extras)
    )
    beside = folder / "beside"
    shutil.copytree(ROOT / "notebooks", beside, ignore=shutil.ignore_patterns("runs", ".*", "*.py"))
    shutil.copy(wheel, beside)
    names = sorted(path.name for path in beside.glob("*.ipynb"))
    names = names if every else [name for name in names if name.startswith("01")]
    for name in names:
        run(full, "-c", NOTEBOOK, name, cwd=beside, PIP_NO_INDEX="1", PYTHONWARNINGS="ignore")
        yield name
    command = full.with_name("nmlib")
    evaluated = ("--checkpoint", folder / "run", "--corruptions", "fog", "--out", "evaluation")
    run(command, "evaluate", *evaluated, cwd=folder)
    run(command, "doctor", cwd=folder)
    yield "nmlib evaluate, nmlib doctor"


# -- the files ------------------------------------------------------------------------------------


def build(folder: Path) -> tuple[Path, Path]:
    """Build wheel and source archive from the last commit; return them."""
    source = folder / "source"
    source.mkdir()
    archive = folder / "source.tar"
    run("git", "archive", "--format=tar", f"--output={archive}", "HEAD")
    shutil.unpack_archive(archive, source)
    # The archives of one commit are the same on every day.
    made = run("git", "log", "-1", "--format=%ct").strip()
    hatchling = (sys.executable, "-m", "hatchling", "build")
    run(*hatchling, "-t", "wheel", "-t", "sdist", "-d", folder / "built",
        cwd=source, SOURCE_DATE_EPOCH=made)  # fmt: skip
    (wheel,), (sdist,) = folder.glob("built/*.whl"), folder.glob("built/*.tar.gz")
    shutil.unpack_archive(sdist, folder / "unpacked")
    (inside,) = (folder / "unpacked").iterdir()
    run(*hatchling, "-t", "wheel", "-d", folder / "again", cwd=inside, SOURCE_DATE_EPOCH=made)
    (again,) = folder.glob("again/*.whl")
    if again.read_bytes() != wheel.read_bytes():
        raise SystemExit("the wheel of the source archive is not the wheel of the commit")
    return wheel, sdist


def pack(archive: Path, source: Path) -> None:
    """Pack the files below a folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            packed.write(path, path.relative_to(source))


def gather(into: Path, wheel: Path, sdist: Path, site: Path) -> None:
    """Put everything that is published into one folder, with its SHA-256 sums."""
    name = f"nmlib-{version_of()}"
    for file in (wheel, sdist, ROOT / "CITATION.cff"):
        shutil.copy(file, into)
    shutil.copy(ROOT / "figures/explorer.html", into / f"{name}-explorer.html")
    shutil.copy(ROOT / ".zenodo.json", into / "zenodo.json")
    (into / "NEWS.md").write_text(entry(read("CHANGELOG.md"), version_of())[1] + "\n", "utf-8")
    pack(into / f"{name}-site.zip", site)
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / "notebooks"
        beside.mkdir()
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            shutil.copy(path, beside)
        lessons = Path(shutil.copytree(LESSONS, Path(folder) / "lessons"))
        # The first cell of every notebook installs the wheel beside it.
        for place in (beside, lessons / "student", lessons / "instructor"):
            shutil.copy(wheel, place)
        pack(into / f"{name}-notebooks.zip", beside)
        pack(into / f"{name}-lessons.zip", lessons)
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(into.iterdir())
    ]
    (into / "SHA256SUMS").write_text("".join(sums), "utf-8")


def publish(new: Path, target: Path) -> None:
    """Put a finished folder in the place of an older one; nobody sees half of it."""
    target.parent.mkdir(exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
    try:
        shutil.copytree(new, beside / "new")
        if target.exists():
            target.rename(beside / "old")
        (beside / "new").rename(target)
    finally:
        shutil.rmtree(beside)


def steps(folder: Path) -> str:
    """Return what is left to do by hand: the five steps that need an account."""
    version = version_of()
    project = tomllib.loads(read("pyproject.toml"))["project"]
    url = project["urls"].get("Repository", "")
    first = (
        f"push this commit to {url}"
        if url
        else "make a public repository, `make address URL=...`, commit, `make release` again; push"
    )
    here = folder.relative_to(ROOT)
    return f"""
Five steps are left; each needs an account:
1. repository: {first}, then
     git tag v{version} && git push origin main v{version}
   (.github/workflows/release.yml makes the same files and a release of the tag)
2. package index: register as publisher of nmlib, then
     python -m twine upload {here}/nmlib-{version}-py3-none-any.whl {here}/nmlib-{version}.tar.gz
3. site host: any static host serves {here}/nmlib-{version}-site.zip unpacked
   (.github/workflows/site.yml does it where Pages are switched on, with GitHub Actions as source)
4. archive: switch the repository on at the archive before pushing the tag, or upload {here};
   zenodo.json holds the metadata. Write the DOI into CITATION.cff as `doi:`
5. leaderboard: `nmlib evaluate ... --claim robustbench` (or openood) writes the text of the issue
"""


def main() -> None:
    """Make a release, or set its version."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rehearse", action="store_true", help="as CI does: no date, an old tag")
    parser.add_argument("--all", action="store_true", help="run all notebooks against the wheel")
    parser.add_argument("--site", type=Path, default=ROOT / "build/site", help="the built site")
    parser.add_argument("--set", metavar="VERSION", help="write this version and today's date")
    options = parser.parse_args()
    if options.set is not None:
        version = options.set or version_of()
        set_version(version, datetime.date.today().isoformat())
        print(f"{version}: written; now `make address`, look at the changes and commit them")
        return
    if found := faults(rehearsal=options.rehearse):
        raise SystemExit("No release:\n" + "\n".join(f"- {fault}" for fault in found))
    if not (options.site / "index.html").exists():
        raise SystemExit(f"No release:\n- {options.site} is no site; run: make site")
    if not (LESSONS / "student").exists():
        raise SystemExit(f"No release:\n- {LESSONS} has no lessons; run: make lessons")
    target = ROOT / "dist" / f"nmlib-{version_of()}"
    with tempfile.TemporaryDirectory() as folder:
        wheel, sdist = build(Path(folder))
        print(f"built: {wheel.name}, {sdist.name}, whose wheel is the same", flush=True)
        for what in try_wheel(Path(folder), wheel, every=options.all):
            print(f"tried: {what}", flush=True)
        new = Path(folder) / "new"
        new.mkdir()
        gather(new, wheel, sdist, options.site)
        publish(new, target)
    print(read("SHA256SUMS", target) + steps(target))


if __name__ == "__main__":
    main()
