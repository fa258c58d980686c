"""Build the static site: `python tools/build_site.py` writes build/site.

Pages are staged in build/site-source from the executed notebooks, the docstrings, docs/ and the
measured files; Sphinx makes HTML of them, every warning an error; the links are checked. No network
is used, and the finished pages need none.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from suite_site import links, maths, stage

from nmlib._files import alone_in

SOURCE, SITE, CACHE = (ROOT / "build" / name for name in ("site-source", "site", "site-cache"))


def main() -> int:
    """Build the site and check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clean", action="store_true", help="read everything anew")
    arguments = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(alone_in(ROOT / "build", "building the site", ".site.lock"))
        except ValueError as error:
            sys.exit(str(error))
        return write_site(arguments.clean)


def write_site(clean: bool) -> int:
    """Write the site and check it; with `clean`, read everything anew. Return the exit code."""
    from sphinx.cmd.build import main as sphinx

    start = time.perf_counter()
    if clean:
        for folder in (SOURCE, CACHE):
            stage.clear(folder)
    # What was read is kept, what was written is not: a page that is gone must be gone.
    stage.clear(SITE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stage.stage(SOURCE, project["urls"].get("Repository", ""))
    failed = sphinx(
        ["-q", "-a", "-W", "--keep-going", "-b", "html", "-c", str(ROOT / "docs"), "-d", str(CACHE),
         str(SOURCE), str(SITE)]
    )  # fmt: skip
    if failed:
        return failed
    maths.write_font(SITE)
    problems = links.check(SITE)
    for problem in problems:
        print(problem)
    pages = list(SITE.rglob("*.html"))
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) / 1e6
    print(
        f"{SITE.relative_to(ROOT)}: {len(pages)} pages, {size:.1f} MB, {len(problems)} problems, "
        f"{time.perf_counter() - start:.0f} s"
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
