# Each target makes .venv first when it is missing; all that is needed is Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO := data/runs/demo
MINUTES ?= 6
TEXT ?= The little boat crossed the lake.
PAPERMILL := $(BIN)/papermill --kernel python3 --cwd notebooks --log-output --no-progress-bar

# A file stays in one process, where its tests share what they trained; the longest files come first.
PYTEST := $(BIN)/python -m pytest tests/notebooks tests/vertex_workbench tests -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-all lab lint bench

demo: $(INSTALLED)  ## sample corpus -> spectrograms -> six minutes of training -> gibberish, and TEXT
	mkdir -p $(DEMO)
	$(PAPERMILL) notebooks/02_build_spectrograms.ipynb $(DEMO)/02_build_spectrograms.ipynb \
		-p metadata sentences.csv -p align True -p overlap 0.5
	$(PAPERMILL) notebooks/03_train_ddpm.ipynb $(DEMO)/03_train_ddpm.ipynb -p name demo \
		-p condition phones -p max_minutes $(MINUTES)
	$(PAPERMILL) notebooks/04_sample_and_listen.ipynb $(DEMO)/04_sample_and_listen.ipynb -p run demo \
		-r text "$(TEXT)"
	$(BIN)/jupyter nbconvert --log-level WARN --to html $(DEMO)/04_sample_and_listen.ipynb
	@echo "Listen: $(DEMO)/04_sample_and_listen.html, or $(DEMO)/said/*.wav and $(DEMO)/gibberish/*.wav"

test: $(INSTALLED)  ## in two processes, minutes
	$(PYTEST) -m "not slow"

test-slow: $(INSTALLED)  ## what is too slow for it
	$(PYTEST) -m slow

test-all: test test-slow

lab: $(INSTALLED)
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck vertex_workbench/startup.sh findings/*.sh

bench: $(INSTALLED)  ## beside what a user would take instead; nothing else should run meanwhile
	$(BIN)/python tests/benchmarks

# torch comes first: its exact version keeps pip from looking at any other build.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(INSTALLED)
