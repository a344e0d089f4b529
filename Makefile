# Everything a person or a machine does with this repository. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build demo test test-quick test-onednn3 study-durability study-selfsupervised study-fewlabels \
	study-recipes study-learn check lint format fuzz bench golden golden-models clean

# One set of flags for the command and for its tests, so that the package is compiled once. Tests train, hence release.
SWIFT_FLAGS := -c release -Xswiftc -enable-testing
FLEDGE      := .build/release/fledge
SWIFT_TREES := Sources Tests Examples Fuzz Package.swift
PYTHON      := .venv/bin/python

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages that are missing, by name, and nothing else
	@Scripts/setup.sh

build: setup ## Build the fledge command (release) at .build/release/fledge
	swift build $(SWIFT_FLAGS) --product fledge

demo: build ## Learn to read digits from 5 labels per class, and print where the report is
	$(FLEDGE) learn digits --labels-per-class 5

test: setup ## Build and run every test: what CI runs
	swift test $(SWIFT_FLAGS) --disable-swift-testing

test-quick: setup ## Run the tests that match FILTER, for example: make test-quick FILTER=CoreTests
	swift test $(SWIFT_FLAGS) --disable-swift-testing --filter '$(or $(FILTER),$(error Name what to run: make test-quick FILTER=CoreTests))'

test-onednn3: setup ## Run the engine's tests against oneDNN 3 (fetches it from the Python package index)
	Scripts/onednn3.sh

study-durability: setup ## Kill, tear and flip at length: the figures of Docs/Reliability.md
	FLEDGE_STUDY=1 SWIFT_BACKTRACE=enable=no swift test $(SWIFT_FLAGS) --disable-swift-testing \
		--filter 'CheckpointDiskTests|DurabilityTests|LabelPageTests|ResumeTests|NumericGuardTests'

study-selfsupervised: build ## Train every self-supervised method on DATA (digits) and measure its features: hours
	Scripts/setup.sh python3
	python3 Benchmarks/study.py $(or $(DATA),digits) --family self-supervised $(STUDY)

study-fewlabels: build ## Train every method for few labels on DATA (digits) and measure it: hours
	Scripts/setup.sh python3
	python3 Benchmarks/study.py $(or $(DATA),digits) --family supervised --family semi-supervised $(STUDY)

study-learn: build ## Run `learn` on the sets of data in SETS (PATH:LABELS[:SHARE] ...) and compare it with its baselines
	Scripts/setup.sh python3
	python3 Benchmarks/learn.py $(or $(SETS),digits:5) $(STUDY)

study-recipes: build ## Train ten methods on DATA (digits) with Fledge and with PyTorch and compare them: hours
	Scripts/venv.sh safetensors
	$(PYTHON) Benchmarks/compare.py $(or $(DATA),digits) $(STUDY)

check: lint test ## Lint, then every test

lint: ## Check formatting and the rules of the house
	swift format lint --strict --recursive --parallel $(SWIFT_TREES)
	Scripts/lint.sh

format: ## Format every Swift file in place
	swift format format --in-place --recursive --parallel $(SWIFT_TREES)

bench: build ## Time Fledge and PyTorch side by side; PHOTOS=FOLDER adds SimCLR from the JPEG files there
	Scripts/venv.sh $(if $(PHOTOS),lightly torchvision)
	$(PYTHON) Benchmarks/run.py $(if $(PHOTOS),--photos $(PHOTOS)) $(BENCH)

golden: ## Regenerate the golden files of the tests from PyTorch
	Scripts/venv.sh torchvision timm safetensors pillow tensorboard
	for name in ops layers optimizers models tensorboard; do $(PYTHON) Golden/$$name.py; done

golden-models: ## Write the golden networks' weights to .build/golden-models/NAME.safetensors
	Scripts/venv.sh torchvision timm safetensors pillow
	$(PYTHON) Golden/models.py --weights .build/golden-models

fuzz: setup ## Run libFuzzer on every reader, FUZZ_SECONDS each (60), or on those in READERS
	Scripts/fuzz.sh $(READERS)

clean: ## Remove everything that was built
	rm -rf .build .build-* .venv
