"""The public address of the repository: `make address URL=...` or `tools/address.py [--set URL]`.

It stands once, as `Repository` under [project.urls] of pyproject.toml. This script writes it there
and into all texts that are generated from it: badges and the clone command of README.md, the first
cell and the Colab badge of the notebooks, CITATION.cff, .zenodo.json. The site, the release and the
checks read pyproject.toml. An empty URL takes it out of all of them again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
COLAB = "https://colab.research.google.com"
GITHUB = "https://github.com/"

INSTALL = """\
# If nmlib is missing: from its wheel beside this notebook (`make wheel` writes one), or from the clone around it.
try:
    import nmlib as nm
except ModuleNotFoundError:
    from glob import glob

    found = glob("nmlib-*.whl") or glob("../nmlib/../")
    assert found, (
        "nmlib is not here: run this notebook in a clone of it, or put its wheel beside the notebook"
    )
    %pip install -q "{found[0]}[notebooks]"
    import nmlib as nm"""

INSTALL_FROM_ADDRESS = """\
# If nmlib is missing: from its wheel beside this notebook, from the clone around it, or from its repository.
try:
    import nmlib as nm
except ModuleNotFoundError:
    from glob import glob

    found = glob("nmlib-*.whl") or glob("../nmlib/../")
    found = f"{found[0]}[notebooks]" if found else "nmlib[notebooks] @ ADDRESS"
    %pip install -q "{found}"
    import nmlib as nm"""


def checked(url: str) -> str:
    """Return an address as it is stored, "" for none; raise ValueError for anything else."""
    url = url.strip().rstrip("/").removesuffix(".git")
    if url and not re.fullmatch(r"https://[\w.-]+\.\w+(/[\w.~-]+){2,}", url):
        raise ValueError(
            f"{url!r} is no address of a repository; give one such as https://HOST/OWNER/nmlib, or "
            "none at all: make address URL="
        )
    return url


def install_cell(url: str, version: str) -> str:
    """Return the first code cell of all notebooks."""
    if not url:
        return INSTALL
    return INSTALL_FROM_ADDRESS.replace("ADDRESS", f"git+{url}@v{version}")


def colab_badge(url: str, notebook: str) -> str:
    """Return a notebook's badge; "" where Colab cannot read the repository."""
    if not url.startswith(GITHUB):
        return ""
    page = f"{COLAB}/github/{url.removeprefix(GITHUB)}/blob/main/notebooks/{notebook}"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({page})"


def badges(url: str) -> str:
    """Return the badges of README.md; "" for hosts that we know none of."""
    name, start = url.removeprefix(GITHUB), "00_start_here.ipynb"
    if url == name:
        return ""
    tests = f"{url}/actions/workflows/ci.yml"
    binder = f"https://mybinder.org/v2/gh/{name}/HEAD?labpath=notebooks/{start}"
    return (
        f"[![tests]({tests}/badge.svg)]({tests})\n{colab_badge(url, start)}\n"
        f"[![Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )


def places(root: Path, url: str, version: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (file, the text before, what is generated from the address, the text after)."""
    yield "pyproject.toml", "\n[project.urls]\n", f'Repository = "{url}"\n' if url else "", "#"
    yield "CITATION.cff", "\nlicense: MIT\n", f'repository-code: "{url}"\n' if url else "", "abs"
    shown = badges(url)
    yield "README.md", "# nmlib: NoisyMix, live\n\n", f"{shown}\n\n" if shown else "", "**N"
    clone = f"git clone {url} && cd {url.rpartition('/')[2]}\n" if url else ""
    yield "README.md", "## Start\n\n```\n", clone, "make demo"
    entry = {"identifier": url, "relation": "isSupplementTo", "scheme": "url"}
    lines = json.dumps(entry, indent=2).replace("\n", "\n    ")
    yield ".zenodo.json", '"scheme": "arxiv"\n    }', f",\n    {lines}" if url else "", "\n  ]"
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        badge = colab_badge(url, path.name)
        name = f"notebooks/{path.name}"
        yield name, "\n", f"\n{badge}\n" if badge else "", "\n"
        yield name, "", install_cell(url, version), ""


def replaced(text: str, before: str, old: str, new: str, after: str, place: str) -> str:
    """Replace a generated part, whichever version it names; raise ValueError if it is not there."""
    pattern = re.escape(old).replace("VERSION", r"[\w.]+")
    found = re.compile(f"({re.escape(before)}){pattern}(?={re.escape(after)})")
    if not (match := found.search(text)):
        raise ValueError(f"{place} no longer has its generated part: {before + old + after!r}")
    return text[: match.start()] + match[1] + new + text[match.end() :]


def in_notebook(text: str, kind: str, before: str, old: str, new: str, after: str, at: str) -> str:
    """Replace a generated part in the first cell of a kind."""
    notebook = json.loads(text)
    cell = next(c for c in notebook["cells"] if c["cell_type"] == kind)
    source = "".join(cell["source"])
    cell["source"] = replaced(source, before, old, new, after, at).splitlines(keepends=True)
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def texts(root: Path, url: str) -> dict[Path, str]:
    """Return the files that hold the address, as they are with this one."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    now = project["urls"].get("Repository", "")
    found: dict[Path, str] = {}
    both = zip(places(root, now, "VERSION"), places(root, url, project["version"]), strict=True)
    for (name, before, old, after), (_, _, new, _) in both:
        path = root / name
        text = found.get(path) or path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            kind = "markdown" if before else "code"
            found[path] = in_notebook(text, kind, before, old, new, after, name)
        else:
            found[path] = replaced(text, before, old, new, after, name)
    return found


def main() -> int:
    """Set the address, or write the present one again; nothing is written unless all can be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--set", metavar="URL", help="the new address; empty for none")
    given = parser.parse_args().set
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        url = checked(project["urls"].get("Repository", "") if given is None else given)
        new = texts(ROOT, url)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in new.items():
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{path.relative_to(ROOT)}: written")
    print(url or "no public address; make address URL=https://HOST/OWNER/nmlib sets one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
