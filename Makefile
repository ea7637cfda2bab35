# Everything a person types. Each target makes what it needs first; a second run starts at once.
#
#   make demo        Claude Code answers from a vLLM on this machine    (QUESTION="…" to ask your own)
#   make test        every test: real engine and real Claude Code included, no GPU, no cluster
#   make cluster-images test-cluster   the stack on the Kubernetes of KUBECONFIG; its node is here
#   make test-failed the tests that failed last, one after the other
#   make test-fast   the quick tests, for the inner loop: no engine, no network, nothing in tests/slow.txt
#   make lint        ruff, mypy, notebooks
#   make notebooks   write each notebook anew from its percent source
#   make lab         JupyterLab on notebooks/     (ARGS="--port 8890" for another port)
#   make docs        write docs/commands.md anew from the commands, ARCHITECTURE.md's map from the imports
#   make site        docs/ and every README as a site with a search, in build/site/index.html
#   make pictures    the README's pictures anew, from notebooks in a real JupyterLab
#   make bench       what the proxy adds, against its rivals, in one run     (RIVALS=1 installs them)
#   make bench-preemption   how long a request that matters waits, stock against the hook
#   make mutants     small changes of the code that some test has to notice   (PIECES="window verdict")
#   make audit       bandit, the locks, and a bill of materials (build/sbom.json)
#   make advisories  what the locks install, against the databases of advisories (needs them)
#   make lock        write locks/ and constraints.txt anew, from the newest versions allowed

PYTHON ?= python3
VENV ?= .venv
QUESTION ?= What is the capital of France?
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
RUN = $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test test-failed cluster-images test-cluster test-cluster-failed test-fast lint format notebooks lab docs site pictures bench \
  bench-preemption mutants audit advisories lock clean

help:
	@sed -n '3,19s/^# *//p' Makefile

$(VENV)/.core: pyproject.toml locks/core.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1)"; \
	  echo "  what to do: install it, then: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; }
	@PYTHONPATH=. $(PYTHON) -m autosre_lab.provision $(VENV) locks/core.txt -e
	@touch $@

$(VENV)/.all: $(VENV)/.core locks/all.txt
	@PYTHONPATH=. $(PYTHON) -m autosre_lab.provision $(VENV) locks/all.txt
	@touch $@

demo: $(VENV)/.core
	@$(RUN) -m autosre_lab demo -- "$$AUTOSRE_QUESTION"
demo: export AUTOSRE_QUESTION = $(QUESTION)

# Several workers, because most of what takes time waits; tests that share a real engine, a
# JupyterLab or a Chromium stay together (tests/conftest.py).
WORKERS ?= 3
PARALLEL = -n $(WORKERS) --dist loadgroup

# pytest's own exit code is kept for .ci/run: 1 says that all were run and some failed.
PYTEST = mkdir -p build; $(RUN) -m pytest $(1); code=$$?; echo $$code > build/pytest-exit; exit $$code

test: $(VENV)/.all
	$(call PYTEST,$(PARALLEL) -m "not cluster" $(ARGS))

# What failed a moment ago, alone: is a test wrong, or had it too little of the machine?
AGAIN = --last-failed --last-failed-no-failures none --maxfail 5 -v
test-failed: $(VENV)/.all
	$(RUN) -m pytest $(AGAIN) -n 1 --dist loadgroup -m "not cluster"

# The images, built with debootstrap and buildah. AUTOSRE_IMAGE_IMPORT is what imports an archive
# into the node's containerd, "k3s ctr images import" by default.
cluster-images: $(VENV)/.all
	$(RUN) -m tests.cluster.real_images

# After cluster-images; needs no network but the cluster's.
test-cluster: $(VENV)/.all
	$(call PYTEST,-m cluster tests/cluster)
test-cluster-failed: $(VENV)/.all
	$(RUN) -m pytest $(AGAIN) -m cluster tests/cluster

# Each worker reads all test files first, so more than two gain nothing here.
test-fast: $(VENV)/.all
	$(RUN) -m pytest -n 2 --dist loadgroup -m "not slow and not engine and not claude and not codex and not notebook and not wheel and not cluster and not browser"

