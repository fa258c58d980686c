"""Print what the built site weighs and how soon the lab works: `python tools/site_weight.py`.

Sizes are of build/site, compressed as a host sends them. The time runs until the lab has trained
its networks and drawn them, on a processor slowed down four times, from local files. Without
Chromium only the sizes are printed.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests/browser"))

SLOWDOWN = 4
PAGES = {"front page": "docs/index.html", "the lab alone": "figures/explorer.html"}
TEXT = {".html", ".js", ".css", ".svg", ".json"}


def kilobytes(paths: list[Path]) -> tuple[float, float]:
    """Return the sizes of files together, as they are and as they are sent, in kB."""
    raw = [path.read_bytes() for path in paths]
    sent = [
        len(gzip.compress(data)) if path.suffix in TEXT else len(data)
        for path, data in zip(paths, raw, strict=True)
    ]
    return sum(map(len, raw)) / 1000, sum(sent) / 1000


def main() -> None:
    """Print the table."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/site")
    files = [path for path in site.rglob("*") if path.is_file()]
    raw, sent = kilobytes(files)
    print(f"{len(files)} files, {raw / 1000:.1f} MB ({sent / 1000:.1f} MB compressed)")
    from lab_server import chromium, chromium_path

    if chromium_path() is None:
        print("no Chromium here: requests and times are left out")
        return
    with chromium() as browser:
        for name, address in PAGES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            asked: list[str] = []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.context.new_cdp_session(page).send(
                "Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN}
            )
            page.goto((site / address).as_uri())
            frame = page.frame_locator("#explorer") if "index" in address else page
            root = frame.locator(".nm-root")
            root.scroll_into_view_if_needed()
            root.and_(frame.locator("[data-settled=true]")).wait_for(timeout=60_000)
            ready = root.evaluate("() => performance.now()")
            loaded = {unquote(urlsplit(url).path) for url in asked if url.startswith("file:")}
            raw, sent = kilobytes([Path(path) for path in loaded])
            print(
                f"{name}: {len(loaded)} requests, {raw:.0f} kB ({sent:.0f} kB compressed), "
                f"the lab trained and shown {ready / 1000:.1f} s after its page began to load"
            )
            page.close()


if __name__ == "__main__":
    main()
