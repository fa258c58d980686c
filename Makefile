# Everything a reader or a developer does, in the project's own virtual environment.
# `make` alone lists the targets.
SHELL := /bin/sh
.SUFFIXES:
# Targets install into the same environment.
.NOTPARALLEL:
.DEFAULT_GOAL := help

VENV ?= .venv
COLAB_VENV ?= .venv-colab
PY := $(VENV)/bin/python
# Number of test processes. The browser tests run alone, after the others.
WORKERS ?= 2
# More arguments for pytest, e.g. `make test PYTEST_ARGS="-k losses"`.
PYTEST_ARGS ?=
# How notebooks are tested: their outputs must equal the committed ones.
COMPARED ?= --nbval
# More arguments for pip, e.g. an index of CPU-only builds of torch.
PIP_ARGS ?=
# Set in CI, where packages come from requirements/ by hash. Only torch is pinned by version alone,
# because its builds (CUDA, CPU) differ by machine and index.
LOCKED ?=
# Versions to install; `make test-lowest` writes its own file.
CONSTRAINTS ?= constraints.txt
# For `make version`.
VERSION ?=
# Set in CI: `make release` then takes a version that has no date yet.
REHEARSAL ?=
# Arguments for JupyterLab. It refuses to run as root, the user in containers, without this one.
LAB_ARGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

# An activated environment, conda or PYTHONPATH must not leak into ours.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV MPLBACKEND
unexport PYTEST_ADDOPTS VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Overrides a user's pip.conf.
export PIP_USER := 0
# pip, Jupyter and matplotlib need a writable home; containers may lack one.
ifneq ($(shell test -d "$$HOME" -a -w "$$HOME" && echo yes),yes)
export HOME := $(shell mkdir -p build/home && pwd)/build/home
endif

# Each does nothing if its packages are already installed; see tools/install.sh.
install = LOCK=$(if $(LOCKED),requirements/$1.txt) sh tools/install.sh
LAB := $(call install,ci) "$(VENV)" lab ".[lab]" -c "$(CONSTRAINTS)" $(PIP_ARGS)
TEST := $(call install,ci) "$(VENV)" test ".[test]" -c "$(CONSTRAINTS)" $(PIP_ARGS)
SITE := $(call install,ci) "$(VENV)" site ".[site]" -c "$(CONSTRAINTS)" $(PIP_ARGS)
COLAB := $(call install,colab) "$(COLAB_VENV)" colab ".[notebooks]" \
    -r tests/colab/requirements.txt $(PIP_ARGS)

.PHONY: help demo lab test test-rounding test-colab test-3.12 test-3.13 test-lowest test-newest lint format figures \
    measure bench wheel address version release docs site lessons slides lock clean suite lab-packages test-packages site-packages colab-packages

help:  ## this list
	@grep -E '^[a-z0-9.-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: lab-packages  ## train the six toy schemes, write the figure, print the table
	@"$(PY)" -m nmlib.lab.toy.demo
	@echo
	@echo "To move the sliders yourself: make lab  (opens notebooks/00_start_here.ipynb)"

lab: lab-packages  ## open the start notebook in JupyterLab
	@"$(PY)" -m jupyterlab $(LAB_ARGS) notebooks/00_start_here.ipynb

test: lint  ## everything that CI checks, except the older widget stack
	@status=0; \
	OMP_NUM_THREADS=1 "$(PY)" -m pytest --nbval -n $(WORKERS) --dist loadscope \
	    -m "not browser" $(PYTEST_ARGS) || status=$$?; \
	OMP_NUM_THREADS=1 "$(PY)" -m pytest -m browser tests/browser $(PYTEST_ARGS) || status=$$?; \
	exit $$status

test-rounding: test-packages  ## the numeric tests with the rounding of other processors (minutes)
	@"$(PY)" tools/other_processors.py --workers $(WORKERS) $(TESTS)

test-colab: colab-packages  ## execute all notebooks with Colab's older widget stack
	@"$(COLAB_VENV)/bin/python" tests/colab/run.py

# For a Python with another name: make test-3.12 PYTHON=/path/to/python
test-3.12:  ## all tests but the browser's under Python 3.12
	@PYTHON=python3.12 $(MAKE) suite VENV=.venv-3.12

test-3.13:  ## the same under Python 3.13
	@PYTHON=python3.13 $(MAKE) suite VENV=.venv-3.13

