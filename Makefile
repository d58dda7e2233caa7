# Two commands do all the set-up on a fresh machine with Python 3.11 and make:
#   make demo     read a graph from another framework, run it, fine-tune it, write it back
#   make test     the tests
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
WORKERS ?= 2

# what `make fuzz` draws its mutants by, and for how long; a campaign goes on where it was
FUZZ_SEED ?= 0
FUZZ_SECONDS ?= 60

.PHONY: demo test test-long check docs format fuzz bench transfer clean

demo: $(READY)
	$(BIN)/nirjax demo

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-long: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# the documentation, in site/: built strictly, then searched for broken links, anchors and pictures
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	$(BIN)/python tools/check_site.py site

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(READY)
	cd tests && $(abspath $(BIN))/python -m fuzzing --seed $(FUZZ_SEED) --seconds $(FUZZ_SECONDS) --state ../.fuzz-$(FUZZ_SEED).json

# makes environments of its own for the peers; see benchmarks/run.py --help
bench: $(READY)
	$(BIN)/python benchmarks/run.py

# networks from snnTorch, carried to other frameworks and back; see python -m benchmarks.transfer.run --help
transfer: $(READY)
	$(BIN)/python -m benchmarks.transfer.run

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[plot,nir,test,docs]"
	touch $(READY)

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
