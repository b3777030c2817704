# A fresh machine needs Python >= 3.11, pip and make. Every target sets up what it needs; the stamp
# names the extras, so that a changed set, or changed requirements, installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= torch,umap,dev
stamp = $(VENV)/.installed-$(subst $(comma),-,$(1))
comma := ,
STAMP := $(call stamp,$(EXTRAS))
DEMO_STAMP := $(firstword $(wildcard $(STAMP)) $(call stamp,torch))
WORKERS ?= 2

.PHONY: demo test test-all lint types bench architecture shipped setup clean

demo: $(DEMO_STAMP)
	$(BIN)/lyapmap spectrum --model cycle-mnist-012 --out report
	@echo "open report/report.html"

test: lint types
	$(BIN)/python -m pytest -n $(WORKERS)

test-all: lint types
	$(BIN)/python -m pytest -n $(WORKERS) -m "slow or not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# LYAPMAP_PEERS names the Pythons, separated by colons, that have other packages.
bench: $(STAMP)
	$(BIN)/python benchmarks/peers/compare.py
	$(BIN)/python benchmarks/page.py

bench-tests: $(STAMP)
	$(BIN)/python -m pytest benchmarks -o addopts="" --benchmark-only --benchmark-columns=min,median,rounds

architecture: $(STAMP)
	$(BIN)/python tests/imports_picture.py

shipped: $(STAMP)
	$(BIN)/python tests/shipped_index.py

setup: $(STAMP)

$(VENV)/.installed-%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(subst -,$(comma),$*)]"
	touch $@

clean:
	rm -rf $(VENV) report .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
