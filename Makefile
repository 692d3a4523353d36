# make demo    the whole pipeline on bundled digits, in .demo/: no network needed, under a minute
# make repro   the real thing: whatever params.yaml names, from archive to report
# make test    the tests            make check   lint, format, types
# make verify  does the committed dvc.lock come out bit for bit here? (DATASETS=digits: in a minute, without network)
# make machines  the same bits on emulated processors: four kinds of x86-64 and 64-bit Arm (needs qemu-user-static)
# make versions  the same bits on several versions of torch: the oldest that is allowed, 2.11, the locked one
# make gate    is any result worse than the committed reference? make reference renews it (docs/gate.md)
# make ui      the runs in MLflow   make bench   what an epoch costs
# make promote the best run of each dataset becomes its champion in MLflow's registry (DATASETS=mnist: only its)
# make serve   a page to draw a digit on, and an HTTP API (DATASETS=mnist, PORT=8000; docs/predict.md)
# make claims  dvc.lock anew, after a change that is meant to change results
# make lock    new pins             make clean   remove what make set up; DVC's cache and MLflow's runs stay
#
# Every target first sets up .venv from requirements.lock, with uv where it is installed, else with pip.
# TORCH=cpu takes the small CPU build of torch (README.md, "Set-up").

SHELL := /bin/bash
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv

.PHONY: demo repro test check verify machines versions gate reference outputs ui promote serve bench claims lock clean venv install

demo: venv
	rm -rf .demo
	mkdir -p .demo/.dvc .demo/data
	cp -R dvc.yaml .dvcignore requirements.lock stages .demo
	cp data/catalog.yaml .demo/data
	awk '{ print } /^\[core\]/ { print "    no_scm = true" }' .dvc/config > .demo/.dvc/config
	sed 's/^datasets:.*/datasets: [digits]/; /^mlp:/,$$ { s/lr: .*/lr: 0.1/; s/epochs: .*/epochs: 40/ }' params.yaml \
	    > .demo/params.yaml  # so few images make few steps: the network needs more epochs and longer strides
	cd .demo && dvc repro
	@echo "look at .demo/reports/index.html"

repro: venv
	@python -m stages.check
	dvc repro
	@echo "look at reports/index.html; compare the runs with: make ui"

test: venv
	python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder  # or the longest, one test alone, comes last

check: venv
	ruff check .
	ruff format --check .
	mypy

verify: venv
	@python -m stages.verify $(DATASETS)

machines: venv
	@python -m stages.machines $(KIND:%=--kind %)

versions:
	$(PYTHON) tests/versions.py

gate: outputs
	@python -m stages.gate $(DATASETS) $(GATE)

reference: outputs
	@python -m stages.reference $(DATASETS)

# Up to date: what params.yaml names or, if given, DATASETS, which it need not name.
outputs: venv
ifdef DATASETS
	cp params.yaml .params.kept
	trap 'mv .params.kept params.yaml' EXIT; \
	    sed "s/^datasets:.*/datasets: [$$(echo $(DATASETS) | tr ' ' ,)]/" .params.kept > params.yaml && \
	    dvc repro $(DATASETS:%=evaluate@%)
else
	dvc repro
endif

ui: venv
	python -m stages.ui $(PORT:%=--port %)

promote: venv
	@python -m stages.promote $(DATASETS)

serve: venv
	@python -m stages.serve $(DATASETS) $(PORT:%=--port %)

bench: venv
	python -m benchmarks.epoch
	python -m benchmarks.busy

# dvc.lock also holds the results of digits, which params.yaml does not name: anyone can verify those in a minute.
claims: venv
	cp params.yaml .params.kept
	trap 'mv .params.kept params.yaml' EXIT; \
	    sed 's/^datasets:.*/datasets: [digits]/' .params.kept > params.yaml && dvc repro evaluate@digits
	dvc repro

lock:
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header \
	    --upgrade --output-file requirements.lock

clean:
	rm -rf .venv .demo .machines .versions dvc_plots .pytest_cache .mypy_cache .ruff_cache
	find stages tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# By content, not by time: switching branches back and forth must not cost a set-up.
venv:
	@printf '%s\n' 'torch: $(TORCH)' | cat - requirements.lock | cmp -s - .venv/installed || \
	    $(MAKE) --no-print-directory install

# torch's CUDA libraries, which its CPU build does without, and torch itself, whose CPU build has other hashes
CUDA := ^(torch|torchvision|triton|nvidia-|cuda-)
TORCH_PINS = $(shell sed -nE 's/^((torch|torchvision)==[^ ]+).*/\1/p' requirements.lock)

install:
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
