# Every target sets up what it needs. On a fresh machine: `make demo`, then `make test`.

VENV := .venv
BIN := $(VENV)/bin
# The newest Python that is really there (a version manager's shim may stand for one that is not installed).
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-linux-service test-windows-service test-slow lint format bench packages windows \
	picture lock servers clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 24

setup: $(VENV)/installed ## make .venv with the locked packages

$(VENV)/installed: uv.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Rollcall needs Python 3.11 or newer; install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; install the package python3-venv" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; \
		uv = next(p for p in tomllib.load(open("uv.lock", "rb"))["package"] if p["name"] == "uv"); \
		print("uv==" + uv["version"], *("--hash=" + wheel["hash"] for wheel in uv["wheels"]))' > $(VENV)/uv.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/uv.txt
	$(BIN)/uv export --quiet --frozen --extra demo --all-groups --no-emit-project --output-file $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The extra "kerberos" is built from source, against headers that `servers` installs; the demo must do without.
$(VENV)/kerberos: $(VENV)/installed | servers
	$(BIN)/uv export --quiet --frozen --extra kerberos --all-groups --no-emit-project --output-file $(VENV)/kerberos.txt
	$(BIN)/python -m pip install --quiet --require-hashes --no-build-isolation --requirement $(VENV)/kerberos.txt
	touch $@

demo: setup ## the whole product on an embedded directory and an embedded SCIM service
	$(BIN)/rollcall demo

servers: ## install the Debian packages of the real servers the tests need
	packaging/install-test-servers

# Half of the time a test waits for a server.
WORKERS ?= $(shell expr $$(nproc) + 1)
test: servers $(VENV)/kerberos ## every test but the slow proofs, against real servers
	$(BIN)/python -m pytest -m "not slow_proof" --ignore=tests/installed --numprocesses=$(WORKERS) --dist=worksteal --durations=15

test-linux-service: setup ## the deb and the rpm below a real systemd in a container (as root); RELEASE=trixie: another Debian
	packaging/install-test-servers --packages
	RELEASE=$(RELEASE) $(BIN)/python -m pytest tests/installed $(ON_WINDOWS:%=--ignore=%) --numprocesses=2 --durations=10

ON_WINDOWS := tests/installed/test_msi.py tests/installed/test_units_on_windows.py tests/installed/test_windows_service.py
test-windows-service: setup ## the MSI, installed below Wine, and single parts run by a Windows Python there
	packaging/install-test-servers --windows
	$(BIN)/python -m pytest $(ON_WINDOWS) --durations=10

test-slow: servers $(VENV)/kerberos ## the slow proofs
	$(BIN)/python -m pytest -m slow_proof

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --no-warn-unreachable --package agent.service.windows

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup servers ## measure, and print figures and ratios
	$(BIN)/python -m benchmarks.ldap_read
	$(BIN)/python -m benchmarks.idle_cycle

packages: setup ## build the wheel, the source distribution, the deb and the rpm into dist/
	$(BIN)/python -m hatchling build
	$(BIN)/python packaging/build_linux.py

windows: setup ## build the MSI into dist/; EMBEDDABLE=ZIP SHA256=HEX: with python.org's Python, for use
	packaging/install-test-servers --windows
	$(BIN)/python packaging/build_windows.py $(if $(EMBEDDABLE),--embeddable $(EMBEDDABLE) --sha256 $(SHA256))

picture: setup ## make the README's picture of the demo
	$(BIN)/rollcall demo --picture packaging/pictures/demo.svg

lock: setup ## bring uv.lock up to date with pyproject.toml; UPGRADE=1 takes newer versions
	$(BIN)/python packaging/lock.py $(if $(UPGRADE),--upgrade)

clean: ## remove what the other targets made
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
