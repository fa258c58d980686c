"""Draw every picture of figures/ from figures/data: `python tools/make_figures.py [NAME ...]`.

FIGURES has one line for each. `--check` says which committed pictures look different when they are
drawn now; tests/test_figures.py does the same. Pictures have neither date nor version in them: the
same data and code give the same bytes, on the same versions of matplotlib and Pillow.

PNG (photographs: JPEG) and SVG are committed. Interactive pages go to figures/html with one copy of
plotly.js beside them, so that they open without a network; plotly.js has 5 MB, so they are not.

The pictures belong to the project, not to the package: whoever has the wheel has the data and the
displays, and draws any of these with one call.
"""

from __future__ import annotations

import argparse
import html
import io
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import plotly
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import usage

from nmlib._files import rename_into, write_text
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
from nmlib.lab.imagenet.displays import ProfileDisplay
from nmlib.lab.paper.displays.families import CorruptionDifferenceDisplay, FamilyDisplay
from nmlib.lab.paper.displays.imagenet import ImageNetDisplay
from nmlib.lab.paper.displays.scatter import AccuracyScatterDisplay
from nmlib.lab.paper.displays.sources import SourcesDisplay
from nmlib.lab.speed import FILES as SPEED_FILES
from nmlib.lab.speed import SpeedDisplay
from nmlib.lab.theory.displays import RemainderDisplay, TrainedTermsDisplay
from nmlib.lab.toy.displays.study import ToyScreenDisplay, ToyStudyDisplay
from nmlib.lab.transfer.displays import TRANSFERS, TransferDisplay

INDEX = "README.md"
PAPER = "data: the paper's tables (`nmlib.paper`)"
MEND = "run `make figures` and commit figures/"
DPI = 110


@dataclass(frozen=True)
class Drawing:
    """One figure of the project.

    Attributes:
        title: What it is, in a few words.
        make: Makes the display.
        data: Files of figures/data that it reads.
        source: For the corner, where there is no file to name.
        svg: Whether lines and words make most of it, so that SVG helps.
        photo: Whether it has photographs, which no palette fits: JPEG instead of PNG.
    """

    title: str
    make: Callable[[], Display]
    data: tuple[str, ...] = ()
    source: str = ""
    svg: bool = True
    photo: bool = False


