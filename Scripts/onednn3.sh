#!/bin/sh
# Builds Fledge against oneDNN 3 and runs the engine's tests with it.
#
#   Scripts/onednn3.sh            the tests of FledgeCore and FledgeNN
#   Scripts/onednn3.sh --filter X swift test's own options instead of that choice
#
# The library and its headers are the GNU OpenMP build from the Python package index; everything, the package's build
# included, stays in .build-onednn3/. Needs python3 with venv. Running it again reuses what is there.
set -eu
cd "$(dirname "$0")/.."

version=2023.2.0
root=$PWD/.build-onednn3
venv=$root/venv-$version

if [ ! -e "$venv/.complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        "onednn-cpu-gomp==$version" "onednn-devel-cpu-gomp==$version"
    touch "$venv/.complete"
fi

LD_LIBRARY_PATH=$venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
[ $# -gt 0 ] || set -- --filter 'CoreTests|NNTests'
exec swift test -c release -Xswiftc -enable-testing --scratch-path "$root/build" \
    -Xcc "-I$venv/include" -Xlinker "-L$venv/lib" "$@"
