# make demo    set up, then run the main job on public data
# make test    set up, then pass the tests
# make check   ruff and mypy      make test-all   the slow tests too, many examples      make clean   undo setup
# make torture try to break a memory, for MINUTES=5 or until MINUTES=release; goes on where it stopped
# make docs    write what README, docs and examples print into them
#
# CPU-only torch on Linux, once a feature needs torch:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make setup
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.ready
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
# Data read in place from published wheels; their code and dependencies are not wanted.
DATA    = bfcl-eval==2026.3.23 inspect-evals==0.26.0 litellm==1.59.12
# Peers of the benchmarks, which ask for a build of faiss with CUDA; what they need is in the extra `rivals`.
PEERS   = memorizing-transformers-pytorch==0.4.1 block-recurrent-transformer-pytorch==0.4.4

.PHONY: setup demo test test-all torture check docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "agentmem needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "setup: installing agentmem and its dependencies into $(VENV) (once, some minutes) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -c constraints.txt -e ".[test]"
	@$(PIP) --no-deps $(DATA) $(PEERS)
	@touch $@
	@echo "setup: done"

demo: $(STAMP)
	@$(BIN)/agentmem demo

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist worksteal

test-all: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "" --hypothesis-profile=many

torture: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m torture $(if $(filter release,$(MINUTES)),--release,--minutes $(or $(MINUTES),5))

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(STAMP)
	@$(BIN)/python tests/test_docs.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