# -- what the displays are made of ----------------------------------------------------------------


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
        lambda: AblationTableDisplay.from_records(measured(SHORT)), (SHORT,),
    ),
    "waterfall": Drawing(
        "From the bare network to NoisyMix, part by part",
        lambda: WaterfallDisplay.from_records(measured(SHORT)), (SHORT,),
    ),
    "effects": Drawing(
        "Effects and interactions of the four parts, with intervals",
        lambda: EffectsDisplay.from_records(measured(SHORT)), (SHORT,),
    ),
    "interactions_paper": Drawing(
        "Interactions of the four parts in Table 4", InteractionDisplay.from_paper,
        source="paper: Table 4, CIFAR-100-C",
    ),
    "interactions": Drawing(
        "Interactions of the four parts in our rows",
        lambda: InteractionDisplay.from_records(measured(SHORT)), (SHORT,),
    ),
    "precision": Drawing(
        "What more seeds and more test images would say",
        lambda: PrecisionDisplay.from_records(measured(SHORT)), (SHORT,),
    ),
    "fig1": Drawing(
        "Fig. 1 of the paper, redrawn from Table 1", AccuracyScatterDisplay.fig1,
    ),
    "fig6": Drawing("Fig. 6 of the paper, redrawn from Table 6", FamilyDisplay.fig6),
    "imagenet": Drawing(
        "ImageNet-C against ImageNet and ImageNet-R: Table 1 and RobustBench",
        ImageNetDisplay.from_sources,
        source="the paper's Table 1 and RobustBench's files, as in nmlib.paper",
    ),
    "transfer": Drawing(
        "Table 5: ImageNet networks on CIFAR, and ours with frozen features",
        TransferDisplay.from_records, TRANSFERS, source="the paper's Table 5",
    ),
    "profile": Drawing(
        "What three ImageNet networks keep under each corruption",
        ProfileDisplay.from_record, ("imagenet_lite0.json",),
        source="RobustBench's files, as in nmlib.paper",
    ),
    "sources": Drawing(
        "NoisyMix by corruption: the paper, RobustBench and ours",
        lambda: SourcesDisplay.from_method(records=measured()), (GRID,),
    ),
    "clean_and_robust": Drawing(
        "Clean and robust accuracy of the schemes, the paper's and ours",
        lambda: AccuracyScatterDisplay.from_records(measured()), (GRID,),
    ),
    "ordering": Drawing(
        "Is the order of the schemes the paper's?",
        lambda: OrderingDisplay.from_records(measured()), (GRID,),
    ),
    "ordering_short": Drawing(
        "Is the order the paper's after a third of the training?",
        lambda: OrderingDisplay.from_records(measured(SHORT)), (SHORT,),
    ),
    "length": Drawing(
        "What training three times as long gives",
        lambda: LengthDisplay.from_records(measured(SHORT), measured(), schemes=CHIEF),
        (SHORT, GRID),
    ),
    "length_long": Drawing(
        "What training ten times as long gives, with one seed",
        lambda: LengthDisplay.from_records(
            *(measured(name) for name in LENGTHS.values()), schemes=LONGEST
        ), tuple(LENGTHS.values()),
    ),
    "reliability": Drawing(
        "Accuracy by confidence on corrupted images",
        lambda: ReliabilityDisplay.from_records(measured(LENGTHS[200]), schemes=LONGEST),
        (LENGTHS[200],),
    ),
    "radar": Drawing(
        "Accuracy under each corruption",
        lambda: CorruptionRadarDisplay.from_records(measured(), schemes=CHIEF), (GRID,),
    ),
    "families": Drawing(
        "Accuracy by family of corruptions, the paper's and ours",
        lambda: FamilyBarsDisplay.from_records(measured(), schemes=CHIEF, paper=7), (GRID,),
    ),
    "flips": Drawing(
        "Flips along sequences of perturbations, the paper's and ours",
        lambda: FlipBarsDisplay.from_records(measured(), schemes=CHIEF, paper=13), (GRID,),
    ),
    "differences": Drawing(
        "Gain over the baseline under each corruption",
        lambda: CorruptionDifferenceDisplay.from_records(measured()), (GRID,),
    ),
    "toy_study": Drawing(
        "The six schemes of Fig. 4 on many seeds", ToyStudyDisplay.from_measured,
        ("toy_final.jsonl",),
    ),
    "toy_screen": Drawing(
        "What smoothing costs, in every setting of the toy study", ToyScreenDisplay.from_measured,
        ("toy_screen.jsonl",),
    ),
    "theorem1": Drawing("Remainder of Theorem 1", theorem1, source=THEORY_SOURCE),
    "theorem2": Drawing("Remainder of Theorem 2", theorem2, source=THEORY_SOURCE),
    "theory_terms": Drawing(
        "Terms of the expansions on trained networks", terms, ("theory_terms.json",),
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
        "A public network on our corruptions", resnet20, ("corruptions_resnet20.json",),
    ),
    "speed": Drawing(
        "Every measured speed, against its peer", SpeedDisplay.from_measured,
        tuple(f"{name}.json" for name in SPEED_FILES),
    ),
}  # fmt: skip

OTHERS: dict[str, tuple[str, str]] = {
    "explorer_light.png": (
        "tools/explorer_pictures.py",
        "The live explorer in JupyterLab: NoisyMix beside the baseline.",
    ),
    "explorer_race.png": (
        "tools/explorer_pictures.py", "The live explorer with all six schemes side by side.",
    ),
    "explorer_dark.png": (
        "tools/explorer_pictures.py", "The live explorer in JupyterLab's dark theme.",
    ),
    "explorer_page.png": (
        "tools/explorer_pictures.py", "The explorer on its page, without a kernel.",
    ),
    "explorer.html": (
        "python -m nmlib.lab.toy.explorer.page",
        "The explorer as one page: it trains in the browser.",
    ),
}  # fmt: skip
"""Pictures that are taken of a running browser, not drawn from data: file -> (maker, words)."""


