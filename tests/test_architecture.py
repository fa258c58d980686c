"""The shape of the code: layers, who may import what, no hidden chance, no machine in it."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "nmlib").rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
IDS = [str(path.relative_to(ROOT)) for path in FILES]

_GRAPH = grimp.build_graph("nmlib", cache_dir=None)
# What each module imports, wherever in it the import stands.
GRAPH = {name: _GRAPH.find_modules_directly_imported_by(name) for name in _GRAPH.modules}

each_file = pytest.mark.parametrize("path", FILES, ids=IDS)


def area(path):
    """Name of the module or package directly under nmlib that a file belongs to."""
    return path.relative_to(ROOT / "nmlib").parts[0].removesuffix(".py")


def imported(node):
    """Top names that an import statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {node.module}
    return set()


def imports(tree, *, at_import=False):
    """All modules imported in a file, or only those imported when the file itself is."""
    found = set()

    def visit(node):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if at_import and (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or typing_only):
            return
        found.update(imported(node))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return {name.split(".")[0] for name in found}


def test_layers():
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_the_library_imports_nothing_of_the_lab():
    """Not inside functions either; only the command line and `python -m nmlib` stand above it."""
    above = [
        name
        for name, imported in GRAPH.items()
        if any(lower.startswith("nmlib.lab") for lower in imported)
        and name.split(".")[1:2] not in (["lab"], ["cli"], ["__main__"])
    ]
    assert above == []


def test_the_imports_have_no_cycle():
    """Not inside functions either."""
    TopologicalSorter(GRAPH).prepare()


def private(path):
    """Names that begin with `_` and belong to another module, or to another folder if modules."""
    here = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nmlib"):
            for alias in node.names:
                name = [*node.module.split("."), alias.name]
                hidden = (k for k, part in enumerate(name) if part[0] == "_" and part[1] != "_")
                if any(here[:k] != name[:k] for k in hidden):
                    yield ".".join(name)


@each_file
def test_private_names_stay_in_their_folder(path):
    assert list(private(path)) == []


# What draws and what talks to a browser may load the packages for it.
FRONT = {"display", "displays", "displays.py", "explorer", "panel", "speed.py"}
HEAVY = {"matplotlib", "plotly", "ipywidgets", "anywidget", "traitlets", "IPython"}
NETWORK = {
    "urllib", "urllib3", "http", "requests", "socket", "pooch", "ssl", "ftplib", "aiohttp", "httpx",
}  # fmt: skip


def in_front(path):
    return area(path) == "lab" and bool(FRONT & set(path.parts))


@each_file
def test_the_library_draws_nothing(path):
    assert in_front(path) or not imports(TREES[path]) & HEAVY


@each_file
def test_the_network_is_used_in_one_place(path):
    in_fetch = area(path) == "data" and "fetch" in path.name
    assert in_fetch or not imports(TREES[path]) & NETWORK


@each_file
def test_modules_import_torch_and_numpy_at_most(path):
    """Anything else is imported inside the functions that need it."""
    if in_front(path) and path.name != "__init__.py":
        return
    allowed = set(sys.stdlib_module_names) | {"torch", "numpy", "nmlib"}
    if path == ROOT / "nmlib/metrics/stateful.py":  # subclasses, imported when one is asked for
        allowed.add("torchmetrics")
    assert imports(TREES[path], at_import=True) <= allowed


# -- chance ---------------------------------------------------------------------------------------

TORCH_DRAWS = {
    "rand", "randn", "randint", "randperm", "bernoulli", "normal", "multinomial", "poisson",
    "rand_like", "randn_like", "randint_like",
}  # fmt: skip
IN_PLACE_DRAWS = {
    "normal_", "uniform_", "bernoulli_", "exponential_", "geometric_", "cauchy_", "random_",
    "log_normal_",
}  # fmt: skip