# Older versions print and draw slightly differently, so notebooks and figures are not compared.
test-lowest:  ## the same with the lowest versions that pyproject.toml declares
	@mkdir -p build
	@grep -oE '"[a-z0-9-]+(\[[a-z]+\])?>=[0-9.]+"' pyproject.toml | \
	    sed -E 's/"|\[[a-z]+\]//g; s/>=/==/' >build/lowest.txt
	@PYTHON=python3.11 $(MAKE) suite VENV=.venv-lowest CONSTRAINTS=build/lowest.txt \
	    COMPARED="--nbval-lax --ignore=tests/test_figures.py"

# pip chooses the newest that the declared bounds allow.
test-newest:  ## the same with the newest versions there are
	@mkdir -p build
	@: >build/newest.txt
	@$(MAKE) suite VENV=.venv-newest CONSTRAINTS=build/newest.txt \
	    COMPARED="--nbval-lax --ignore=tests/test_figures.py"

suite: test-packages
	@OMP_NUM_THREADS=1 "$(PY)" -m pytest $(COMPARED) -n $(WORKERS) --dist loadscope \
	    -m "not browser" $(PYTEST_ARGS)

lint: test-packages  ## style, types, layers
	@"$(PY)" -m ruff check
	@"$(PY)" -m ruff format --check --quiet || { echo "Not formatted; run: make format"; exit 1; }
	@"$(PY)" -m mypy
	@"$(PY)" -c 'from importlinter.cli import lint_imports_command as main; main()' --no-cache

format: test-packages  ## format the code
	@"$(PY)" -m ruff format
	@"$(PY)" -m ruff check --fix

figures: lab-packages  ## draw every picture of figures/ from figures/data
	@OMP_NUM_THREADS=1 "$(PY)" tools/make_figures.py

measure: lab-packages  ## measure figures/data again (hours)
	@"$(PY)" tools/measure.py

bench: test-packages  ## every speed against its peer, into build/bench (half an hour)
	@"$(PY)" tools/measure.py --speed --into build/bench

wheel: lab-packages  ## write the wheel to dist/; for Colab, upload it beside the notebook
	@"$(PY)" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/nmlib-*.whl

# As a word of the command line only: some environments have a variable of this name.
address: lab-packages  ## write the public address everywhere: URL=https://... a new one, URL= none
	@"$(PY)" tools/address.py $(if $(findstring command,$(origin URL)),--set "$(URL)")

version: lab-packages  ## write VERSION=... (default: the present one) and today's date where they stand
	@"$(PY)" tools/release.py --set "$(VERSION)"

# The site is made by the environment that has everything.
release: site lessons  ## all files of a release into dist/, tried without the checkout; ALL=1 runs all notebooks
	@"$(PY)" tools/release.py $(if $(ALL),--all) $(if $(REHEARSAL),--rehearse)

docs: test-packages  ## write the pages of docs/ that come from the code: equations, deviations, methods, audit
	@"$(PY)" tools/equation_index.py

site: site-packages  ## write the static site to build/site; a warning is an error
	@rm -rf build/site docs/api
	@OMP_NUM_THREADS=1 "$(PY)" -m sphinx -q -j auto -W --keep-going -c docs -d build/doctrees . build/site
	@echo build/site/index.html
	@"$(PY)" tools/site_weight.py

# EXECUTE=1 runs all of them as well, for minutes.
lessons: site-packages  ## write notebooks for students and for instructors, and the slides, to build/lessons
	@"$(PY)" tools/lessons.py $(if $(EXECUTE),--execute)

slides: site-packages  ## write the slides of the lessons alone to build/lessons/slides
	@"$(PY)" tools/lessons.py --slides

# One file for every platform and Python, with hashes and without the name of a registry.
compile = "$(PY)" -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url pyproject.toml
without_torch = awk '/^[^ ]/ { keep = !/^(torch==|triton==|nvidia-|cuda-)/ } keep'

lock: test-packages  ## write requirements/: what CI installs, newest within constraints.txt
	@"$(PY)" -m pip install --quiet uv
	@mkdir -p build
	@$(compile) -c constraints.txt --extra test --extra site >build/ci.txt
	@$(without_torch) build/ci.txt >requirements/ci.txt
	@$(compile) --extra notebooks tests/colab/requirements.txt >build/colab.txt
	@$(without_torch) build/colab.txt >requirements/colab.txt

clean:  ## remove the environments and caches
	rm -rf "$(VENV)" "$(VENV).lock" "$(COLAB_VENV)" "$(COLAB_VENV).lock" .venv-* build \
	    .pytest_cache .ruff_cache .mypy_cache

lab-packages:
	@$(LAB)

test-packages:
	@$(TEST)

site-packages:
	@$(SITE)

colab-packages:
	@$(COLAB)