# -- drawing --------------------------------------------------------------------------------------


@contextmanager
def plain_style() -> Iterator[None]:
    """Draw with matplotlib's own settings, whatever the user's are."""
    with matplotlib.style.context("default"):
        yield


def draw(name: str) -> tuple[Display, Any]:
    """Return display and matplotlib figure; its small print names the files behind it."""
    drawing = FIGURES[name]
    with plain_style():
        display = drawing.make()
        display = replace(display, origin=_origin(drawing, display.small_print))
        figure = display.plot().figure_
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        # Names at the edge of a picture that stands alone need some air.
        engine.set(w_pad=0.09, h_pad=0.07)
    return display, figure


def _origin(drawing: Drawing, said: str) -> str:
    """Return the files behind a figure and the commits of their measurement, if not yet said."""
    if not drawing.data:
        return "" if drawing.source in said else drawing.source
    commits = [commit for commit in _commits(drawing.data) if commit not in said]
    if len(commits) > 4:
        commits = [f"{commits[0]} to {commits[-1]}, {len(commits)} commits"]
    more = f" (commit {', '.join(commits)})" if commits else ""
    return f"data: figures/data/{', '.join(drawing.data)}{more}"


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
    head = f'\\1 role="img">\n <title>{html.escape(words, quote=False)}</title>'
    return re.sub(r"(<svg [^>]*)>", head, text, count=1).encode()


def picture_name(name: str) -> str:
    """Return the file of a figure's picture."""
    return f"{name}.{'jpg' if FIGURES[name].photo else 'png'}"


def pictures(name: str) -> tuple[Display, dict[str, bytes]]:
    """Return the display of a figure, and its files."""
    display, figure = draw(name)
    with plain_style():
        made = {picture_name(name): as_pixels(figure, FIGURES[name])}
        if FIGURES[name].svg:
            made[f"{name}.svg"] = as_svg(figure, name, display.summary)
    return display, made


def write_pages(folder: Path, script: str = "plotly.min.js") -> list[str]:
    """Write the interactive form of every figure that has one; return their names.

    Args:
        folder: Where to.
        script: Where plotly.js is, seen from there.
    """
    found = []
    for name, drawing in FIGURES.items():
        display, _ = draw(name)
        if hasattr(display, "html"):
            head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{drawing.title}'
            page = f"{head}</title>\n<body>{display.html()}</body></html>\n"
        elif display.is_interactive:
            page = display.plotly().to_html(include_plotlyjs=script, div_id=name)
        else:
            continue
        write_text(folder / f"{name}.html", page)
        found.append(name)
    return found


# -- the folder -----------------------------------------------------------------------------------


def make(names: Sequence[str], folder: Path) -> None:
    """Draw figures into a folder and bring its index up to date."""
    shown = {}
    for name in names:
        start = time.perf_counter()
        shown[name], made = pictures(name)
        for file, content in made.items():
            with rename_into(folder / file) as temporary:
                temporary.write_bytes(content)
        sizes = ", ".join(f"{file} {len(content) / 1000:.0f} kB" for file, content in made.items())
        print(f"{name:20} {sizes} ({time.perf_counter() - start:.1f} s)", flush=True)
    shown |= {name: FIGURES[name].make() for name in FIGURES.keys() - names}
    for path in left_over(folder):
        path.unlink()
    write_text(folder / INDEX, index(shown))


