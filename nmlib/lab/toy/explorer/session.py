"""One side of the conversation between a browser and a `ToyLab`; knows no widget library.

The browser is the clock: it sends a request, waits for the reply, and then sends the next. A reply
takes at most one short piece of training, so outdated work is cancelled by not being asked for.

Both sides may change a setting. `rev` counts the changes made by Python; a request says up to which
of them the browser had seen, and a value that Python has changed since wins over the browser's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nmlib._checks import choice, integer, number
from nmlib.data.toy import POLYGON_VERTICES
from nmlib.lab.panel import Message, Reply, answered, pong
from nmlib.lab.toy.explorer.controls import TOY_CONTROLS
from nmlib.lab.toy.lab import ENOUGH_STEPS, ToyLab

__all__ = ["Session", "page_link"]

BAND = 0.1
BAND_SEEDS = 12
MAP_SIZE = 50
JSD_DRAWS = 16
PAGE = "figures/explorer.html"
ROOT = Path(__file__).resolve().parents[4]  # of a checkout
LAYERS = ("saw", "jsd", "seeds")
# What a browser may ask for at most; Python may set more.
LARGEST_PICTURE, MOST_POINTS = 512, 5_000
_MOST = {"width": 4_096, "batch_size": 100_000}
_LARGE, _STEPS = 1e9, 10**9


def _plain(value: Any) -> Any:
    """Turn NumPy values into JSON ones; floats keep five digits."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.5g}") if np.isfinite(value) else None
    return value


def page_link(root: Path = ROOT) -> dict[str, str]:
    """Say where the page without a kernel is: in the repository, and on this disk if it is there.

    Keys: page, and from a checkout file. (A Jupyter server shows files to its own pages only,
    and not with what stands behind the # of an address.)

    >>> page_link(Path("nowhere"))
    {'page': 'figures/explorer.html'}
    """
    return {"page": PAGE} | ({"file": (root / PAGE).as_uri()} if (root / PAGE).is_file() else {})