def hidden_chance(tree):
    """Yield calls that draw from, or seed, a global random source; ruff knows NumPy's."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, name = ast.unparse(node.func.value), node.func.attr
        explicit = any(keyword.arg == "generator" for keyword in node.keywords)
        if name == "default_rng" and not node.args:
            yield "default_rng without a seed"
        if owner == "torch" and name in TORCH_DRAWS and not explicit:
            yield f"torch.{name} without a generator"
        if name in IN_PLACE_DRAWS and not explicit and not owner.endswith("init"):
            yield f".{name} without a generator"
        if owner.endswith("init") and name.endswith("_") and not explicit:
            constant = name in ("zeros_", "ones_", "constant_", "eye_", "dirac_")
            if not constant:
                yield f"{owner}.{name} without a generator"
        if name in ("manual_seed", "seed") and owner in ("torch", "random", "torch.cuda"):
            yield f"{owner}.{name}"


# Where code of other people draws: it is seeded there, and the state is put back.
FOREIGN_DRAWS = ROOT / "nmlib/data/reading.py"


@each_file
def test_no_global_random_state(path):
    if path == FOREIGN_DRAWS:
        return
    assert "random" not in imports(TREES[path])
    assert list(hidden_chance(TREES[path])) == []


def test_hidden_chance_is_found():
    bad = """
np.random.default_rng()
torch.manual_seed(0)
torch.randn(3)
x.normal_()
nn.init.kaiming_normal_(w)
torch.randperm(3, device=d)
"""
    good = """
np.random.default_rng(seed)
torch.randn(3, generator=g)
x.normal_(generator=g)
nn.init.zeros_(w)
rng.numpy().normal()
"""
    assert len(list(hidden_chance(ast.parse(bad)))) == 6
    assert list(hidden_chance(ast.parse(good))) == []


# -- devices, names, paths ------------------------------------------------------------------------


def device_literals(tree):
    """Yield accelerators that are named outside comparisons and docstrings."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and node not in skipped
            and isinstance(node.value, str)
            and re.fullmatch(r"(cuda|mps|xpu)(:\d+)?", node.value)
        ):
            yield node.value
        if isinstance(node, ast.Attribute) and node.attr == "cuda":
            outer = ast.unparse(node.value)
            if outer != "torch":
                yield f"{outer}.cuda"


@each_file
def test_no_device_is_named(path):
    assert list(device_literals(TREES[path])) == []


def test_device_literals_are_found():
    bad = 'x.cuda()\ny.to("cuda")\nz = f(device="mps")\n'
    good = '"""cuda"""\nif device.type == "cuda":\n    torch.cuda.synchronize()\n'
    assert len(list(device_literals(ast.parse(bad)))) == 3
    assert list(device_literals(ast.parse(good))) == []


FORBIDDEN_NAME = re.compile(r"(^|_)(utils?|helpers?|process|misc|stuff)(_|$)|^_?do_")


@each_file
def test_names_say_what_they_mean(path):
    names = [path.stem, *path.relative_to(ROOT).parts]
    for node in ast.walk(TREES[path]):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
    assert [n for n in names if FORBIDDEN_NAME.search(n)] == []


def tracked_texts():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in listed.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in (".png", ".npz", ".gif", ".webp"):
            yield name, path.read_text(errors="replace")


# Written in pieces, so that this file passes its own test.
MACHINE = re.compile(
    r"(?<![\w./])/(" + "|".join(["ro" + "ot", "wo" + "rk", "ho" + "me"]) + r")/\w"
    r"|\.\./sha"
    + r"red\b|pypi\."
    + r"org|pythonhosted\."
    + r"org|download\.pytorch\."
    + r"org/(?!models/)"
    r"|registry\.npmjs\." + r"org|deb\.debian\." + r"org"
)


def test_no_file_names_a_machine():
    found = {name: match[0] for name, text in tracked_texts() if (match := MACHINE.search(text))}
    found.pop("tests/test_notebooks.py", None)  # breaks the rule on purpose
    assert found == {}


def test_the_front_end_loads_nothing_from_elsewhere():
    for path in (ROOT / "nmlib").rglob("*.js"):
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text()))
        assert {a for a in addresses if not a.startswith("http://www.w3.org/")} == set(), path


def test_machine_paths_are_found():
    for text in ("open('/ro" + "ot/x')", "see ../sha" + "red/x", "https://py" + "pi.org/simple"):
        assert MACHINE.search(text)
    for text in ("a/ro" + "ot/b", "framework/x", "the shared folder"):
        assert not MACHINE.search(text)
