# make demo    the main job on the built-in sound set, on a fresh machine: about 4 minutes after installation
# make test    the tests          make check   format, lint, types, structure          make bench   the benchmarks
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two workers with one thread each: faster on two cores than one worker with two.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: demo test check bench install clean

demo: $(INSTALLED)
	$(BIN)/earwitness demo --out demo

test: $(INSTALLED)
	$(PYTEST) -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(PYTEST) tests/test_architecture.py tests/test_docs.py

bench: $(INSTALLED)
	$(BIN)/python benchmarks/prepare_speed.py

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,video,onnx]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist
