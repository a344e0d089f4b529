#!/usr/bin/env bash
# Runs libFuzzer on every reader of files from elsewhere, or on those named, FUZZ_SECONDS each (60 by default).
#
#     Scripts/fuzz.sh [reader ...]
#
# What was found so far is kept in .build-fuzz/corpus and goes on from there. An input that crashes a reader, takes it
# more than FUZZ_HANG seconds (2) or makes it allocate more than 16 MB at once stops the run and is named; put it into
# Tests/FuzzTests/Corpus/READER once it is mended.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/.build-fuzz
# A crash is reported by the fuzzer; Swift's own report would only take time.
export SWIFT_BACKTRACE=enable=no OMP_NUM_THREADS=1

swift build --package-path Fuzz --scratch-path "$build" -c release --product FuzzReaders \
    -Xswiftc -sanitize=fuzzer -Xswiftc -use-ld=lld -Xcc -fsanitize=fuzzer-no-link
program=$build/release/FuzzReaders

readers=("$@")
if ((${#readers[@]} == 0)); then
    read -ra readers < <(FUZZ_READER='' "$program")
fi
for reader in "${readers[@]}"; do
    export FUZZ_READER=$reader
    corpus=$build/corpus/$reader
    mkdir -p "$corpus" "$build/found"
    FUZZ_SEEDS=$corpus "$program"
    saved=Tests/FuzzTests/Corpus/$reader
    inputs=("$corpus")
    if [[ -d $saved ]]; then inputs+=("$saved"); fi
    echo "fuzz: $reader for ${FUZZ_SECONDS:-60} s"
    "$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout="${FUZZ_HANG:-2}" -max_len="${FUZZ_LENGTH:-8192}" \
        -malloc_limit_mb=16 -rss_limit_mb=1024 -print_final_stats=1 -print_funcs=0 -verbosity=0 -reload=0 \
        -artifact_prefix="$build/found/$reader-" "${inputs[@]}" 2>&1 | grep -v '^INFO' || {
        echo "fuzz: $reader failed; the input is in $build/found" >&2
        exit 1
    }
done
