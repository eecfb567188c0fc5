# Everything from a fresh machine: Python 3.11 or later and make. `make help` lists the targets.
#
#   make test PYTHON=python3.12     another interpreter for the virtual environment
#   make test WORKERS=4             more processes for the slower tests
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test     the small torch without CUDA, on Linux

PYTHON  ?= python3
WORKERS ?= 2

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
PYTEST  := $(BIN)/python -m pytest -q

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test words layers models lint types format setup clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Convert and verify full-size ResNet50 and MobileNetV2, both ways.
	$(BIN)/python examples/demo.py

test: lint types words layers models ## Everything: style, types and the three tiers of tests.

words: $(STAMP) ## First tier: rules between plain records, and the doctests; no Keras, seconds.
	$(PYTEST) --doctest-modules src/xconv tests/words

layers: $(STAMP) ## Second tier: every layer against Keras.
	$(PYTEST) -n $(WORKERS) tests/layers

models: $(STAMP) ## Third tier: whole networks, files, the command line.
	$(PYTEST) -n $(WORKERS) --dist worksteal tests/models

lint: $(STAMP) ## Style, without changing anything.
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check

types: $(STAMP) ## mypy --strict on src.
	$(BIN)/mypy --no-error-summary

format: $(STAMP) ## Put the sources into shape.
	$(BIN)/ruff check --quiet --fix
	$(BIN)/ruff format --quiet

setup: $(STAMP) ## Only the virtual environment.

# torch comes first: what needs it then finds it and brings no other build. tf_keras and keras-hub ask for the package
# tensorflow, which would be installed over tensorflow-cpu; openvino for a package that reports to its maker.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "xconv needs Python 3.11 or later; give it as: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once, a few minutes)"
	@$(INSTALL) torch
	@$(INSTALL) -e ".[keras-cpu,onnx,zoo,report,dev]"
	@$(INSTALL) --no-deps tf_keras keras-hub kagglehub kagglesdk sentencepiece openvino
	@touch $@

clean: ## Remove caches and build outputs; .venv stays.
	rm -rf build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
