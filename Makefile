# One door. Every target sets itself up; CI runs the same ones.
PYTHON ?= python3
VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest

.PHONY: help dev bundle lint format type test test-random test-convert test-engines test-fault test-isolated test-defects demo docs bench clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16
dev:  ## the development environment in .venv, as locked
	@$(PYTHON) -m builder.bootstrap dev
bundle:  ## the starter bundle for this platform in dist/
	$(PYTHON) create_enterprise_offline.py
lint: dev  ## ruff: rules and format
	$(VENV)/ruff check . && $(VENV)/ruff format --check .
format: dev  ## let ruff format the code
	$(VENV)/ruff check --fix . && $(VENV)/ruff format .
type: dev  ## mypy, strict
	$(VENV)/mypy && $(VENV)/mypy -p ragtrace
test: dev  ## unit, contract, architecture and a bounded fault sweep; no network but loopback
	$(PYTEST) -n 2 -m "not isolated and not defects and not fault and not convert"
test-random: dev  ## the property tests with inputs never tried before; run it now and then
	RAGTRACE_TEST_RANDOM=1 $(PYTEST) -n 2 -m "not isolated and not defects and not fault and not convert" --hypothesis-show-statistics -q $$(grep -rl "^from hypothesis" tests --include=test_*.py)
test-convert: dev  ## model conversion for real: torch, ONNX, int8, in an environment of its own (one with test-engines)
	python="$$(PYTHON=$(PYTHON) sh tests/engines/prepare.sh)" && \
	RAGTRACE_TEST_CONVERT_PYTHON="$$python" $(PYTEST) -n 2 --dist loadfile tests/convert
test-engines: dev  ## every engine of models, beside FlagEmbedding and other libraries, in an environment of its own
	python="$$(PYTHON=$(PYTHON) sh tests/engines/prepare.sh)" && \
	HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 RAGTRACE_REQUIRE_ENGINES=1 PYTHONPATH=service/src "$$python" -m pytest tests/engines tests/service/contract/test_embedding.py tests/service/language tests/service/contract/test_language_model.py tests/service/asking/test_constrained.py
test-fault: dev  ## the whole fault sweep: every mutating operation
	$(PYTEST) -n 2 -m fault
test-isolated: dev  ## the whole way on an isolated host (root): real wheels, systemd, zero outbound attempts
	sh tests/isolated/prepare.sh
	RAGTRACE_TEST_CONNECTED=1 $(PYTEST) -m isolated
test-defects: dev  ## the table of injected defects on isolated hosts, two at a time (root); RAGTRACE_DEFECTS=all: every one mended
	sh tests/isolated/prepare.sh
	RAGTRACE_TEST_CONNECTED=1 $(PYTEST) -n 2 --dist loadfile -m defects
demo: dev  ## build → isolated host → install → question → validator → rollback, told as it goes (root)
	sh tests/isolated/prepare.sh
	$(VENV)/python -m tests.isolated.demo
docs: dev  ## write the generated parts of docs/ again
	$(VENV)/python -m docs.generate
bench: dev  ## the benchmarks, as ratios in one run; writes docs/benchmarks.md
	$(VENV)/python -m benchmarks
clean:  ## what was built here; the download cache stays
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache
