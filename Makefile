# What a person does with a checkout, one target each; `make` alone lists them. Works with GNU make 3.81 (macOS) too.
#
# The virtual environment .venv belongs to this file. Its two stamps say what is in it, and each holds the path it was
# made at: packages know that path, so a copied or moved checkout sets itself up again. A stamp is written last, so an
# interrupted set-up leaves none, and the next one begins with an empty .venv.

PYTHON ?= python3
PORT ?=
TORCH_INDEX ?=
DATA ?=
FOLDS ?= 1
JOBS ?= 2
GROUPS ?=
HARNESSES ?=
ROOM ?= scoring

# HOST counts only when it is given to make: shells and compilers export a HOST that means something else.
ifneq ($(origin HOST),command line)
HOST :=
endif

READY := .venv/ready
READY_DEV := .venv/ready-dev
PIP := .venv/bin/python -m pip -qq --disable-pip-version-check
INSTALL := $(PIP) install --no-compile -c constraints.txt

# Python compiles what it imports and keeps it, also where the shell says not to: pip would compile all of torch, of which
# a tenth is ever imported.
export PYTHONDONTWRITEBYTECODE :=

WHOLE := $(shell test "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" && .venv/bin/python -c 'import pip' 2>/dev/null && echo yes)

.DELETE_ON_ERROR:
.PHONY: help run test quick browser postgresql lint format setup readme migration constraints bench bench-accuracy faults audit image clean always

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile
	@echo "variables: PYTHON=$(PYTHON) HOST=$(HOST) PORT=$(PORT) TORCH_INDEX=$(TORCH_INDEX)"

run: $(READY) ## set up what is missing, train the class example and serve it
	@.venv/bin/likely migrate
	@.venv/bin/likely demo
	@exec .venv/bin/likely serve $(if $(HOST),--host "$(HOST)") $(if $(PORT),--port "$(PORT)")

# Threads that wait for each other sleep (OMP_WAIT_POLICY): where they spin, those that they wait for have no core.
test: browser postgresql lint ## everything that must pass: lint, then the tests, and again on PostgreSQL
	@OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
	@OMP_WAIT_POLICY=PASSIVE TEST_DATABASE=postgresql .venv/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# What changed since the last commit, or is new.
CHANGED = $(shell git diff --name-only --diff-filter=d HEAD -- '*.py'; git ls-files --others --exclude-standard -- '*.py')

quick: $(READY_DEV) ## the short loop: lint of what changed, tests of models/ and of one room: make quick ROOM=scoring
	@$(if $(CHANGED),.venv/bin/ruff format --check $(CHANGED) && .venv/bin/ruff check $(CHANGED) && .venv/bin/mypy $(CHANGED))
	@.venv/bin/lint-imports
	@OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m pytest -q -n $(JOBS) --dist loadfile -m "not faults and not slow" tests/models tests/$(ROOM)

browser: $(READY_DEV) ## see that a Chromium is here to test the console in; on Debian root gets one
	@.venv/bin/python -m testbed.chromium

postgresql: $(READY_DEV) ## see that PostgreSQL's programs are here, or TEST_DATABASE_URL names a server
	@.venv/bin/python -m testbed.databases

lint: $(READY_DEV) ## format, lint, types and the import contract, checked only
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy --num-workers $(JOBS)
	@.venv/bin/lint-imports

format: $(READY_DEV) ## write the files as `make lint` wants them, where a tool can
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

setup: $(READY_DEV) ## only set up .venv, development tools included

$(READY): pyproject.toml constraints.txt $(if $(WHOLE),,always)
	@$(if $(WHOLE),,$(check_python))
	@echo "setting up .venv (a few minutes the first time)"
	@$(if $(WHOLE),rm -f $(READY) $(READY_DEV),"$(PYTHON)" -m venv --clear .venv)
# torch by itself first: TORCH_INDEX holds few other packages, and no other package gets to choose torch's build
	@$(INSTALL) --no-deps $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") torch
	@$(INSTALL) -e .
	@pwd -P > $@

$(READY_DEV): $(READY)
	@echo "adding the development tools to .venv"
	@rm -f $(READY) $@
	@$(INSTALL) -e ".[dev]"
	@pwd -P > $(READY) && pwd -P > $@

