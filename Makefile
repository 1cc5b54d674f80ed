# Two commands do everything: `make serve` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# Its builds for CPUs and for CUDA go by one version and by different hashes: pip chooses what fits the machine.
TORCH  := torch==2.13.0

CONSOLE := sampan/console/site/index.html

.PHONY: serve qwen console test lint format lock clean

# The gateway serves without its console, too, and says so.
serve: $(VENV)/.installed
	@$(MAKE) --no-print-directory console || true
	@exec $(BIN)/sampan serve $(if $(CONFIG),--config $(CONFIG))

# What the engines `qwen_vl` and `qwen_image` run on: several GB with CUDA, 1 GB without.
qwen: $(VENV)/.installed-qwen

# The web console, from its sources: npm fetches what builds it (200 MB, once).
console: $(CONSOLE)

$(CONSOLE): $(VENV)/.installed $(shell find console -path console/node_modules -prune -o -type f -print)
	@$(BIN)/python scripts/build_console.py

test: $(VENV)/.installed-dev $(VENV)/.installed-qwen $(CONSOLE)
	@scripts/debian-packages
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Sampan needs Python 3.11 or later: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Versions and hashes are pinned; the package itself is installed in place.
$(VENV)/.installed: $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "Installing what Sampan needs (about 300 MB, once) ..."
	$(PIP) install --quiet --require-hashes -r requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing what the tests need ..."
	$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.installed-qwen: $(VENV)/.installed requirements-qwen.lock
	@echo "Installing what Qwen runs on (1 GB, with CUDA several) ..."
	$(PIP) install --quiet $(TORCH)
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-qwen.lock
	@touch $@

lock:
	uv pip compile -q pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate -o requirements.lock
	uv pip compile -q pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate -c requirements.lock -o requirements-dev.lock
	uv pip compile -q pyproject.toml --extra qwen --extra export --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate -c requirements-dev.lock --override scripts/torch-elsewhere.txt \
		--no-emit-package torch --no-emit-package openvino-telemetry --no-emit-package setuptools \
		-o requirements-qwen.lock

clean:
	rm -rf $(VENV) sampan/console/site console/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
