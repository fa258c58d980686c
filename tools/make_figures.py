"""Draw every picture of figures/ from figures/data: `python tools/make_figures.py [NAME ...]`.

FIGURES has one line for each. `--check` says which committed pictures are stale and draws nothing;
tests/test_figures.py does the same. Pictures have neither date nor version in them: the same data
and code give the same bytes, on the same versions of matplotlib and Pillow.

PNG (photographs: JPEG) and SVG are committed, with figures/figures.lock.json, which tells what they
were drawn from. Interactive pages go to figures/html with one copy of plotly.js beside them, so
that they open without a network; plotly.js has 5 MB, so they are not committed.

The pictures belong to the project, not to the package: whoever has the wheel has the data and the
displays, and draws any of these with one call.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.layout_engine import ConstrainedLayoutEngine

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from drawn import differs, drawn

from nmlib._files import rename_into, write_json, write_text
from nmlib.lab import measurements as files
from nmlib.lab.ablation.displays.effects import EffectsDisplay, PrecisionDisplay
from nmlib.lab.ablation.displays.gains import InteractionDisplay, WaterfallDisplay
from nmlib.lab.ablation.displays.table4 import AblationTableDisplay
from nmlib.lab.cifar.displays.bars import FamilyBarsDisplay, FlipBarsDisplay
from nmlib.lab.cifar.displays.length import LengthDisplay
from nmlib.lab.cifar.displays.ordering import OrderingDisplay
from nmlib.lab.cifar.displays.radar import CorruptionRadarDisplay
from nmlib.lab.cifar.displays.reliability import ReliabilityDisplay
from nmlib.lab.cifar.records import GRID, LENGTHS, SHORT, measured
from nmlib.lab.corruptions.displays import ContactSheetDisplay, FrequencyDisplay
from nmlib.lab.display.base import Display, jpeg, png
from nmlib.lab.display.conditions import wrapped
from nmlib.lab.display.looks import plotly_small_print
from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay
from nmlib.lab.speed import FILES as SPEED_FILES
from nmlib.lab.speed import SpeedDisplay
from nmlib.lab.theory.displays import RemainderDisplay, TrainedTermsDisplay
from nmlib.lab.toy.displays.study import ToyScreenDisplay, ToyStudyDisplay
from nmlib.schemes import ABLATION

LOCK = "figures.lock.json"
INDEX = "README.md"
MEND = "run `make figures` and commit figures/"
DPI = 110


class NotYet(Exception):
    """The data of a figure are not there yet."""


@dataclass(frozen=True)
class Drawing:
    """One figure of the project.

    Attributes:
        title: What it is, in a few words.
        make: Makes the display; raises NotYet if data are lacking.
        data: Files of figures/data that it reads, if they are there.
        source: For the corner, where there is no file to name.
        svg: Whether lines and words make most of it, so that SVG helps.
        photo: Whether it has photographs, which no palette fits: JPEG instead of PNG.
        page: Whether it has an interactive form.
    """

    title: str
    make: Callable[[], Display]
    data: tuple[str, ...] = ()
    source: str = ""
    svg: bool = True
    photo: bool = False
    page: bool = False


# -- what the displays are made of ----------------------------------------------------------------


def grid(*schemes: str, name: str = GRID) -> pd.DataFrame:
    """Return the records of a measured grid; all of these schemes must be in it."""
    if name not in files.measured_files():
        raise NotYet(f"figures/data/{name} is not there yet")
    records = measured(name)
    lacking = sorted({*schemes} - set(records["scheme"]))
    if lacking:
        raise NotYet(f"figures/data/{name} has no cell of {', '.join(lacking)} yet")
    return records


def ablation() -> pd.DataFrame:
    """Return the records with every row of Table 4."""
    return grid(*ABLATION, name=SHORT)


def or_paper(ours: Callable[[], Display], paper: Callable[[], Display]) -> Display:
    """Return the display with our results beside the paper's, or the paper's alone."""
    try:
        return ours()
    except NotYet:
        return paper()


CHIEF = ("baseline", "nfm", "augmix", "noisymix")
"""Schemes of the pictures that have no room for all."""

LONGEST = ("baseline", "augmix", "noisymix")
"""Schemes that were trained for 200 epochs, too."""


def resnet20() -> Display:
    """Accuracies of a public network on our corruptions."""
    record = files.read_measured("corruptions_resnet20.json")
    made = record["provenance"]
    key = {
        "dataset": made["dataset"], "model": made["network"], "seed": 0,
        "scheme": "public ResNet-20", "images": made["images"],
    }  # fmt: skip
    rows = [
        key | {"corruption": name, "severity": k, "accuracy": share}
        for name, shares in record["accuracy"].items()
        for k, share in enumerate(shares, 1)
    ]
    return CorruptionRadarDisplay.from_rows(rows)


THEORY = dict(alpha=1.3, beta=0.7, sigma_add=0.4, sigma_mult=0.3)
THEORY_SOURCE = (
    "nmlib.theory.example_problem(), α 1.3, β 0.7, σ_add 0.4, σ_mult 0.3; "
    "exact by quadrature, computed when drawn"
)


def theorem1() -> Display:
    """The remainder of Theorem 1, whole and with terms left out."""
    from nmlib.theory import example_problem, nfm_expansion, nfm_loss_exact

    p = example_problem()
    return RemainderDisplay.from_loss(
        lambda eps: nfm_loss_exact(p.f, p.X, p.y, eps=eps, **THEORY),
        nfm_expansion(p.f, p.X, p.y, **THEORY),
        leave_out=["R1", "R2", "R3", "R2_add", "R3_mult"],
        title="Theorem 1: what is left of the loss of noisy feature mixup",
    )


def theorem2() -> Display:
    """The remainder of Theorem 2, whole and with terms left out."""
    from nmlib.theory import example_problem, stability_expansion, stability_loss_exact

    p = example_problem()
    return RemainderDisplay.from_loss(
        lambda eps: stability_loss_exact(p.f, p.views, eps=eps, **THEORY),
        stability_expansion(p.f, p.views, **THEORY),
        eps=[0.16 / 2**k for k in range(8)],
        leave_out=["R1", "mix_diag", "mix_cross", "add_diag"],
        title="Theorem 2: what is left of the stability loss",
    )


def contact_sheet() -> Display:
    """A photograph under every corruption."""
    from nmlib.data.embedded import sample_photographs

    return ContactSheetDisplay.from_image(
        sample_photographs(224)["china"], benchmark="imagenet", title="a photograph"
    )


def frequencies() -> Display:
    """Which frequencies the corruptions change."""
    import torch

    from nmlib.data.embedded import sample_photographs

    photographs = torch.stack(list(sample_photographs(224).values()))
    return FrequencyDisplay.from_images(
        photographs, 3, benchmark="imagenet", title="two photographs"
    )


def terms() -> Display:
    """Terms of the expansions on trained networks."""
    return TrainedTermsDisplay.from_record(
        files.read_measured("theory_terms.json"), "tanh",
        ["R2", "R2_add", "R3_add", "stability_order_2"],
    )  # fmt: skip


# A line each: name, title, how it is made, what it reads.
FIGURES: dict[str, Drawing] = {
    "table4": Drawing(
        "Table 4, the ablation: ticks and gains",
        lambda: or_paper(
            lambda: AblationTableDisplay.from_records(ablation()), AblationTableDisplay.from_paper
        ), (SHORT,),
        page=True,
    ),
    "waterfall": Drawing(
        "From the bare network to NoisyMix, part by part",
        lambda: or_paper(
            lambda: WaterfallDisplay.from_records(ablation()), WaterfallDisplay.from_paper
        ), (SHORT,),
    ),
    "effects": Drawing(
        "Effects and interactions of the four parts, with intervals",
        lambda: or_paper(
            lambda: EffectsDisplay.from_records(ablation()), EffectsDisplay.from_paper
        ), (SHORT,),
    ),
    "interactions_paper": Drawing(
        "Interactions of the four parts in Table 4", InteractionDisplay.from_paper,
        source="paper: Table 4, CIFAR-100-C",
    ),
    "interactions": Drawing(
        "Interactions of the four parts in our rows",
        lambda: InteractionDisplay.from_records(ablation()), (SHORT,),
    ),
    "precision": Drawing(
        "What more seeds and more test images would say",
        lambda: PrecisionDisplay.from_records(ablation()), (SHORT,),
    ),
    "fig1": Drawing(
        "Fig. 1 of the paper, redrawn from Table 1", AccuracyScatterDisplay.fig1, page=True,
    ),
    "fig6": Drawing("Fig. 6 of the paper, redrawn from Table 6", FamilyDisplay.fig6),
    "clean_and_robust": Drawing(
        "Clean and robust accuracy of the schemes, the paper's and ours",
        lambda: AccuracyScatterDisplay.from_records(grid("baseline", "noisymix")), (GRID,),
        page=True,
    ),
    "ordering": Drawing(
        "Is the order of the schemes the paper's?",
        lambda: OrderingDisplay.from_records(grid("baseline", "noisymix")), (GRID,),
    ),
    "ordering_short": Drawing(
        "Is the order the paper's after a third of the training?",
        lambda: OrderingDisplay.from_records(grid("baseline", "noisymix", name=SHORT)), (SHORT,),
    ),
    "length": Drawing(
        "What training three times as long gives",
        lambda: LengthDisplay.from_records(
            grid(*CHIEF, name=SHORT), grid(*CHIEF), schemes=CHIEF
        ), (SHORT, GRID),
    ),
    "length_long": Drawing(
        "What training ten times as long gives, with one seed",
        lambda: LengthDisplay.from_records(
            *(grid(*LONGEST, name=name) for name in LENGTHS.values()), schemes=LONGEST
        ), tuple(LENGTHS.values()),
    ),
    "reliability": Drawing(
        "Accuracy by confidence on corrupted images",
        lambda: ReliabilityDisplay.from_records(
            grid(*LONGEST, name=LENGTHS[200]), schemes=LONGEST
        ), (LENGTHS[200],), page=True,
    ),
    "radar": Drawing(
        "Accuracy under each corruption",
        lambda: CorruptionRadarDisplay.from_records(grid(*CHIEF), schemes=CHIEF), (GRID,),
        page=True,
    ),
    "families": Drawing(
        "Accuracy by family of corruptions, the paper's and ours",
        lambda: FamilyBarsDisplay.from_records(grid(*CHIEF), schemes=CHIEF, paper=7), (GRID,),
        page=True,
    ),
    "flips": Drawing(
        "Flips along sequences of perturbations, the paper's and ours",
        lambda: FlipBarsDisplay.from_records(grid(*CHIEF), schemes=CHIEF, paper=13), (GRID,),
        page=True,
    ),
    "differences": Drawing(
        "Gain over the baseline under each corruption",
        lambda: or_paper(
            lambda: CorruptionDifferenceDisplay.from_records(grid("baseline", "noisymix")),
            lambda: CorruptionDifferenceDisplay.from_table(7),
        ), (GRID,), page=True,
    ),
    "toy_study": Drawing(
        "The six schemes of Fig. 4 on many seeds", ToyStudyDisplay.from_measured,
        ("toy_final.jsonl",),
    ),
    "toy_screen": Drawing(
        "What smoothing costs, in every setting of the toy study", ToyScreenDisplay.from_measured,
        ("toy_screen.jsonl",),
    ),
    "theorem1": Drawing("Remainder of Theorem 1", theorem1, source=THEORY_SOURCE, page=True),
    "theorem2": Drawing("Remainder of Theorem 2", theorem2, source=THEORY_SOURCE, page=True),
    "theory_terms": Drawing(
        "Terms of the expansions on trained networks", terms, ("theory_terms.json",), page=True,
    ),
    "contact_sheet": Drawing(
        "Every corruption at every severity", contact_sheet,
        source="scikit-learn's photograph “china” at 224 pixels, ImageNet-C's constants, "
        "nmlib.corrupt(seed=0), computed when drawn",
        svg=False, photo=True,
    ),
    "frequencies": Drawing(
        "Which frequencies each corruption changes", frequencies,
        source="scikit-learn's two photographs at 224 pixels, ImageNet-C's constants, severity 3, "
        "nmlib.corrupt(seed=0), computed when drawn",
    ),
    "resnet20": Drawing(
        "A public network on our corruptions", resnet20, ("corruptions_resnet20.json",), page=True,
    ),
    "speed": Drawing(
        "Every measured speed, against its peer", SpeedDisplay.from_measured,
        tuple(f"{name}.json" for name in SPEED_FILES),
    ),
}  # fmt: skip

OTHERS: dict[str, tuple[str, str]] = {
    "explorer_light.png": (
        "tools/explorer_pictures.py",
        "The live explorer in JupyterLab: one scheme, its sliders and its boundary.",
    ),
    "explorer_race.png": (
        "tools/explorer_pictures.py", "The live explorer with all six schemes side by side.",
    ),
    "explorer_dark.png": (
        "tools/explorer_pictures.py", "The live explorer in JupyterLab's dark theme.",
    ),
    "explorer_page.png": (
        "tools/explorer_pictures.py", "The explorer as a page without a kernel.",
    ),
    "explorer.html": (
        "python -m nmlib.lab.toy.explorer.atlas", "The explorer without a kernel, one file.",
    ),
}  # fmt: skip
"""Pictures that are taken of a running browser, not drawn from data: file -> (maker, words)."""


# -- drawing --------------------------------------------------------------------------------------


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw with matplotlib's own settings, whatever the user's are."""
    with matplotlib.style.context("default"):
        yield


