# Everything a developer runs. `make help` lists the targets.

PYTHON ?= python3
PRESET ?= quick
ARGS ?=
TASK_RELEASES = more-itertools==10.7.0 sqlparse==0.5.3

# Packages whose tests need nothing but pytest, and neighbouring releases of such packages.
MUTATIONS = mutations:funcy==2.1,parse==1.22.4,semver==3.1.2,w3lib==2.4.1,toolz==1.1.0,xmltodict==1.0.4?per_function=3&combined=40
RELEASE_PAIRS = releases:boltons==25.0.0..26.0.0..26.1.0,cachetools==7.1.0..7.2.0..7.2.1..7.2.2..7.2.3..7.2.4..7.2.5..7.2.6,cachetools==8.0.0..8.0.1,funcy==1.16..1.17..1.18,funcy==2.0..2.1,mistune==3.1.0..3.1.1,mistune==3.1.3..3.1.4,mistune==3.3.0..3.3.1,parse==1.20.0..1.20.1..1.20.2..1.21.0..1.21.1,parse==1.22.0..1.22.1..1.22.2..1.22.3..1.22.4,semver==3.0.1..3.0.2..3.0.4..3.1.0..3.1.1..3.1.2,sqlparse==0.4.2..0.4.3..0.4.4,sqlparse==0.5.0..0.5.1..0.5.2,sqlparse==0.5.4..0.5.5,w3lib==2.0.1..2.1.0..2.1.1,w3lib==2.2.0..2.2.1,w3lib==2.4.0..2.4.1,xmltodict==0.14.2..0.15.0..0.15.1..1.0.0..1.0.2

VENV = .venv
RUN = $(VENV)/bin/python
INSTALL = $(RUN) -m pip install --disable-pip-version-check -c constraints.txt
TRAIN = $(VENV)/.has-train
DEV = $(VENV)/.has-dev
TRL = $(VENV)/.has-trl
WEB = $(VENV)/.has-web
DOCKER = $(VENV)/.has-docker
# What developers' tools are installed beside; continuous integration adds more.
DEV_EXTRAS ?= train,docker,web,dev

.PHONY: help compare test check base-model tasks real-tasks sandbox-figures leak-figures \
	training-figures trac clean
.DEFAULT_GOAL = help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  make %-16s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  PYTHON=python3.12 picks the interpreter, ARGS="..." is passed on, PRESET=full is for compare.'

compare: $(TRAIN) ## Compare SFT, E2E and PivotRL; writes table, plots and report under runs/
	$(RUN) -m benchmarks.compare --preset $(PRESET) $(ARGS)

test: $(DEV) ## Run every test that can run on this machine
	$(RUN) -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

check: $(DEV) ## Check format, lint, types and import layers
	@status=0; \
	for command in "ruff format --check ." "ruff check ." mypy "lint-imports --no-logo"; do \
		echo "$$command"; $(VENV)/bin/$$command || status=1; \
	done; \
	exit $$status

base-model: $(WEB) ## Pretrain the shipped base model from nothing (hours)
	$(RUN) -m benchmarks.base_model $(ARGS)

tasks: $(TRAIN) ## Rebuild the shipped task file from the two source releases
	$(RUN) -m pivot_envs.coding build $(TASK_RELEASES) --no-statements \
		--out pivot_envs/coding/data/mutations.jsonl.zst $(ARGS)

real-tasks: $(TRAIN) ## Build and validate the big sets; the first run takes minutes, the next seconds
	$(RUN) -m pivot_envs.coding validate '$(MUTATIONS)' '$(RELEASE_PAIRS)' \
		--out runs/tasks/tasks.jsonl.zst --report runs/tasks/report.json $(ARGS)

sandbox-figures: $(DOCKER) ## Measure steps, snapshots and restores of the sandbox (ARGS="--sandbox docker")
	$(RUN) -m benchmarks.sandbox $(ARGS)

leak-figures: $(TRAIN) ## Run 2,000 episodes and show what has grown
	$(RUN) -m benchmarks.leaks $(ARGS)

training-figures: $(TRL) ## Measure the learner beside TRL, and pools of threads beside processes
	$(RUN) -m benchmarks.training_speed $(ARGS)
	$(RUN) -m benchmarks.pool_speed

trac: $(VENV)/trac/.installed ## Install Trac, on which foreign sites are tested, in an environment of its own

$(VENV)/trac/.installed: $(VENV)/.created
	$(PYTHON) -m venv --clear $(VENV)/trac
	$(VENV)/trac/bin/python -m pip install --disable-pip-version-check Trac==1.6 'setuptools<81'
	@touch $@

clean: ## Remove the virtual environment and caches; runs/ is kept
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The stamp is written last, so that an interrupted creation begins anew.
$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: no $(PYTHON) found; install it (Debian, Ubuntu: apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); name another one, as in: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot create virtual environments; install python3-venv (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(TRAIN): $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) -e '.[train]'
	@touch $@

$(WEB) $(DOCKER): $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) -e '.[train,$(@:$(VENV)/.has-%=%)]'
	@touch $@ $(TRAIN)

$(DEV): $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) -e '.[$(DEV_EXTRAS)]'
	@touch $@ $(TRAIN)

$(TRL): $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) -e '.[train,trl]'
	@touch $@ $(TRAIN)
