"""A panel's script alone in a page, with a plain object for the widget model and Python behind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lab_server import chromium

from nmlib.lab.panel.messages import script

# Published for the tests: messages sent, saved traits, requests in flight and the most of them.
PAGE = """<!doctype html><meta charset="utf-8"><style>%s</style>
<body style="margin:8px"><div id="here"></div>
<script type="module">
const code = await window.script();
const module = await import(URL.createObjectURL(new Blob([code], {type: "text/javascript"})));
const values = %s, listeners = {};
const model = {
  get: (k) => values[k], set: (k, v) => { values[k] = v; }, save_changes: () => { window.saved++; },
  on: (k, f) => { listeners[k] = f; }, off: () => {},
  send: async (message) => {
    window.sent++; window.flying++; window.most = Math.max(window.most, window.flying);
    const reply = await window.answer(JSON.stringify(message));
    window.flying--; listeners["msg:custom"](JSON.parse(reply));
  },
};
Object.assign(window, { sent: 0, saved: 0, flying: 0, most: 0, values, listeners });
module.default.initialize();
module.default.render({ model, el: document.getElementById("here") });
</script>"""


@contextlib.contextmanager
def panel_page(
    path: Path,
    values: Mapping[str, Any],
    answer: Callable[[dict], Any],
    size: tuple[int, int] = (800, 620),
    css: str = "",
) -> Iterator[Any]:
    """Open a panel; at the end nothing may have been complained about.

    Args:
        path: Its script.
        values: The traits that the kernel would have set.
        answer: The kernel's answer to a message.
        size: Width and height of the window in pixels.
        css: The widget's own style, if it has one.
    """
    errors: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.expose_function("answer", lambda text: json.dumps(answer(json.loads(text))))
        page.expose_function("script", lambda: script(path))
        page.set_content(PAGE % (css, json.dumps(dict(values))))
        yield page
    assert errors == []
