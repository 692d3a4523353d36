# Every target first sets up .venv from requirements.lock, with uv where it is installed, else with pip; the work is done
# by the command `samebits` there. Settings: DATASETS="digits mnist", PORT, KIND, GATE (options of samebits gate),
# RECORD=yes (verify and machines add lines to claims/ledger.csv), TORCH=cpu (the small CPU build; README.md, "Set-up").

SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv

.PHONY: help demo repro test lint verify page machines versions gate reference ui promote serve wheel bench compare torture claims lock clean venv command install
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv ## the whole pipeline on small digits, in .demo/, without network
	@samebits demo

repro: venv ## the real thing: what params.yaml names
	@samebits repro
	@echo "look at reports/index.html; compare the runs with: make ui"

test: venv ## the tests
	python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder  # or the longest, one test alone, comes last

lint: venv ## style, format and types
	ruff check .
	ruff format --check .
	mypy

verify: venv ## does dvc.lock come out again? (DATASETS=digits: a minute)
	@samebits verify $(DATASETS) $(RECORD:%=--record)

page: venv ## verify.html: digits' models again, in a browser (docs/verify.md)
	@samebits page --repro

machines: venv ## the same bits on emulated processors (qemu-user-static)
	@samebits machines $(KIND:%=--kind %) $(RECORD:%=--record)

versions: ## the same bits on several versions of torch
	$(PYTHON) tests/versions.py

gate: venv ## is any result worse than the committed reference? (docs/gate.md)
	@samebits gate --repro $(DATASETS) $(GATE)

reference: venv ## the results as they are become the reference
	@samebits reference --repro $(DATASETS)

claims: venv ## dvc.lock anew, after a change that is meant
	@samebits claims

ui: venv ## the runs in MLflow (PORT=5000)
	@samebits ui $(PORT:%=--port %)

promote: venv ## the best run of each dataset becomes its champion
	@samebits promote $(DATASETS)

serve: venv ## a page to draw a digit on, and an HTTP API (PORT=8000)
	@$(if $(word 2,$(DATASETS)),$(error make serve takes one dataset, not "$(DATASETS)"))samebits serve $(DATASETS) $(PORT:%=--port %)

wheel: venv ## dist/samebits-*.whl: the arithmetic, and all as an extra
	rm -rf build
	.venv/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build samebits.egg-info

torture: venv ## kills, full disks, bad servers, mutated inputs (an hour)
	python -m tests.faults

compare: venv ## does exact training end where float32 does? (an hour)
	python -m benchmarks.compare

bench: venv ## what an epoch costs
	python -m benchmarks.epoch
	python -m benchmarks.lenet
	python -m benchmarks.busy

lock: ## new pins in requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra pipeline --extra cluster --group dev --universal --python-version 3.11 --generate-hashes \
	    --no-header --upgrade --output-file requirements.lock

clean: ## remove what make set up, but no result
	rm -rf .venv .demo .machines .versions dist dvc_plots .pytest_cache .mypy_cache .ruff_cache
	find samebits stages tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# By content, not by time: switching branches back and forth must not cost a set-up.
venv:
	@printf '%s\n' 'torch: $(TORCH)' | cat - requirements.lock | cmp -s - .venv/installed || \
	    $(MAKE) --no-print-directory install
	@test -x .venv/bin/samebits || $(MAKE) --no-print-directory command

# `samebits` runs the code of the folder that it is called in, as the stages do, else of this one: nothing is copied.
# `dvc` removes the outputs of a stage before it finds that `python` is not there, or another one.
command:
	@.venv/bin/python -c 'import site; open(site.getsitepackages()[0] + "/samebits.pth", "w").write("$(CURDIR)\n")'
	@printf '#!/bin/sh\nexec "$${0%%/*}/python" -m samebits "$$@"\n' > .venv/bin/samebits
	@printf '#!/bin/sh\n# with the Python that stages need, also where .venv is not activated, and a name for every user\n%s\n%s\n' \
	    'PATH="$(CURDIR)/.venv/bin:$$PATH" LOGNAME="$${LOGNAME:-$$(id -un 2> /dev/null || id -u)}"' \
	    'export PATH LOGNAME; exec python -m dvc "$$@"' > .venv/bin/dvc
	@chmod +x .venv/bin/samebits .venv/bin/dvc

# torch's CUDA libraries, which its CPU build does without, and torch itself, whose CPU build has other hashes
CUDA := ^(torch|torchvision|triton|nvidia-|cuda-)
TORCH_PINS = $(shell sed -nE 's/^((torch|torchvision)==[^ ]+).*/\1/p' requirements.lock)

# A .venv that is a link is another checkout's: to clear it would take that one's packages away.
install:
	@if [ -L .venv ]; then echo "error: .venv is a link to $$(readlink .venv), which has other packages than \
	requirements.lock: remove the link, and make sets up a .venv here" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "samebits needs Python 3.11 or newer: try make PYTHON=python3.12")'
	@echo "setting up .venv: some GB to fetch and unpack, a few minutes"
	$(PYTHON) -m venv --clear .venv
ifeq ($(TORCH),cpu)
	awk '/^[a-z]/ { keep = $$0 !~ /$(CUDA)/ } keep' requirements.lock > .venv/lock
else
	cp requirements.lock .venv/lock
endif
	if command -v uv > /dev/null; then \
	    uv pip install --require-hashes --no-deps --compile-bytecode --requirement .venv/lock; \
	else \
	    .venv/bin/python -m pip install --quiet --require-hashes --no-deps --requirement .venv/lock; \
	fi
ifeq ($(TORCH),cpu)
	if command -v uv > /dev/null; then \
	    uv pip install --no-deps --compile-bytecode --torch-backend cpu $(TORCH_PINS); \
	else \
	    .venv/bin/python -m pip install --quiet --no-deps $(TORCH_PINS); \
	fi
endif
	@printf '%s\n' 'torch: $(TORCH)' | cat - requirements.lock > .venv/installed
