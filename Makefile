# make demo: environment, pipeline on the synthetic twin, what was found.  make test: the tests.
# Each sets itself up in .venv; PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONFIG ?= config/config.yaml
# Extra words for pip when it installs torch, say an index that holds CPU builds for your platform.
TORCH_PIP_OPTIONS ?=
SNAKEMAKE := $(BIN)/snakemake --quiet progress

.PHONY: demo test test-slow lint types update setup bench-skill weights lock clean

setup: $(STAMP)

# Torch first: where no accelerator is seen its pinned release is taken, so that the open range in
# pyproject.toml does not pull the newest build with several gigabytes of CUDA libraries where a smaller one is at hand.
$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "slipscan needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "this Python has no venv module: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@if command -v nvidia-smi >/dev/null 2>&1; then echo "an accelerator is seen: torch as pip finds it"; \
	  else $(BIN)/pip install --quiet --disable-pip-version-check $(TORCH_PIP_OPTIONS) "$$(grep '^torch==' requirements.lock)" numpy; fi
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable ".[dev]"
	@touch $(STAMP)

demo: $(STAMP)
	$(SNAKEMAKE) --configfile config/demo.yaml -- manifests
	$(SNAKEMAKE) --configfile config/demo.yaml -- all
	@$(BIN)/slipscan summary results/demo

# Two invocations: a search that found nothing new must not rerun what follows (docs/workflow.md).
update: $(STAMP)
	$(SNAKEMAKE) --configfile $(CONFIG) -- manifests
	$(SNAKEMAKE) --configfile $(CONFIG) -- all

test: $(STAMP)
	$(BIN)/pytest -m "not slow" --numprocesses auto --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)
	$(BIN)/pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --configfile config/demo.yaml --lint

types: $(STAMP)
	$(BIN)/mypy

# The published table: hours on two cores; rows are kept in results/bench, a second run goes on there.
bench-skill: $(STAMP)
	$(BIN)/slipscan bench skill --method all --out benchmarks/skill/results --page docs/benchmarks/skill.md

# A slice of 90 minutes of the training of the shipped weights, from the checkpoint in benchmarks/training.
weights: $(STAMP)
	$(BIN)/slipscan train benchmarks/training/slipscan-1.safetensors --config config/train.yaml

lock: $(STAMP)
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu//; s/+cu[0-9]*//' | grep -v '^nvidia-' > requirements.lock

clean:
	rm -rf results cache .snakemake