def left_over(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to no figure."""
    known = {INDEX, *OTHERS, *map(picture_name, FIGURES)}
    known |= {f"{name}.svg" for name, drawing in FIGURES.items() if drawing.svg}
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return [p for p in paths if p.name not in known and not p.name.startswith(".")]


def index(shown: Mapping[str, Any]) -> str:
    """Return the page that shows every figure with its words, its code, its data and its command.

    Args:
        shown: Displays by name.
    """
    lines = [
        "# Figures",
        "",
        "Drawn from [`data/`](data) by `make figures` (a minute); `make measure` measures the data",
        "again (hours). `tools/make_figures.py` writes this page too, and a test fails when a",
        "picture here is not what its data and drawing give. Hollow grey or dashed: the paper's",
        "numbers; filled and coloured: ours.",
        "",
        "`make figures` also writes `html/`: interactive forms that open without a network.",
    ]
    for name, drawing in FIGURES.items():
        display = shown[name]
        kind = type(display)
        home = f"{kind.__module__}.{kind.__qualname__}"
        words = " ".join(display.summary.split())
        picture = picture_name(name)
        lines += ["", f"## {drawing.title}", "", f"![Described below.]({picture})", "", words, ""]
        parts = [f"[{picture[-3:].upper()}]({picture})"]
        parts += [f"[SVG]({name}.svg)"] if drawing.svg else []
        data = ", ".join(f"[{file}](data/{file})" for file in drawing.data)
        parts.append(f"data: {data}" if data else drawing.source or PAPER)
        path = f"../{kind.__module__.replace('.', '/')}.py"
        parts.append(f"drawn by [`{home.removeprefix('nmlib.')}`]({path})")
        parts += [f"notebook [{file[:2]}](../notebooks/{file})" for file in usage.notebooks(home)]
        parts.append(f"again: `python tools/make_figures.py {name}`")
        lines.append("; ".join(parts) + ".")
    lines += ["", "## Pictures of the running explorer", ""]
    lines += [
        f"- [{file}]({file}): {words} Made by `{maker}`."
        for file, (maker, words) in OTHERS.items()
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


# -- stale? ---------------------------------------------------------------------------------------


def same_look(old: bytes, new: bytes) -> bool:
    """Say whether two pictures look the same, but for their palettes and a machine's last bits."""
    if old == new:
        return True
    before, now = (np.asarray(Image.open(io.BytesIO(p)).convert("RGB"), int) for p in (old, new))
    return before.shape == now.shape and np.mean(np.abs(before - now).max(-1) > 64) < 1e-4


def stale(folder: Path, names: Sequence[str] | None = None) -> list[str]:
    """Say what in a folder is not what its data and the code give, and why; [] if all is well.

    Pictures are compared with the matplotlib that is pinned: another one places labels elsewhere.
    """
    pinned = f"matplotlib=={matplotlib.__version__}\n" in (ROOT / "constraints.txt").read_text()
    found, shown = [], {}
    for name in FIGURES if names is None else names:
        picture = folder / picture_name(name)
        shown[name], figure = draw(name)
        with plain_style():
            now = as_pixels(figure, FIGURES[name])
        svg = folder / f"{name}.svg"
        if not picture.exists() or (FIGURES[name].svg and not svg.exists()):
            found.append(f"{name}: has not been drawn")
        elif pinned and not same_look(picture.read_bytes(), now):
            found.append(f"{name}: looks different when it is drawn now")
    if names is None:
        found += [f"{path.name}: belongs to no figure of tools/make_figures.py"
                  for path in left_over(folder)]  # fmt: skip
        page = folder / INDEX
        if not page.exists() or page.read_text(encoding="utf-8") != index(shown):
            found.append(f"{INDEX}: is not what the figures say")
    return found


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
    names = arguments.names or list(FIGURES)
    make(names, arguments.out)
    write_pages(arguments.out / "html")
    shutil.copyfile(
        Path(plotly.__file__).parent / "package_data/plotly.min.js",
        arguments.out / "html/plotly.min.js",
    )
    print(f"{len(names)} figures in {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
