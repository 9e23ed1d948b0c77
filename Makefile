# Two commands to begin with: `make lab` opens the workbench, `make report` runs the main job without a browser.
# Each target sets up what it needs; PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV ?= .venv
# Windows (with Git's shell and make) puts an environment's programs elsewhere.
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
EXE := .exe
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Jupyter refuses to run as root unless told that this is meant.
ROOT := $(shell [ "$$(id -u)" = 0 ] && echo --allow-root)

.PHONY: lab serve report test whole test-vision coverage bench gpu fuzz kills soak check docs wheel screenshots lessons notebooks slides clean

lab: $(VENV)/.ready
	$(BIN)/jupyter lab $(ROOT) notebooks/workbench.ipynb

serve: $(VENV)/.ready-page
	$(BIN)/workbench serve

report: $(VENV)/.ready
	$(BIN)/workbench run --subject digits-resnet --recipe notebooks/digits-resnet.recipe.json --scan \
		--out out/digits-resnet --report report.html

test: $(VENV)/.ready-test
	@sh tests/browser/chromium.sh
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# Also the cases that `make test` leaves out to stay short.
whole: $(VENV)/.ready-test
	@sh tests/browser/chromium.sh
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal --whole

# torchvision, timm and what transformers shows of pictures want another torch than the tested one, and several gigabytes: an environment of its own.
test-vision:
	$(PYTHON) -m venv .venv-vision
	grep -v '^torch==' constraints.txt > .venv-vision/constraints.txt
	printf 'torch==2.14.1\ntorchvision==0.29.1\n' >> .venv-vision/constraints.txt
	.venv-vision/bin/python -m pip install --quiet -c .venv-vision/constraints.txt --editable '.[test,vision,text]'
	.venv-vision/bin/python -m pytest tests/vision --override-ini=addopts=--import-mode=importlib

# Every operation on many nets, beside torch-pruning: docs/coverage.md. It goes on where it was stopped; NETS are globs
# such as 'own:*', and AGAIN=--again tries what was tried anew.
NETS ?= *
coverage: .venv-vision/.ready-coverage
	PYTHONPATH=. OMP_NUM_THREADS=1 .venv-vision/bin/python -W ignore -m tests.coverage $(AGAIN) '$(NETS)'

.venv-vision/.ready-coverage: pyproject.toml constraints.txt
	test -d .venv-vision || $(PYTHON) -m venv .venv-vision
	grep -v '^torch==' constraints.txt > .venv-vision/constraints.txt
	printf 'torch==2.14.1\ntorchvision==0.29.1\n' >> .venv-vision/constraints.txt
	.venv-vision/bin/python -m pip install --quiet -c .venv-vision/constraints.txt --editable '.[coverage]'
	touch $@

bench: $(VENV)/.ready-test
	$(BIN)/python -m pytest tests/benchmarks -s --override-ini=addopts=--show-capture=stdout

# Times on a GPU beside the CPU's, and whether scores agree; below eight minutes. Without one: make gpu DEVICE='cpu --epochs 1'
DEVICE ?= cuda
gpu: $(VENV)/.ready-test
	PYTHONPATH=. $(BIN)/python -W ignore -m tests.benchmarks.gpu --device $(DEVICE)

# COUNT damaged inputs of each kind: make fuzz COUNT=100000
COUNT ?= 20000
fuzz: $(VENV)/.ready-test
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.fuzz --count $(COUNT)

# KILLS processes killed while they write: make kills KILLS=1000
KILLS ?= 200
kills: $(VENV)/.ready-test
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.kills --count $(KILLS)

# EVENTS random events on a session and its panel: make soak EVENTS=1000
EVENTS ?= 10000
soak: $(VENV)/.ready-test
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.soak --count $(EVENTS)

check: $(VENV)/.ready-test
	$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check . && $(BIN)/python -m mypy

# Static pages in site/. Links that lead nowhere are errors; the examples on them are run by `make test`.
docs: $(VENV)/.ready-docs
	$(BIN)/python -m mkdocs build
	@echo "open site/index.html, or with search: $(BIN)/python -m http.server --directory site"

# Every lesson of the course from the first cell to the last, with its solutions: LESSONS='pruning grids' for some.
LESSONS ?=
lessons: $(VENV)/.ready-test
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python -m tests.lessons.executing $(LESSONS)

# The learners' notebooks, made of lessons/, which holds the solutions.
notebooks: $(VENV)/.ready
	$(BIN)/python -m workbench.lessons.publish

# The lessons' text and questions as slides, in site/slides.
slides: $(VENV)/.ready
	$(BIN)/python -m nbconvert --to slides --output-dir site/slides notebooks/lessons/*.ipynb

wheel: $(VENV)/.ready-test
	$(BIN)/python -m build --wheel

# PARTS are names in tests/browser/screenshots.py, for whom some views are enough: make screenshots PARTS='over long'
PARTS ?=
screenshots: $(VENV)/.ready-test
	@sh tests/browser/chromium.sh
	$(BIN)/python tests/browser/screenshots.py docs build/screenshots $(PARTS)

$(BIN)/python$(EXE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) has no ensurepip; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python$(EXE)
	$(PIP) --editable .
	touch $@

$(VENV)/.ready-page: pyproject.toml constraints.txt | $(BIN)/python$(EXE)
	$(PIP) --editable '.[page]'
	touch $@ $(VENV)/.ready

$(VENV)/.ready-test: pyproject.toml constraints.txt | $(BIN)/python$(EXE)
	$(PIP) --editable '.[test,distributed,page]'
	touch $@ $(VENV)/.ready $(VENV)/.ready-page

$(VENV)/.ready-docs: pyproject.toml constraints.txt | $(BIN)/python$(EXE)
	$(PIP) --editable '.[docs]'
	touch $@ $(VENV)/.ready

clean:
	rm -rf $(VENV) .venv-vision dist build site out .pytest_cache .mypy_cache .ruff_cache