def digest(content: bytes) -> str:
    """Return the first digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def draw(name: str) -> tuple[Display, Any]:
    """Return display and matplotlib figure, with its conditions in the corner."""
    drawing = FIGURES[name]
    with plain_style():
        display = drawing.make()
        figure = display.plot().figure_
        _stamp(figure, drawing)
    return display, figure


def _stamp(figure: Any, drawing: Drawing) -> None:
    """Write the files behind a figure, and the commits of their measurement, below its own note."""
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        # Names at the edge of a picture that stands alone need some air.
        engine.set(w_pad=0.09, h_pad=0.07)
    said = "\n".join(text.get_text() for text in figure.texts)
    lines = []
    there = files.measured_files()
    named = [name for name in drawing.data if name in there]
    if named:
        commits = [c for c in _commits(named) if c not in said]
        if len(commits) > 4:
            commits = [f"{commits[0]} to {commits[-1]}, {len(commits)} commits"]
        more = f" (commit {', '.join(commits)})" if commits else ""
        lines.append(f"data: figures/data/{', '.join(named)}{more}")
    if drawing.source and drawing.source not in said:
        lines.append(drawing.source)
    if not lines:
        return
    look = {"fontsize": 7.5, "color": "0.35", "ha": "right"}
    if isinstance(engine, ConstrainedLayoutEngine):
        note = figure._supxlabel
        own = [note.get_text()] if note is not None else []
        figure.supxlabel("\n".join([*own, *lines]), x=0.99, **look)
        return
    # Nothing makes room by itself here: the sheet grows at its lower edge.
    height, more_height = figure.get_figheight(), 0.04 + 0.135 * len(lines)
    taller = height + more_height
    figure.set_figheight(taller)
    for axes in figure.axes:
        x, y, wide, high = axes.get_position(original=True).bounds
        axes.set_position((x, (y * height + more_height) / taller, wide, high * height / taller))
    for text in figure.texts:
        text.set_y((text.get_position()[1] * height + more_height) / taller)
    figure.text(0.99, 0.04 / taller, "\n".join(lines), va="bottom", **look)


def _commits(names: Iterable[str]) -> list[str]:
    found: dict[str, None] = {}
    for name in names:
        content = files.read_measured(name)
        for record in content if isinstance(content, list) else [content]:
            found[record["provenance"]["commit"]] = None
    return list(found)


def as_pixels(figure: Any, drawing: Drawing) -> bytes:
    """Return the picture as PNG with a palette, or as JPEG if it has photographs."""
    if not drawing.photo:
        return png(figure, dpi=DPI, colours=256)
    # At the resolution of their pixels: enlarged they are larger, not better.
    figure.canvas.draw()
    return jpeg(np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]), 90)


def as_svg(figure: Any, name: str, words: str) -> bytes:
    """Return the picture as SVG: letters as paths, so that it looks the same everywhere.

    Its summary is there for screen readers.
    """
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"[ \t]+$", "", file.getvalue().decode(), flags=re.MULTILINE)
    safe = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(
        r"(<svg [^>]*)>", lambda m: f'{m[1]} role="img">\n <title>{safe}</title>', text, count=1
    )
    return text.encode()


def pictures(name: str) -> tuple[Display, Any, dict[str, bytes], dict[str, Any]]:
    """Return display, matplotlib figure, files, and what the lock says of them."""
    drawing = FIGURES[name]
    display, figure = draw(name)
    description = drawn(figure)
    with plain_style():
        made = {f"{name}.{'jpg' if drawing.photo else 'png'}": as_pixels(figure, drawing)}
        if drawing.svg:
            made[f"{name}.svg"] = as_svg(figure, name, display.summary)
    return (
        display,
        figure,
        made,
        {
            "files": {file: digest(content) for file, content in made.items()},
            "data": data_digests(drawing),
            "summary": display.summary,
            "matplotlib": matplotlib.__version__,
            "drawn": description,
        },
    )


def data_digests(drawing: Drawing) -> dict[str, str]:
    """Return the hashes of the measured files that a figure reads."""
    there = files.measured_files()
    return {name: digest(there[name].read_bytes()) for name in drawing.data if name in there}


def write_page(
    name: str, display: Any, figure: Any, folder: Path, *, script: str = "plotly.min.js"
) -> bool:
    """Write the interactive form of a figure, if it has one, with the figure's small print.

    Args:
        name: Of the figure.
        display: What `draw` returned.
        figure: The same.
        folder: Where to.
        script: Where plotly.js is, seen from there.
    """
    if not FIGURES[name].page:
        return False
    if isinstance(display, AblationTableDisplay):
        title = FIGURES[name].title
        head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        write_text(folder / f"{name}.html", f"{head}\n<body>{display.html()}</body></html>\n")
        return True
    page = display.plotly()
    # What `_stamp` wrote below the display's own small print.
    corner = figure._supxlabel.get_text()
    stamp = corner.removeprefix(wrapped(display.small_print, figure.get_figwidth()))
    lines = [*(page.layout.title.text or "").split("<br>"), *stamp.split("\n")]
    plotly_small_print(page, [line for line in lines if line])
    with rename_into(folder / f"{name}.html") as temporary:
        page.write_html(temporary, include_plotlyjs=script, full_html=True, div_id=name)
    return True


# -- the folder -----------------------------------------------------------------------------------


def make(names: Sequence[str], folder: Path, *, pages: bool = True) -> dict[str, str]:
    """Draw figures into a folder and bring lock and index up to date; return what was skipped."""
    lock = read_lock(folder)
    records, skipped = lock["figures"], {}
    for name in names:
        start = time.perf_counter()
        try:
            display, figure, made, record = pictures(name)
        except NotYet as reason:
            skipped[name] = str(reason)
            for file in records.pop(name, {"files": {}})["files"]:
                (folder / file).unlink(missing_ok=True)
            print(f"{name:20} skipped: {reason}", flush=True)
            continue
        for file, content in made.items():
            with rename_into(folder / file) as temporary:
                temporary.write_bytes(content)
        records[name] = record
        sizes = ", ".join(f"{file} {len(content) / 1000:.0f} kB" for file, content in made.items())
        page = pages and write_page(name, display, figure, folder / "html")
        seconds = time.perf_counter() - start
        print(f"{name:20} {sizes}{', html' if page else ''} ({seconds:.1f} s)", flush=True)
    if pages:
        import plotly

        script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        (folder / "html").mkdir(exist_ok=True)
        shutil.copyfile(script, folder / "html" / "plotly.min.js")
    for name in set(records) - set(FIGURES):
        for file in records.pop(name)["files"]:
            (folder / file).unlink(missing_ok=True)
    lock = {
        "about": "what the pictures here were drawn from; written by tools/make_figures.py",
        "figures": {name: records[name] for name in FIGURES if name in records},
    }
    write_json(folder / LOCK, lock)
    write_text(folder / INDEX, index(lock))
    return skipped


def read_lock(folder: Path) -> dict[str, Any]:
    """Return the lock of a folder, empty if there is none."""
    path = folder / LOCK
    if not path.exists():
        return {"figures": {}}
    lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return lock


def index(lock: dict[str, Any]) -> str:
    """Return the page that shows every figure with its words, data and command."""
    lines = [
        "# Figures",
        "",
        "Drawn from [`data/`](data) by `make figures` (a minute); `make measure` measures the data",
        "again (hours). This page is written by `tools/make_figures.py`, and a test fails when a",
        "picture here is older than its data or its drawing. Hollow grey or dashed: the paper's",
        "numbers; filled and coloured: ours.",
        "",
        "`make figures` also writes `html/`: interactive forms that open without a network.",
    ]
    for name, record in lock["figures"].items():
        drawing = FIGURES[name]
        words = re.sub(r"\s+", " ", record["summary"])
        picture = next(iter(record["files"]))
        lines += ["", f"## {drawing.title}", "", f"![Described below.]({picture})", "", words, ""]
        parts = [f"[{file.rsplit('.', 1)[1].upper()}]({file})" for file in record["files"]]
        data = [f"[{file}](data/{file})" for file in record["data"]]
        parts.append(f"data: {', '.join(data)}" if data else _lead(drawing))
        parts.append(f"again: `python tools/make_figures.py {name}`")
        lines.append("; ".join(parts) + ".")
    lines += ["", "## Pictures of the running explorer", ""]
    lines += [
        f"- [{file}]({file}): {words} Made by `{maker}`."
        for file, (maker, words) in OTHERS.items()
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _lead(drawing: Drawing) -> str:
    return drawing.source or "data: the paper's tables (`nmlib.paper`)"


# -- stale? ---------------------------------------------------------------------------------------


def stale(folder: Path, names: Sequence[str] | None = None) -> list[str]:
    """Say what in a folder is not what its data and the code give, and why; [] if all is well.

    A figure is stale if a file behind it has changed, if drawing it now gives other words, colours
    or numbers, or if its pictures are not those that were drawn then. Numbers are compared on the
    matplotlib that drew them: another one places labels elsewhere.
    """
    lock, found = read_lock(folder), []
    for name in FIGURES if names is None else names:
        record = lock["figures"].get(name)
        try:
            found += [f"{name}: {why}" for why in _why_stale(name, record, folder)]
        except NotYet as reason:
            if record is not None:
                found.append(f"{name}: is drawn, but {reason}")
    if names is None:
        found += [f"{name}: no longer among FIGURES" for name in lock["figures"] if
                  name not in FIGURES]  # fmt: skip
        known = {LOCK, INDEX, *OTHERS}
        known |= {file for record in lock["figures"].values() for file in record["files"]}
        found += [
            f"{path.name}: belongs to no figure of tools/make_figures.py"
            for path in sorted(folder.iterdir())
            if path.is_file() and path.name not in known and not path.name.startswith(".")
        ]
        try:
            page = (folder / INDEX).read_text(encoding="utf-8")
        except FileNotFoundError:
            page = ""
        if not set(lock["figures"]) - set(FIGURES) and page != index(lock):
            found.append(f"{INDEX}: is not what the figures say")
    return found


def _why_stale(name: str, record: dict[str, Any] | None, folder: Path) -> Iterator[str]:
    display, figure = draw(name)
    if record is None:
        yield "has not been drawn"
        return
    for file, was in record["files"].items():
        path = folder / file
        if not path.exists():
            yield f"{file} is missing"
        elif digest(path.read_bytes()) != was:
            yield f"{file} is not the picture that was drawn"
    now = data_digests(FIGURES[name])
    changed = [
        file for file in {**now, **record["data"]} if now.get(file) != record["data"].get(file)
    ]
    if changed:
        yield f"figures/data has changed: {', '.join(sorted(changed))}"
    same = record["matplotlib"] == matplotlib.__version__
    difference = differs(record["drawn"], drawn(figure), numbers=same)
    if difference:
        yield f"drawn now, it differs in {difference}"
    if record["summary"] != display.summary:
        yield "its summary (alt text) has changed"


def main() -> int:
    """Draw all figures, or those named; or check them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--check", action="store_true", help="only say which are stale")
    parser.add_argument("--out", type=Path, default=ROOT / "figures", help="folder")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(FIGURES)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(FIGURES)}")
    if arguments.check:
        found = stale(arguments.out, arguments.names or None)
        print("\n".join(found) or "all figures are fresh")
        if found:
            print(f"To mend this: {MEND}.")
        return bool(found)
    arguments.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    skipped = make(arguments.names or list(FIGURES), arguments.out)
    drawings = len(arguments.names or FIGURES) - len(skipped)
    print(f"{drawings} figures in {time.perf_counter() - start:.0f} s, {len(skipped)} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