lint: $(VENV)/.all
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/.all
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

notebooks: $(VENV)/.all
	$(RUN) -m jupytext --to ipynb notebooks/*.py
	$(RUN) -m nbstripout notebooks/*.ipynb

lab: $(VENV)/.all
	$(RUN) -m jupyter lab --notebook-dir notebooks $(ARGS)

docs: $(VENV)/.all
	$(RUN) -m autosre_lab.cli.reference docs/commands.md
	$(RUN) -m tests.import_map ARCHITECTURE.md

# An environment of its own: Sphinx asks for much that nothing here needs.
$(VENV)-site/.done: locks/docs.txt
	@PYTHONPATH=. $(PYTHON) -m autosre_lab.provision $(VENV)-site locks/docs.txt
	@touch $@

site: $(VENV)-site/.done
	@rm -rf build/site
	@PYTHONPATH=. $(VENV)-site/bin/python docs/site/assemble.py build/site-src
	PYTHONPATH=. $(VENV)-site/bin/python -m sphinx -q -c docs/site build/site-src build/site
	@echo "the site is in build/site/index.html"

pictures: $(VENV)/.all
	$(RUN) -m tests.notebooks.pictures

bench: $(VENV)/.all
	$(RUN) -m autosre_lab study proxy-overhead $(if $(RIVALS),--install-rivals --rivals litellm$(comma)ccr) $(ARGS)
comma := ,

bench-preemption: $(VENV)/.core
	@$(RUN) -m autosre_lab study preemption $(ARGS)

$(VENV)/.mutants: $(VENV)/.all locks/mutants.txt
	$(PIP) install --quiet --require-hashes --no-deps --requirement locks/mutants.txt
	@touch $@

mutants: $(VENV)/.mutants
	$(RUN) -m tests.mutants $(PIECES)

# An environment of its own: these tools ask for much that nothing here needs.
$(VENV)-audit/.done: locks/audit.txt
	@test -x $(VENV)-audit/bin/python || $(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
	  --no-deps --requirement locks/audit.txt
	@touch $@

audit: $(VENV)/.all $(VENV)-audit/.done
	$(VENV)-audit/bin/bandit --quiet --configfile pyproject.toml --recursive autosre_lab
	$(RUN) -m pytest -q tests/test_locks.py
	@mkdir -p build
	$(VENV)-audit/bin/cyclonedx-py environment --output-file build/sbom.json $(RUN)

# --strict: without it, packages that the database does not know pass in silence.
advisories: $(VENV)-audit/.done
	$(VENV)-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement locks/all.txt
	@for lock in autosre_lab/provision/locks/*/package-lock.json; do \
	  echo "$$lock"; npm audit --package-lock-only --prefix "$$(dirname $$lock)" || exit 1; done

# 3.11.2 is Debian 12's Python, the oldest that everything here is installed with.
LOCK = $(VENV)-lock/bin/uv pip compile --quiet --python-version 3.11.2 --generate-hashes \
  --no-annotate --custom-compile-command "make lock"
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet uv
	$(LOCK) --upgrade --all-extras pyproject.toml locks/build.in --output-file locks/all.txt
	$(LOCK) --constraint locks/all.txt pyproject.toml locks/build.in --output-file locks/core.txt
	$(LOCK) --upgrade --constraint locks/all.txt locks/audit.in --output-file locks/audit.txt
	$(LOCK) --upgrade --constraint locks/all.txt locks/docs.in pyproject.toml --output-file locks/docs.txt
	$(LOCK) --upgrade --constraint locks/all.txt locks/mutants.in --output-file locks/mutants.txt
	$(LOCK) --upgrade tests/proxy/responses/sdks/agents.in --output-file tests/proxy/responses/sdks/agents.txt
	{ sed -n '/^#/p' constraints.txt; \
	  sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' locks/all.txt; } > constraints.new
	mv constraints.new constraints.txt && rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock $(VENV)-audit $(VENV)-site build .pytest_cache .mypy_cache .ruff_cache .hypothesis
