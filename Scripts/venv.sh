#!/usr/bin/env bash
# Makes .venv: the Python environment with PyTorch that benchmarks and golden files are measured against.
# Fledge itself never needs Python.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    Scripts/setup.sh python3 python3-venv
fi
rm -rf .venv
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check "torch==2.13.*" torchvision timm safetensors pillow numpy
touch .venv/.complete
