# make demo: environment, pipeline on the synthetic twin, what was found.  make test: the tests.
# Each sets itself up in .venv; PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CONFIG ?= config/config.yaml
# Of `make update`: a date that takes the place of as_of, and a profile, say profiles/slurm.
AS_OF ?=
PROFILE ?=
# Extra words for pip when it installs torch, say an index that holds CPU builds for your platform.
TORCH_PIP_OPTIONS ?=
PIP := $(BIN)/pip install --disable-pip-version-check

# $(call quietly,WHAT,LOG,COMMANDS): one line and the time it took; what the commands say goes to LOG, and its end
# is shown where they fail.
quietly = @printf '%s ... ' '$(1)'; begun=$$(date +%s); \
	if { $(3); } > $(2) 2>&1; then echo "$$(($$(date +%s) - begun)) s"; \
	else status=$$?; echo failed; tail -n 25 $(2) >&2; echo "the whole log: $(2)" >&2; exit $$status; fi

# $(call workflow,CONFIG,TARGET): one line a stage. Its stderr, a remark on the profile at least, is shown where it fails.
workflow = @mkdir -p .snakemake/log; \
	$(BIN)/snakemake --logger slipscan --configfile $(1) $(ASKED) -- $(2) 2> .snakemake/log/stderr.txt \
	|| { status=$$?; sed '/^Using .*profile/d' .snakemake/log/stderr.txt >&2; exit $$status; }

.PHONY: demo naf naf-real test test-slow test-slurm lint types update setup bench-skill weights lock clean

setup: $(STAMP)

# Torch first: where no accelerator is seen its pinned release is taken, so that the open range in
# pyproject.toml does not pull the newest build with several gigabytes of CUDA libraries where a smaller one is at hand.
torch = if command -v nvidia-smi; then echo "an accelerator is seen: torch as pip finds it"; \
	else $(PIP) $(TORCH_PIP_OPTIONS) "$$(grep '^torch==' requirements.lock)" numpy; fi

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "slipscan needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "this Python has no venv module: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	$(call quietly,installing into $(VENV) (log: $(VENV)/install.log),$(VENV)/install.log, \
	  { $(torch); } && $(PIP) --constraint requirements.lock --editable ".[dev]")
	@touch $(STAMP)

demo: $(STAMP)
	$(call workflow,config/demo.yaml,all)
	@$(BIN)/slipscan summary results/demo

# The North Anatolian test: the synthetic twin at full size, from the archive to the verdicts, beside its truth.
naf: $(STAMP)
	$(call workflow,config/naf.yaml,all results/naf/NAF-TWIN/agreement.csv)
	@$(BIN)/slipscan bench twin results/naf NAF-TWIN results/naf/twin.md

# The same fault with real data: the public stations, or your own (config/naf-real.yaml).
naf-real: $(STAMP)
	$(call workflow,config/naf-real.yaml,manifests)
	$(call workflow,config/naf-real.yaml,all)
	@$(BIN)/slipscan score results/naf-real/catalogue.gpkg --known config/known_events.csv

update: ASKED = $(if $(PROFILE),--workflow-profile $(PROFILE)) $(if $(AS_OF),--config as_of=$(AS_OF))
# Two invocations: a search that found nothing new must not rerun what follows (docs/workflow.md).
update: $(STAMP)
	$(call workflow,$(CONFIG),manifests)
	$(call workflow,$(CONFIG),all)

test: $(STAMP)
	@$(BIN)/pytest -m "not slow and not slurm" --numprocesses auto --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)
	@$(BIN)/pytest -m "slow and not slurm"

# Root, Debian or Ubuntu: a cluster of this host alone (tests/slurm/cluster.py), which is stopped at the end.
test-slurm: TESTED := dev,slurm
test-slurm: $(STAMP)
	$(call quietly,the packages of Slurm,$(VENV)/slurm.log,$(BIN)/python tests/slurm/cluster.py install \
	  && $(PIP) --constraint requirements.lock --editable ".[$(TESTED)]")
	@$(BIN)/pytest -m slurm -x tests/slurm

lint: $(STAMP)
	$(call quietly,ruff check,$(VENV)/lint.log,$(BIN)/ruff check src tests)
	$(call quietly,ruff format,$(VENV)/lint.log,$(BIN)/ruff format --check src tests)
	$(call quietly,snakefmt,$(VENV)/lint.log,$(BIN)/snakefmt --check Snakefile workflow/rules)
	$(call quietly,snakemake --lint,$(VENV)/lint.log,$(BIN)/snakemake --configfile config/demo.yaml --lint)

types: $(STAMP)
	$(call quietly,mypy,$(VENV)/types.log,$(BIN)/mypy)

# The published table: hours on two cores; rows are kept in results/bench, a second run goes on there.
bench-skill: $(STAMP)
	@$(BIN)/slipscan bench skill --plan benchmarks/skill/slipbench.yaml --plan benchmarks/skill/long.yaml \
		--method all --out benchmarks/skill/results --page docs/benchmarks/skill.md

# A slice of 75 minutes of the training under way (config/train.yaml), from where the last one stopped.
weights: $(STAMP)
	@mkdir -p weights && { test -e weights/slipscan-2.checkpoint || cp benchmarks/training/slipscan-2.c* weights/; }
	@$(BIN)/slipscan train weights/slipscan-2.safetensors --config config/train.yaml

# Into a file first: a pip that fails must not empty the lock.
lock: $(STAMP)
	$(call quietly,requirements.lock,$(VENV)/lock.log, \
	  $(BIN)/pip freeze --disable-pip-version-check --exclude-editable > $(VENV)/freeze.txt \
	  && sed 's/+cpu//; s/+cu[0-9]*//; /^nvidia-/d' $(VENV)/freeze.txt > requirements.lock)

# What the demo wrote, by name; what else lies in results/ is yours, and so are cache/ (`slipscan cache prune`) and
# .snakemake, which knows about your other runs.
TWIN := ISMT-TWIN
clean:
	@if [ -d results/demo ]; then cd results/demo \
	  && rm -rf -- $(foreach store,observations stack noise denoised transients,$(TWIN)/*/$(store).zarr) \
	  && rm -f -- catalogue.gpkg catalogue.json report.html map.png \
	    $(foreach table,manifest.csv inventory.csv calibration.json,$(TWIN)/*/$(table)) \
	    $(foreach table,events.parquet completeness.parquet gnss.parquet truth.json increment.json,$(TWIN)/$(table)) \
	    $(TWIN)/increments/[0-9][0-9][0-9][0-9][0-9]-*.parquet $(TWIN)/increments/.read.arrow $(TWIN)/stations/*.tenv3 \
	    $(TWIN)/stations/.snakemake_timestamp $(TWIN)/stations/.slipscan.json \
	    $(foreach depth,* $(TWIN)/* $(TWIN)/*/*,logs/$(depth).log benchmarks/$(depth).tsv) \
	  && find . -mindepth 1 -depth -type d -empty -delete \
	  && echo "results/demo: what the demo wrote is deleted, $$(find . -type f | wc -l) other files stay"; fi
