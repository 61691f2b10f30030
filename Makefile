# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
SAME_RUNTIME := onnxruntime==1.32.0 opencv-python-headless==5.0.0.93
BIN := $(VENV)/bin
REQUIREMENTS := requirements/all.txt requirements/uv.txt
export UV_LINK_MODE ?= hardlink
export PYTHONDONTWRITEBYTECODE ?=

.PHONY: help setup demo test bench-data bench-tracking bench-check-ins bench-mlflow-differential bench-mlflow-flavours bench-serving soak fuzz check format lint types requirements clean

help:            ## what there is to run
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 18

setup: $(VENV)/.ready ## create .venv with pinned, hash-checked dependencies

$(VENV)/.ready: $(REQUIREMENTS) pyproject.toml packages/sightloop-ultralytics/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Sightloop needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/all.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
	  -e . -e packages/sightloop-ultralytics
	@touch $@

demo: setup      ## turn the whole loop once on generated images (about 8 minutes)
	$(BIN)/sightloop demo

test: setup      ## run every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

bench-data: setup ## measure datasets beside DVC and Oxen (about 25 minutes; ARGS="--only NAME")
	$(BIN)/python -m bench.data $(ARGS)

check: setup     ## format, lint, types, tests, architecture
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(MAKE) test

format: setup    ## rewrite the sources in the project's format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

requirements:    ## compile the pinned, hashed requirement files anew
	scripts/compile-requirements

.bench/mlflow/.ready:
	$(BIN)/uv venv --quiet .bench/mlflow
	$(BIN)/uv pip install --quiet --python .bench/mlflow/bin/python mlflow==3.17.2 psycopg2-binary
	@touch $@

bench-tracking: setup .bench/mlflow/.ready ## measure tracking beside MLflow's server (about 40 minutes; needs the network once)
	$(BIN)/python -m bench.tracking --tools .bench/mlflow/bin $(ARGS)

bench-check-ins: setup ## measure ten thousand devices that check in (about 8 minutes)
	$(BIN)/python -m bench.check_ins $(ARGS)

bench-mlflow-differential: setup .bench/mlflow/.ready ## compare our MLflow answers with those of mlflow 3.17.2 (needs the network once)
	$(BIN)/python -m bench.mlflow_differential .bench/mlflow/bin

.bench/flavours/.ready:
	$(BIN)/uv venv --quiet .bench/flavours
	$(BIN)/uv pip install --quiet --python .bench/flavours/bin/python \
	  mlflow==3.17.2 scikit-learn lightning torch==2.15.0 ultralytics==8.4.190
	@touch $@

bench-mlflow-flavours: setup .bench/flavours/.ready ## run MLflow's flavours against our server and theirs (about 15 minutes; needs the network once)
	$(BIN)/python -m bench.mlflow_flavours .bench/flavours/bin

.bench/litserve/.ready:
	$(BIN)/uv venv --quiet .bench/litserve
	$(BIN)/uv pip install --quiet --python .bench/litserve/bin/python litserve==0.2.19 $(SAME_RUNTIME)
	@touch $@

.bench/bentoml/.ready:
	$(BIN)/uv venv --quiet .bench/bentoml
	$(BIN)/uv pip install --quiet --python .bench/bentoml/bin/python bentoml==1.4.40 $(SAME_RUNTIME)
	@touch $@

# Its worker processes do not start with newer releases of uvloop.
.bench/mlserver/.ready:
	$(BIN)/uv venv --quiet .bench/mlserver
	$(BIN)/uv pip install --quiet --python .bench/mlserver/bin/python mlserver==1.7.1 'uvloop<0.22' $(SAME_RUNTIME)
	@touch $@

bench-serving: setup .bench/litserve/.ready .bench/bentoml/.ready .bench/mlserver/.ready ## measure serving beside LitServe, BentoML and MLServer, and 500 swaps (about 40 minutes; needs the network once)
	$(BIN)/python -m bench.serving $(ARGS)

soak: setup      ## the long forms of tests (ARGS="NAME" runs one)
	$(BIN)/python -m bench.soak $(ARGS)

fuzz: setup      ## every parser of the device and its HTTP interface, for minutes
	SIGHTLOOP_FUZZ_EXAMPLES=20000 $(BIN)/python -m pytest -q --timeout 3600 tests/device/test_fuzz.py
	SIGHTLOOP_FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest -q --timeout 3600 tests/device/test_openapi.py

clean:           ## remove what set-up and tests made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis sightloop-demo
