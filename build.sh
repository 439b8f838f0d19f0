#!/usr/bin/env bash
# Builds, tests and shows Portcullis. Every command sets up what it needs on a
# machine that has rustup, python3, node and apt, and may be run again at will.
set -euo pipefail
CALLED_FROM=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

BENCHES=(attacks latency phases stream)
# A line for each command: its name, its arguments, what it does.
COMMANDS="demo|[--keep] [--config FILE]|build, start Envoy with the filter, send the story's requests; with FILE they are told, and judged only with --judge
test|[SUITE...]|every check and every suite; or only those named: ${SUITES[*]}
build||the module for Envoy: target/portcullis.wasm
ctl|ARGS...|portcullisctl, the command line tool, built where needed; \`ctl --help\` is its own help
bench|[--quick] [BENCH...]|texts made to be slow, added latency, phases of a request, streams; or only those named: ${BENCHES[*]}
eval|DIR|wire formats and detection quality on the corpora in DIR
mutants||break the filter one line at a time: tests must notice
fuzz|[SECONDS]|feed the parsers and the stream rewriter with mutated input
package||dist/: an OCI image that Istio and Envoy Gateway load
train|DIR|train the classifier on the corpora in DIR
fmt||format the code
lint||formatting, clippy on both targets, shell scripts, dependencies
clean||remove target/, dist/ and .cache/
help||this"

usage() {
    local name arguments what indent
    indent=$(printf '%33s' '')
    printf 'usage: ./build.sh COMMAND\n\n'
    while IFS='|' read -r name arguments what; do
        printf '  %-30s ' "$name $arguments"
        fold -s -w 72 <<<"$what" | sed "2,\$s/^/$indent/"
    done <<<"$COMMANDS"
    cat <<'TEXT'

environment:
  ENVOY=PATH                an Envoy to use instead of the pinned release
  VERBOSE=1                 show the output of every step
  PORTCULLIS_RUST_SRC=1     build the wasm standard library from Debian's rust-src
TEXT
}

# One line on the command $1; fails if there is no such command.
usage_of() {
    local name arguments what
    while IFS='|' read -r name arguments what; do
        [ "$name" = "$1" ] || continue
        printf 'usage: ./build.sh %s    %s\n' "$name${arguments:+ $arguments}" "$what"
        return
    done <<<"$COMMANDS"
    return 1
}

# wrong_usage COMMAND FAULT
wrong_usage() {
    usage_of "$1" >&2
    die "$2" 2
}

# one_of COMMAND WORD...: every argument must be one of the words in `known`.
known=()
one_of() {
    local word
    for word in "${@:2}"; do
        case " ${known[*]} " in *" $word "*) ;; *) wrong_usage "$1" "$1 does not know \"$word\"" ;; esac
    done
}

# Nothing is built or removed for a command that is called in a wrong way.
check_arguments() {
    local command=$1
    shift
    case $command in
        # The tool judges its own.
        ctl) [ $# -gt 0 ] || wrong_usage ctl "ctl wants arguments" ;;
        demo)
            while [ $# -gt 0 ]; do
                case $1 in
                    --keep | --judge) ;;
                    --config=*) [ -f "${1#*=}" ] || wrong_usage demo "there is no file ${1#*=}" ;;
                    --config)
                        [ $# -gt 1 ] || wrong_usage demo "--config wants a file"
                        shift
                        [ -f "$1" ] || wrong_usage demo "there is no file $1"
                        ;;
                    *) wrong_usage demo "demo does not know \"$1\"" ;;
                esac
                shift
            done
            ;;
        test) known=("${SUITES[@]}") && one_of test "$@" ;;
        bench) known=(--quick "${BENCHES[@]}") && one_of bench "$@" ;;
        eval | train)
            [ $# = 1 ] || wrong_usage "$command" "$command wants one folder"
            [ -d "$1" ] || wrong_usage "$command" "there is no folder $1"
            ;;
        fuzz)
            [ $# -le 1 ] || wrong_usage fuzz "fuzz takes one number"
            case ${1-60} in '' | *[!0-9]*) wrong_usage fuzz "\"$1\" is not a number of seconds" ;; esac
            ;;
        *) [ $# = 0 ] || wrong_usage "$command" "$command takes no arguments" ;;
    esac
}

build_module() {
    setup_wasm_target "$TRIPLE"
    # Only the flags of .cargo/config.toml; from the environment they would
    # replace those. Paths are remapped: equal sources give equal modules.
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS
    local remap
    remap="target.$TRIPLE.rustflags=['--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo','--remap-path-prefix=$PWD=/portcullis']"
    step "compile the module" "read the compiler's message above" \
        cargo build --lib --release --target "$TRIPLE" --config "$remap"
    # Takes about an eighth off the module (with binaryen 108), and V8 compiles
    # about 2 s per MB at start. Code that serde makes for each type
    # is much alike: merging it before the rest is one percent.
    setup_binaryen
    if [ ! "$MODULE" -nt "$LINKED" ]; then
        step "shrink the module" "read wasm-opt's message above" \
            wasm-opt --merge-similar-functions -Os --strip-producers --enable-simd --enable-bulk-memory --enable-sign-ext \
            --enable-nontrapping-float-to-int --enable-mutable-globals "$LINKED" -o "$MODULE.part"
        mv "$MODULE.part" "$MODULE"
    fi
    python3 scripts/check_module.py "$MODULE" ||
        die "the module is not fit for Envoy; nothing may be shipped from this build"
}

# The configuration of the plugin is known to the scripts only; they get the
# proxy and the module by environment.
prepare_run() {
    build_module
    setup_venv
    setup_envoy
    export PORTCULLIS_WASM=$MODULE
}

run_demo() {
    [ -f scripts/demo.py ] || missing "scripts/demo.py"
    prepare_run
    exec "$VENV/bin/python" scripts/demo.py "$@"
}

run_package() {
    build_module
    step "write the OCI image to dist/" "read the message above" \
        python3 scripts/package.py "$MODULE" dist
    cat dist/digest
    if command -v skopeo >/dev/null 2>&1; then
        step "check the image with skopeo" "skopeo refuses the layout" skopeo inspect oci:dist/oci:portcullis
    else
        echo "not checked with skopeo: it is not installed (apt-get install skopeo)"
    fi
}

run_lint() {
    setup_wasm_target "$TRIPLE"
    local fix="run ./build.sh fmt, or mend what is named above"
    step "formatting" "$fix" cargo fmt --check
    step "clippy, native" "$fix" cargo clippy --quiet --all-targets -- -D warnings
    # `--all-targets` turns the host layer off on wasm, so the library alone.
    step "clippy, $TRIPLE" "$fix" cargo clippy --quiet --lib --target "$TRIPLE" -- -D warnings
    if command -v shellcheck >/dev/null 2>&1; then
        step "shell scripts" "$fix" shellcheck -x build.sh .ci/run scripts/test.sh scripts/wasm_std.sh
    else
        echo "shell scripts not checked: shellcheck is not installed (apt-get install shellcheck)"
    fi
    if command -v cargo-deny >/dev/null 2>&1; then
        step "dependencies" "see deny.toml" cargo deny check
    else
        echo "dependencies not checked: cargo-deny is not installed (cargo install cargo-deny)"
    fi
}

# Runs a script of the classifier's with the tool and a folder of corpora.
run_classifier() {
    setup_rust
    setup_train
    step "compile portcullisctl" "read the compiler's message above" cargo build --release --bin portcullisctl
    exec "$TRAIN/bin/python" "scripts/$1.py" "$TARGET/release/portcullisctl" "$2"
}

# The wire formats of every provider; the numbers of tests/README.md.
eval_wire() {
    setup_rust
    if [ ! -f "$1/wire/manifest.json" ]; then
        echo "wire formats: skipped, there is no $1/wire/manifest.json"
        return
    fi
    PORTCULLIS_CORPORA=$(realpath "$1") cargo test --quiet --test corpora_wire -- --nocapture --test-threads 1
}

run_bench() {
    [ -f tests/bench/run.py ] || missing "tests/bench/run.py"
    prepare_run
    exec "$VENV/bin/python" tests/bench/run.py "$@"
}

run_mutants() {
    setup_wasm_target "$TRIPLE"
    setup_venv
    setup_envoy
    setup_redis
    exec "$VENV/bin/python" tests/mutants.py
}

run_fuzz() {
    [ -x tests/fuzz/run.sh ] || missing "tests/fuzz/run.sh"
    exec tests/fuzz/run.sh "${1:-60}"
}

run_ctl() {
    setup_rust
    # Standard output is the tool's.
    step "compile portcullisctl" "read the compiler's message above" \
        cargo build --release --bin portcullisctl >&2
    local tool
    tool=$(realpath "$TARGET/release/portcullisctl")
    cd "$CALLED_FROM"
    exec "$tool" "$@"
}

# The path $1 as the caller means it.
from_caller() {
    (cd "$CALLED_FROM" && realpath -m -- "$1")
}

command=${1:-help}
[ $# = 0 ] || shift
case $command in -h | --help) command=help ;; esac
usage_of "$command" >/dev/null || { usage >&2; die "unknown command: $command" 2; }
for argument; do
    # All is for the tool: `ctl --help` and `ctl scan --help` are its questions.
    [ "$command" != ctl ] || break
    case $argument in
        -h | --help) usage_of "$command"; exit ;;
    esac
done
case $command in
    eval | train) [ $# != 1 ] || set -- "$(from_caller "$1")" ;;
    demo)
        words=()
        for argument in "$@"; do
            case ${words[*]: -1}:$argument in
                --config:*) argument=$(from_caller "$argument") ;;
                *:--config=*) argument=--config=$(from_caller "${argument#--config=}") ;;
            esac
            words+=("$argument")
        done
        set -- "${words[@]}"
        ;;
esac
check_arguments "$command" "$@"
case $command in
    demo) run_demo "$@" ;;
    test) exec scripts/test.sh "$@" ;;
    build) build_module ;;
    ctl) run_ctl "$@" ;;
    bench) run_bench "$@" ;;
    eval) eval_wire "$1"; run_classifier evaluate "$1" ;;
    mutants) run_mutants ;;
    fuzz) run_fuzz "$@" ;;
    package) run_package ;;
    train) run_classifier train "$1" ;;
    fmt) cargo fmt ;;
    lint) run_lint ;;
    clean)
        rm -rf target dist .cache
        # Others may build there as well.
        [ "$(realpath -m -- "$TARGET")" = "$(realpath -m target)" ] || printf 'left as it is: %s\n' "$TARGET"
        ;;
    help) usage ;;
esac