class Session:
    """Answers a browser's requests with pictures and numbers of a lab.

    All access to the lab goes through `lock`: JupyterLab handles widget messages on another thread
    than cells.

    Args:
        lab: The lab; the session does not copy it.
        lane: Scheme shown large.
        race: Show all six instead.
        playing: Train without being asked.
        on_browser: Called with the settings and the state that a request has changed.
    """

    def __init__(
        self,
        lab: ToyLab,
        *,
        lane: str = "noisymix",
        race: bool = False,
        playing: bool = True,
        on_browser: Callable[[dict[str, Any], dict[str, Any], str], None] | None = None,
    ) -> None:
        self.lab = lab
        self.lock = threading.RLock()
        self.state: dict[str, Any] = {"lane": lane, "race": race, "playing": playing}
        self.rev = 0
        self.on_browser = on_browser
        self._changed: dict[str, int] = {}
        self._names = (*(control.name for control in TOY_CONTROLS), "data_seed")
        self._known = (*self._names, *self.state)

    @property
    def params(self) -> dict[str, Any]:
        """The settings a browser knows."""
        return {name: getattr(self.lab.settings, name) for name in self._names}

    def change(
        self, params: Mapping[str, Any], state: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Change settings from Python; returns the message for the browsers."""
        with self.lock:
            points = self._set(params)
            self.state.update(state or {})
            self.rev += 1
            for name in (*params, *(state or {})):
                self._changed[name] = self.rev
            message = {"kind": "set", "rev": self.rev, "params": _plain(dict(params))}
            message["state"] = dict(state or {})
            if points:
                message["points"] = self.points()
            return message

    def points(self) -> list[list[float]]:
        """All points as [x, y, class, 1 if held back]."""
        lab = self.lab
        rows = []
        for test, X, y in ((0, lab.X_train, lab.y_train), (1, lab.X_test, lab.y_test)):
            for (a, b), label in zip(X, y, strict=True):
                rows.append([round(float(a), 4), round(float(b), 4), int(label), test])
        return rows

    def answer(self, request: object) -> Reply:
        """Answer one request; an error becomes a reply in the words of its message."""
        kinds: dict[str, Callable[[Message], Reply]] = {
            "hello": lambda _: (self._hello(), []),
            "tick": self._tick,
            "ping": pong,
            "code": lambda _: ({"kind": "code", "code": self.lab.as_code(self.state["lane"])}, []),
        }
        with self.lock:
            refuse = lambda text: {"kind": "error", "message": text}  # noqa: E731
            reply, buffers = answered(request, kinds, refuse)
        return {**reply, "rev": self.rev}, buffers

    def _hello(self) -> dict[str, Any]:
        lab = self.lab
        return {
            "kind": "hello",
            "controls": [control.spec() for control in TOY_CONTROLS],
            "params": _plain(self.params),
            "state": dict(self.state),
            "lanes": list(lab.lanes),
            "points": self.points(),
            "polygon": _plain(POLYGON_VERTICES),
            "band": BAND,
            "extent": lab.EXTENT,
            "step": lab.steps_done,
            "total": lab.total_steps,
            "steps_per_epoch": lab.steps_per_epoch,
            "enough_steps": ENOUGH_STEPS,
            "band_seeds": BAND_SEEDS,
            "link": page_link(),
            "chip": "live kernel",
        }

    def _set(self, params: Mapping[str, Any]) -> bool:
        """Apply settings; returns whether the points are others now."""
        params = dict(params)
        data_seed = params.pop("data_seed", None)
        if params:
            self.lab.set(**params)
        if data_seed is None or data_seed == self.lab.settings.data_seed:
            return False
        self.lab.regenerate(int(data_seed))
        return True

    def _setting(self, name: str, value: Any) -> Any:
        """Return a browser's value of a setting in the setting's own type; `Settings` has the rest.

        Raises:
            ValueError: If it is of another type, or so large that training would never end.
        """
        old = getattr(self.lab.settings, name)
        if isinstance(old, str):
            if not isinstance(value, str):
                raise ValueError(f"{name} must be a name, got {value!r}")
            return value
        if isinstance(old, int):
            return integer(name, value, 0, _MOST.get(name, 2**31 - 1))
        return float(number(name, value, -_LARGE, _LARGE))

    def _stateful(self, name: str, value: Any) -> Any:
        """Return a browser's value of a part of the state.

        Raises:
            ValueError: For an unknown scheme, or a switch that is no bool.
        """
        if name == "lane":
            choice("lane", value, self.lab.lanes)
        elif not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, got {value!r}")
        return value

    def _merge(self, request: Message) -> bool:
        """Take over what the browser has changed and has a right to; returns 'points changed'."""
        seen, held = request.whole("rev", 0, 2**53), set(request.names("held", self._known))
        old = self.params

        def ours(name: str) -> bool:
            return self._changed.get(name, 0) > seen and name not in held

        params = {
            name: self._setting(name, value)
            for name, value in request.table("params").items()
            if name in old and value is not None and not ours(name)
        }
        params = {name: value for name, value in params.items() if value != old[name]}
        state = {
            name: self._stateful(name, value)
            for name, value in request.table("state").items()
            if name in self.state and value is not None and not ours(name)
        }
        state = {name: value for name, value in state.items() if value != self.state[name]}
        points = self._set(params) if params else False
        self.state.update(state)
        if (params or state) and self.on_browser:
            self.on_browser(params, state, request.view)
        return points

    def _tick(self, request: Message) -> Reply:
        lab = self.lab
        # All is read before anything is changed: what is refused leaves no half behind.
        lanes = request.names("lanes", lab.lanes)
        # A preview is measured only if that is asked for.
        measure = request.names("measure", lab.lanes, () if "preview" in request else lanes)
        layers = request.names("layers", LAYERS)
        steps, size = request.whole("steps", 0, _STEPS), request.whole("size", 0, LARGEST_PICTURE)
        ahead, shown = request.whole("preview", 0, _STEPS), request.whole("from", 0, _STEPS)
        if "preview" in request and not lanes:
            raise ValueError("a preview needs one scheme in lanes, got none")
        rows = request.rows("points", 4, MOST_POINTS) if "points" in request else None
        new_points = self._merge(request)
        if rows is not None:
            table = np.asarray(rows, dtype=np.float64).reshape(-1, 4)
            lab.set_points(table[:, :2], table[:, 2].astype(np.int64), table[:, 3].astype(bool))
        elif request.flag("restart"):
            lab.reset()
        content: dict[str, Any] = {"kind": "frame", "total": lab.total_steps, "lanes": {}}
        if new_points:
            content["points"] = self.points()
        if "preview" in request:
            step = min(ahead + steps, lab.total_steps)
            return self._preview(content, lanes[0], step, size, measure)
        start = time.perf_counter()
        trained = lab.step(steps) if steps > 0 else 0
        between = time.perf_counter()
        content |= {"step": lab.steps_done, "trained": trained}
        if lab.steps_done < shown:
            # Behind the preview that is on the screen: no picture, but the curves begin at 0.
            here = {lane: [[lab.steps_done, _plain(lab.metrics(lane))]] for lane in measure}
            content["past"], lanes = here, ()
        names: list[dict[str, Any]] = []
        buffers: list[bytes] = []

        def attach(name: str, lane: str, grid: np.ndarray) -> None:
            names.append({"name": name, "lane": lane, "size": int(grid.shape[0])})
            buffers.append(np.ascontiguousarray(grid, dtype=np.uint8).tobytes())

        for lane in lanes:
            content["lanes"][lane] = _plain(lab.metrics(lane)) if lane in measure else {}
            if size:
                attach("grids", lane, lab.grid(lane, size))
            if "saw" in layers:
                content.setdefault("saw", {})[lane] = self._saw(lane)
            if "jsd" in layers:
                attach("jsd", lane, lab.jsd_map(lane, MAP_SIZE, draws=JSD_DRAWS))
            if "seeds" in layers:
                attach("seeds", lane, lab.band(lane, BAND_SEEDS, MAP_SIZE))
        content["buffers"] = names
        content["ms"] = {
            "train": round(1e3 * (between - start), 2),
            "draw": round(1e3 * (time.perf_counter() - between), 2),
        }
        return content, buffers

    def _preview(
        self, content: dict[str, Any], lane: str, step: int, size: int, measure: tuple[str, ...]
    ) -> Reply:
        """Answer with the picture of one scheme trained ahead of the others."""
        start = time.perf_counter()
        grid = self.lab.preview(lane, step, size)
        numbers = _plain(self.lab.preview_metrics(lane, step)) if lane in measure else {}
        content |= {
            "step": step,
            "trained": 0,
            "preview": True,
            "lanes": {lane: numbers},
            "buffers": [{"name": "grids", "lane": lane, "size": size}],
            "ms": {"train": round(1e3 * (time.perf_counter() - start), 2), "draw": 0},
        }
        return content, [np.ascontiguousarray(grid).tobytes()]

    def _saw(self, lane: str) -> dict[str, Any] | None:
        seen = self.lab.saw(lane)
        if seen is None:
            return None
        # Views that draw their own pairs: lines are those of view 0, which carries the labels.
        partner, lam = seen["partner"][0], float(seen["lam"][0])
        alone = bool((partner == np.arange(len(partner))).all())
        return _plain(
            {
                "x": seen["points"],
                "y": seen["y"],
                "partner": None if alone else partner,
                "lam": lam,
                "point": seen["point"],
                "mixed": seen["mixed"],
            }
        )
