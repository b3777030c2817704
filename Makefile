# A fresh machine needs Python >= 3.11, pip and make. Every target sets up what it needs; the stamp
# names the extras, so that a changed set, or changed requirements, installs again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS ?= torch,umap,dev
stamp = $(VENV)/.installed-$(subst $(comma),-,$(1))
comma := ,
STAMP := $(call stamp,$(EXTRAS))
DOCS_STAMP := $(firstword $(foreach s,$(wildcard $(VENV)/.installed-*),$(if $(findstring docs,$(s)),$(s))) $(call stamp,torch$(comma)jax$(comma)docs))
DEMO_STAMP := $(firstword $(wildcard $(STAMP)) $(call stamp,torch))
WORKERS ?= 2

.PHONY: demo test test-all lint types bench architecture shipped docs links setup clean

demo: $(DEMO_STAMP)
	$(BIN)/lyapmap spectrum --model cycle-mnist-012-replay --out report
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

# Every example and notebook is run; warnings are errors. The first page: docs/_build/html/index.html
docs: $(DOCS_STAMP)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html

# Whether what other sites are linked to is there still.
links: $(DOCS_STAMP)
	$(BIN)/python -m sphinx -b linkcheck --quiet docs docs/_build/links

architecture: $(STAMP)
	$(BIN)/python tests/imports_picture.py

shipped: $(STAMP)
	$(BIN)/python tests/shipped_index.py

setup: $(STAMP)

$(VENV)/.installed-%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(subst -,$(comma),$*)]"
	# It asks for torchvision, which lyapmap does without, and which must be of torch's own kind (CPU, CUDA).
	$(if $(findstring dev,$*),$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps onnx2pytorch)
	touch $@

clean:
	rm -rf $(VENV) report docs/_build docs/api docs/gallery .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
