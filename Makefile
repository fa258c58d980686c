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
# Test processes; the browser tests run after the others, alone.
WORKERS ?= 2
# More arguments for pytest, e.g. `make test PYTEST_ARGS="-k losses"`.
PYTEST_ARGS ?=
# More arguments for pip, e.g. an index of CPU-only builds of torch.
PIP_ARGS ?=
# Arguments for JupyterLab; in a container one is root, which it wants to hear.
LAB_ARGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

# An activated environment, conda or PYTHONPATH must not leak into ours.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV MPLBACKEND
unexport PYTEST_ADDOPTS VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Each does nothing if its packages are there; see tools/install.sh.
LAB := sh tools/install.sh $(VENV) lab --editable ".[lab]" -c constraints.txt $(PIP_ARGS)
TEST := sh tools/install.sh $(VENV) test --editable ".[test]" -c constraints.txt $(PIP_ARGS)
SITE := sh tools/install.sh $(VENV) site --editable ".[site]" -c constraints.txt $(PIP_ARGS)
COLAB := sh tools/install.sh $(COLAB_VENV) colab --editable ".[notebooks]" \
    -r tests/colab/requirements.txt nbval pytest $(PIP_ARGS)

.PHONY: help demo lab test test-rounding test-colab lint format figures measure bench docs site clean \
    lab-packages test-packages site-packages colab-packages

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: lab-packages  ## train the six toy schemes, write the figure, print the table
	@$(PY) -m nmlib.demo
	@echo
	@echo "To move the sliders yourself: make lab  (opens notebooks/00_start_here.ipynb)"

lab: lab-packages  ## open the start notebook in JupyterLab
	@$(PY) -m jupyterlab $(LAB_ARGS) notebooks/00_start_here.ipynb

test: lint  ## everything that CI checks but the older widget stack
	@status=0; \
	OMP_NUM_THREADS=1 $(PY) -m pytest --nbval -n $(WORKERS) --dist loadscope \
	    -m "not browser" $(PYTEST_ARGS) || status=$$?; \
	OMP_NUM_THREADS=1 $(PY) -m pytest -m browser tests/browser $(PYTEST_ARGS) || status=$$?; \
	exit $$status

test-rounding: test-packages  ## the numeric tests as other processors round (minutes)
	@$(PY) tools/other_processors.py --workers $(WORKERS) $(TESTS)

test-colab: colab-packages  ## execute all notebooks with Colab's older widget stack
	@$(COLAB_VENV)/bin/python tests/colab/run.py

lint: test-packages  ## style, types, layers
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check --quiet || { echo "Not formatted; run: make format"; exit 1; }
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command as main; main()' --no-cache

format: test-packages  ## put the code into form
	@$(PY) -m ruff format
	@$(PY) -m ruff check --fix

figures: lab-packages  ## draw every picture of figures/ from figures/data
	@OMP_NUM_THREADS=1 $(PY) tools/make_figures.py

measure: lab-packages  ## measure figures/data again (hours)
	@$(PY) tools/measure.py

# timm comes without what it depends on: that would bring another torch.
bench: test-packages  ## every speed against its peer, into build/bench (half an hour)
	@$(PY) -m pip install --quiet --no-deps "timm>=1.0.11"
	@$(PY) tools/measure.py --speed --into build/bench

docs: test-packages  ## write docs/equations.md and docs/deviations.md from the docstrings
	@$(PY) tools/equation_index.py

site: site-packages  ## write the static site to build/site and check its links
	@OMP_NUM_THREADS=1 $(PY) tools/build_site.py

clean:  ## remove the environments and caches
	rm -rf $(VENV) $(COLAB_VENV) build .pytest_cache .ruff_cache .mypy_cache

lab-packages:
	@$(LAB)

test-packages:
	@$(TEST)

site-packages:
	@$(SITE)

colab-packages:
	@$(COLAB)
