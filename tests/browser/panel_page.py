"""A panel's script alone in a page: a plain object for the widget model, and the panel itself."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from lab_server import chromium

from nmlib.lab.panel.live import script

# Published for the tests: messages sent, saved traits, requests in flight and the most of them.
PAGE = """<!doctype html><meta charset="utf-8">
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
    const [content, buffers] = JSON.parse(reply);
    window.flying--;
    listeners["msg:custom"](content, buffers.map((b) => new DataView(Uint8Array.from(b).buffer)));
  },
};
Object.assign(window, { sent: 0, saved: 0, flying: 0, most: 0, values, listeners });
module.default.initialize();
module.default.render({ model, el: document.getElementById("here") });
</script>"""


@contextlib.contextmanager
def panel_page(panel: Any, size: tuple[int, int] = (800, 620)) -> Iterator[Any]:
    """Open a live panel; at the end the page may not have reported an error.

    Args:
        panel: The panel; it answers the page, and its traits are those of the page at the start.
        size: Width and height of the window in pixels.
    """
    errors: list[str] = []
    replies: list[Any] = []
    panel.send = lambda content, buffers: replies.append((content, [list(b) for b in buffers]))
    values = {**{c["name"]: getattr(panel, c["name"]) for c in panel._controls}}
    values["_controls"] = panel._controls

    def answer(text: str) -> str:
        panel._receive(panel, json.loads(text), [])
        return json.dumps(replies.pop())

    with chromium() as browser:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.expose_function("answer", answer)
        page.expose_function("script", lambda: script(type(panel)))
        page.set_content(PAGE % json.dumps(values))
        yield page
    assert errors == []
