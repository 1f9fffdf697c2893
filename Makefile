# Every target works on a fresh clone with only Python >= 3.11 and make: the first one builds .venv from the lock file.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# pytest-xdist workers: one more than cores, since tests of real processes wait for one another
JOBS   ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
DEMO   ?=
# what `make bench` measures; NAME=sparse takes another twenty minutes, NAME=he takes two
NAME   ?= kernels start round growth memory relayed peers server analyses

.PHONY: help demo test quick check dist interpreters docs bench oracles fuzz fuzz-api soak crash crash-sites kills many-runs omop coverage mutation vectors model lock format clean
help:            ## list these targets
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	@echo "building $(VENV) from requirements.lock (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m secagg.kernels
	@touch $@

demo: $(READY)   ## fit a Cox model over nine institutions, one of which is killed (DEMO="--kill 2 --json")
	@$(BIN)/secagg-coordinator demo $(DEMO)

test: $(READY)   ## run the whole test suite
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests

# Under a minute on two cores once mypy's cache is warm. The list of tests is tests/quick.txt.
quick: check     ## what make check does, and the tests that matter most
	$(BIN)/python -m pytest -n $(JOBS) @tests/quick.txt

check: $(READY)  ## check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)   ## build the documentation site in build/site, without a network; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet
	@echo "built build/site; look at it with: python -m http.server --directory build/site"

# What needs a package index is skipped, by name, where there is none.
dist: $(READY)   ## build wheel and source archive in dist/; try the wheel with each extra alone in a clean environment
	$(BIN)/python -m tests.release

interpreters: $(READY) ## run the tests of make quick under each Python that the classifiers name and that is installed
	$(BIN)/python -m tests.release.interpreters

bench: $(READY)  ## measure, store and draw the results (NAME="peers server"); JSON: python -m bench NAME --json
	@for name in $(NAME); do $(BIN)/python -m bench $$name --keep || exit 1; done
	$(BIN)/python -m bench.plot
	$(BIN)/python -m bench.readme

oracles: $(READY) ## compare every analysis to a trusted library on all rows in one table; results in bench/results
	$(BIN)/python -m tests.oracles

# Half of the time for mutated frames of real runs, half for coverage-guided fuzzing if atheris is available.
fuzz: $(READY)   ## fuzz every decoder and machine for MINUTES (default 10)
	$(BIN)/python -m tests.fuzz --seconds $$((30 * $(or $(MINUTES),10)))
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
	    --requirement tests/fuzz/requirements.lock && $(BIN)/python -c "import atheris"; \
	then $(BIN)/python -m tests.fuzz.guided --seconds $$((30 * $(or $(MINUTES),10))); \
	else echo "SKIPPED: atheris is not available for this platform, so coverage-guided fuzzing did not run"; fi

fuzz-api: $(READY) ## fuzz the relay's interface from its OpenAPI document: CASES (default 50000) in at most MINUTES (30)
	$(BIN)/python -m tests.fuzz.api --cases $(or $(CASES),50000) --seconds $$((60 * $(or $(MINUTES),30)))

soak: $(READY)   ## run cohorts behind a hostile relay, with crashes, for MINUTES (default 10)
	$(BIN)/python -m tests.machine.soak --minutes $(or $(MINUTES),10)

# Coverage cannot see into compiled kernels: they run a second time as plain Python, whose integers warn where compiled ones
# wrap.
coverage: $(READY) ## branch coverage of secagg/; fails below 100 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n $(JOBS) tests/unit/secagg tests/vectors tests/reject tests/machine tests/property tests/meta
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -n 0 -W "ignore:overflow encountered:RuntimeWarning" \
	  tests/unit/secagg/test_kernels.py tests/unit/secagg/test_packing.py tests/unit/secagg/test_shamir.py \
	  tests/unit/secagg/test_quantize.py tests/unit/secagg/test_masks.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=100

mutation: $(READY) ## which small faults in protocol, codec, messages and Shamir do tests detect? for MINUTES (default 15)
	$(BIN)/python -m tests.mutation --minutes $(or $(MINUTES),15)

crash: $(READY)  ## kill the relay at KILLS (default 500) random moments, on both databases
	KILLS=$$(($(or $(KILLS),500) / 2)) $(BIN)/python -m pytest -s -n 0 --timeout 3600 tests/services/relay/test_crashes.py -k random

crash-sites: $(READY) ## kill sites during whole runs, KILLS (default 1000) times in at most MINUTES (default 30)
	KILLS=$(or $(KILLS),1000) SECONDS=$$((60 * $(or $(MINUTES),30))) ROUNDS=20 \
	  $(BIN)/python -m pytest -s -n 0 --timeout 7200 tests/e2e/test_kills.py

kills: $(READY)  ## kill coordinator and standby at KILLS (default 300) labelled points, for at most MINUTES (30)
	KILLS=$(or $(KILLS),300) MINUTES=$(or $(MINUTES),30) $(BIN)/python -m pytest -s -n 0 --timeout 7200 tests/services/coordinator/test_kills.py

many-runs: $(READY) ## RUNS (default 20) concurrent runs of as many projects, over one relay and SITES (default 30)
	RUNS=$(or $(RUNS),20) SITES=$(or $(SITES),30) $(BIN)/python -m pytest -s -n 0 --timeout 3600 tests/services/coordinator/test_many_runs.py

omop: $(READY)   ## Cox model over four OMOP databases of PERSONS (default 100000), beside SQL by hand and lifelines
	PERSONS=$(or $(PERSONS),100000) $(BIN)/python -m pytest -s -n 0 --timeout 900 tests/services/participant/test_cohort.py

replay: $(READY) ## replay every analysis RUNS (default 200) times on other arithmetic, and QUERIES (10000) that do not follow
	RUNS=$(or $(RUNS),200) QUERIES=$(or $(QUERIES),10000) \
	  $(BIN)/python -m pytest -n $(JOBS) --timeout 7200 tests/unit/participant/study/test_replay.py

vectors: $(READY) ## regenerate vectors from the independent reference, and the specification's tables
	$(BIN)/python -m specs.generate

model: $(READY)  ## search the model of epoch and round; print what holds, and a trace of what breaks
	$(BIN)/python -m specs.model

lock: $(READY)   ## regenerate the lock files (versions and hashes only); needs uv on the path
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra all --group dev --group docs --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra relay --extra postgres --extra objects --constraint requirements.lock \
	  --output-file relay/deploy/container/requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra participant --extra mongo --extra readstat --extra postgres-source --constraint requirements.lock \
	  --output-file participant/deploy/container/requirements.lock pyproject.toml
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra coordinator --extra cluster --constraint requirements.lock \
	  --output-file coordinator/deploy/container/requirements.lock pyproject.toml

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
