#!/usr/bin/env bash
# Runs every suite, goes on after a failure, and ends in one line of totals.
# With arguments, only the suites named.
# Suites are called by name from the command line, which shellcheck cannot see:
# shellcheck disable=SC2317
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

RESULTS=$LOGS/suites
rm -rf "$RESULTS"
mkdir -p "$RESULTS"
failed=0

# run SUITE HINT COMMAND...: like step, and keeps the log for the totals.
run() {
    local suite=$1 hint=$2 start code=0
    shift 2
    start=$(date +%s%3N)
    printf '%-52s ' "suite $suite"
    "$@" >"$RESULTS/$suite.log" 2>&1 </dev/null || code=$?
    if [ "$code" = 0 ]; then
        printf '%s  %s\n' "$(since "$start")" "$(python3 scripts/tally.py "$RESULTS/$suite.log" | tail -n 1)"
        return
    fi
    failed=1
    # A failure that left no failed test behind still counts as one.
    if ! python3 scripts/tally.py "$RESULTS/$suite.log" | tail -n 1 | grep -qv ', 0 failed'; then
        echo "check: died" >>"$RESULTS/$suite.log"
    fi
    printf 'FAILED after %s\n' "$(since "$start")"
    tail -n 60 "$RESULTS/$suite.log" | sed 's/^/    /'
    printf '    %s\n    whole output: %s\n' "$hint" "$RESULTS/$suite.log"
}

# A suite whose tests are done by a tool that counts nothing is one test.
check() {
    if "$@"; then echo "check: ok"; else
        echo "check: failed"
        return 1
    fi
}

suite_scripts() {
    setup_rust
    run scripts "see scripts/test_scripts.py" python3 -m unittest -v scripts.test_scripts
}

suite_fmt() {
    setup_rust
    run fmt "run ./build.sh fmt" check cargo fmt --check
}

suite_clippy() {
    setup_wasm_target "$TRIPLE"
    run clippy-native "mend what is named above" \
        check cargo clippy --quiet --lib --bins -- -D warnings
    # `--all-targets` turns the host layer off on wasm, so the library alone.
    run clippy-wasm "mend what is named above" \
        check cargo clippy --quiet --lib --target "$TRIPLE" -- -D warnings
}

suite_native() {
    setup_rust
    run native "cargo test" cargo test --no-fail-fast
}

# The same unit tests, compiled to wasm and run by Node's V8, Envoy's engine.
suite_node() {
    setup_rust
    local target=wasm32-unknown-unknown
    setup_wasm_target "$target" || die "rustup target add $target"
    setup_wasm_bindgen
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$TOOLS/bin/wasm-bindgen-test-runner
    export WASM_BINDGEN_TEST_TIMEOUT=600
    run node "cargo test --lib --target $target" cargo test --lib --target "$target"
}

prepare_proxy() {
    ./build.sh build
    setup_venv
    setup_envoy
    export PORTCULLIS_WASM=$MODULE
}

# pytest_suite SUITE PYTHON ARGUMENTS...
pytest_suite() {
    run "$1" "again, alone: ./build.sh test $1" \
        "$2" -m pytest -q -rsxX -p no:cacheprovider --timeout 120 "${@:3}"
}

suite_package() {
    prepare_proxy
    setup_skopeo
    pytest_suite package "$VENV/bin/python" tests/package
}

suite_envoy() {
    prepare_proxy
    setup_redis
    setup_chromium
    pytest_suite envoy "$VENV/bin/python" tests/envoy
}

suite_clients() {
    prepare_proxy
    setup_clients_venv
    setup_aimock
    # models.mjs brings its own answers and needs the package alone.
    export AIMOCK=$NODE
    pytest_suite clients "$CLIENTS/bin/python" tests/clients
}

started=$(date +%s%3N)
[ $# -gt 0 ] || set -- "${SUITES[@]}"
for suite; do
    declare -F "suite_$suite" >/dev/null || die "no suite is called $suite; there are: ${SUITES[*]}"
done
for suite; do "suite_$suite"; done
printf 'all suites: %s\n' "$(since "$started")"
python3 scripts/tally.py "$RESULTS"/*.log
exit "$failed"
