#!/usr/bin/env bash
# run.sh [SECONDS [TARGET...]]: fuzz every target (or those named) with libFuzzer
# for SECONDS in all, on as many processors as there are (JOBS). Works on stable Rust: the coverage counters are LLVM
# passes that `-C passes` turns on; the sanitizers, which need a nightly
# compiler, find nothing in a crate that denies `unsafe`.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
seconds=${1:-60}
[ $# = 0 ] || shift
case $seconds in '' | *[!0-9]*) echo "usage: run.sh [SECONDS [TARGET...]]" >&2; exit 2 ;; esac
# From the table in targets.rs: one name a line.
mapfile -t all < <(sed -n '/TARGETS: /,/^];/s/^    ("\([a-z0-9_]*\)".*/\1/p' targets.rs)
targets=("${@:-${all[@]}}")

command -v c++ >/dev/null || { echo "libFuzzer is built from C++: install g++ (apt-get install g++)" >&2; exit 1; }
work=${CARGO_TARGET_DIR:-$root/target}/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
flags="-C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4
    -C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table
    -C llvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
# RUSTFLAGS takes the place of what .cargo/config.toml turns on: vector code would be loops.
case $host in x86_64-*) flags="$flags -C target-feature=+ssse3,+sse4.1,+popcnt" ;; esac
echo "build the fuzzer (log: $work/build.log)"
mkdir -p "$work"
# `--target` keeps the flags away from build scripts and macros.
if ! RUSTFLAGS=$(echo $flags) cargo build --release --locked --target "$host" --target-dir "$work" \
    >"$work/build.log" 2>&1; then
    tail -n 40 "$work/build.log" >&2
    exit 1
fi
fuzzer=$work/$host/release/portcullis-fuzz

jobs=${JOBS:-$(nproc)}
each=$((seconds * jobs / ${#targets[@]}))
[ "$each" -gt 0 ] || each=1
echo "${#targets[@]} targets, $each s each, $jobs at a time"

# fuzz TARGET: one line of what came of it.
fuzz() {
    local target=$1 corpus=$work/corpus/$1 found=$work/found/$1 log=$work/$1.log
    local seeds=() dict=() folder runs cover
    mkdir -p "$corpus" "$found"
    for folder in "seeds/$target" "regressions/$target"; do [ ! -d "$folder" ] || seeds+=("$folder"); done
    # As in `fixtures` of targets.rs.
    case $target in
        live) seeds+=(../fixtures/wire) ;;
        dialect_*) [ ! -d "../fixtures/wire/${target#dialect_}" ] || seeds+=("../fixtures/wire/${target#dialect_}") ;;
    esac
    [ ! -f "dict/$target" ] || dict=("-dict=dict/$target")
    if PORTCULLIS_FUZZ_TARGET=$target "$fuzzer" "$corpus" "${seeds[@]}" "${dict[@]}" \
        -max_total_time="$each" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -artifact_prefix="$found/" \
        -print_final_stats=1 >"$log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
        printf '%-26s ok: %s inputs in %s s, %s edges\n' "$target" "$runs" "$each" "$cover"
        return
    fi
    printf '%-26s FAILED (log: %s)\n%s\n    %s\n' "$target" "$log" \
        "$(grep -m 3 -E "panicked|ERROR|SUMMARY" "$log" | sed 's/^/    /' || true)" \
        "mend it, then keep the input of $found as tests/fuzz/regressions/$target/<what-it-was>"
    # So that what another machine found can be replayed: `base64 -d`.
    local input
    for input in "$found"/*; do
        [ ! -f "$input" ] || { echo "    input ${input##*/}:"; head -c 8192 "$input" | base64 -w 76 | sed 's/^/    /'; }
    done
    return 1
}
export -f fuzz
export work fuzzer each

# xargs ends with an error if one of its commands did.
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I {} bash -c 'fuzz {}'