# One line of trouble and nothing else: $(error) stops make before the recipe's first command.
FOUND = $(shell "$(PYTHON)" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)
TOO_OLD = $(shell "$(PYTHON)" -c 'import sys; print("yes" if sys.version_info < (3, 11) else "")')
HAS_VENV = $(shell "$(PYTHON)" -c 'import ensurepip, venv; print("yes")' 2>/dev/null)
ANOTHER = name another, for example: make run PYTHON=python3.12
NO_PYTHON = no Python answers to "$(PYTHON)": install Python 3.11 or newer, or $(ANOTHER)
OLD_PYTHON = "$(PYTHON)" is Python $(FOUND), and 3.11 or newer is needed: $(ANOTHER)
NO_VENV = "$(PYTHON)" cannot make virtual environments: install them (on Debian: apt-get install python3-venv), or $(ANOTHER)
check_python = $(if $(FOUND),$(if $(TOO_OLD),$(error $(OLD_PYTHON)),$(if $(HAS_VENV),,$(error $(NO_VENV)))),$(error $(NO_PYTHON)))

readme: $(READY_DEV) ## write the outputs in README and docs/, and the lists of requests and settings (minutes)
	@.venv/bin/python -m tests.support.documents.readme

migration: $(READY_DEV) ## write the revision that brings the database to app/database/tables.py: make migration m="add api keys"
	@$(if $(m),,$(error say what the revision does: make migration m="add api keys"))
	@.venv/bin/python -c "$$NEW_REVISION" "$(m)"
	@.venv/bin/ruff check --fix-only --quiet migrations && .venv/bin/ruff format --quiet migrations

# The next revision, from the difference between the tables that the revisions make and app/database/tables.py; then Alembic's own
# check that with it no difference is left.
define NEW_REVISION
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.database.database import MIGRATIONS, Database

config = Config()
config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
number = 1 + len(list(ScriptDirectory.from_config(config).walk_revisions()))
with TemporaryDirectory() as folder:
    database = Database(f"sqlite:///{Path(folder) / 'empty.db'}")
    database.migrate()
    with database.engine.connect() as config.attributes["connection"]:
        command.revision(config, sys.argv[1], autogenerate=True, rev_id=f"{number:04d}")
    database.migrate()
    with database.engine.connect() as config.attributes["connection"]:
        command.check(config)
    database.close()
endef
export NEW_REVISION

constraints: ## resolve every dependency anew and write constraints.txt
	@$(check_python)
	@echo "resolving in an empty virtual environment (minutes)"
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	&& pip() { "$$folder/venv/bin/python" -m pip --disable-pip-version-check "$$@"; } \
	&& grep '^torch==' constraints.txt > "$$folder/torch.txt" \
	&& "$(PYTHON)" -m venv "$$folder/venv" \
	&& pip -qq install --no-deps $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") -r "$$folder/torch.txt" \
	&& pip -qq install -c "$$folder/torch.txt" -e ".[dev]" \
	&& grep '^#' constraints.txt > "$$folder/new.txt" \
	&& pip list --format=freeze --exclude likely --exclude pip > "$$folder/list.txt" \
	&& sed 's/+.*//' "$$folder/list.txt" >> "$$folder/new.txt" \
	&& cp "$$folder/new.txt" constraints.txt

# The peers that fit .venv come into it; the others get environments of their own, which the benchmark makes under .bench.
bench-accuracy: $(READY) ## measure accuracy beside peers, into docs/accuracy.md: make bench-accuracy DATA=path
	@$(if $(DATA),,$(error name an unpacked MovieLens folder: make bench-accuracy DATA=path/to/ml-latest-small))
	@$(INSTALL) -e ".[bench]"
	@TORCH_INDEX="$(TORCH_INDEX)" .venv/bin/python -m benchmarks.accuracy "$(DATA)" "$(FOLDS)"

bench: $(READY_DEV) ## measure speed beside peers, into docs/benchmarks.md: make bench DATA=path
	@$(if $(DATA),,$(error name an unpacked MovieLens folder: make bench DATA=path/to/ml-latest-small))
	@$(INSTALL) -e ".[bench]"
	@TORCH_INDEX="$(TORCH_INDEX)" .venv/bin/python -m benchmarks.speed "$(DATA)" $(GROUPS)

faults: $(READY_DEV) ## try to break every promise, a little first, then at full length (hours), into docs/track-record.md
	@.venv/bin/python -m pytest -m faults tests/harnesses
	@.venv/bin/python -m tests.faults $(HARNESSES)

audit: $(READY_DEV) ## ask whether a pinned dependency has a known vulnerability, as far as the index answers
	@.venv/bin/python -m tests.support.documents.audit

image: $(READY_DEV) ## execute the Dockerfile without a container engine, installations too (minutes)
	@TORCH_INDEX="$(TORCH_INDEX)" .venv/bin/python -m tests.support.documents.image

clean: ## remove .venv and every cache, never a database
	@rm -rf .venv .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist ./*.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +
