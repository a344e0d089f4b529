#!/usr/bin/env bash
# Makes .venv, the Python environment with the PyTorch that benchmarks and golden files are measured against. Fledge
# itself never needs Python.
#
#   Scripts/venv.sh               PyTorch and NumPy
#   Scripts/venv.sh NAME ...      these packages as well, in versions that suit that PyTorch
set -euo pipefail
cd "$(dirname "$0")/.."

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    Scripts/setup.sh python3 python3-venv
fi
[[ -x .venv/bin/pip ]] || python3 -m venv --clear .venv
.venv/bin/pip install --quiet --disable-pip-version-check "torch==2.13.*" numpy "$@"
