# make demo    the main job on the built-in sound set, on a fresh machine: about 4 minutes after installation
# make test    the tests          make check   format, lint, types, structure
# make bench   all benchmarks, half an hour               make bench-quick   a first look, 3 minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two workers with one thread each: faster on two cores than one worker with two.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: demo test check bench bench-quick install clean

demo: $(INSTALLED)
	$(BIN)/earwitness demo --out demo

test: $(INSTALLED)
	$(PYTEST) -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(PYTEST) tests/test_architecture.py tests/test_docs.py

# Each answers one question and writes benchmarks/results/; then the tables of benchmarks/RESULTS.md are made anew.
BENCHMARKS := tag_windows training_step features startup long_files many_files peers growth

bench: $(INSTALLED)
	for each in $(BENCHMARKS); do $(BIN)/python benchmarks/$$each.py || exit 1; done
	$(BIN)/python benchmarks/tables.py

bench-quick: $(INSTALLED)
	for each in $(BENCHMARKS); do $(BIN)/python benchmarks/$$each.py --quick || exit 1; done

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,video,onnx,serve,live]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist
