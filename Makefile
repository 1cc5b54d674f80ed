# Two commands do everything: `make serve` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: serve test lint format lock clean

serve: $(VENV)/.installed
	@exec $(BIN)/sampan serve $(if $(CONFIG),--config $(CONFIG))

test: $(VENV)/.installed-dev
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

lock:
	uv pip compile -q pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate -o requirements.lock
	uv pip compile -q pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
