# shellcheck shell=bash
# Helpers of build.sh and its scripts: steps, failures, versions, paths.
# To be sourced, with the current folder at the root of the project.
# shellcheck disable=SC2034

CACHE=$PWD/.cache
LOGS=$CACHE/logs
VENV=$CACHE/venv
CLIENTS=$CACHE/clients-venv
TRAIN=$CACHE/train
NODE=$CACHE/node
TOOLS=$CACHE/tools
# Either name moves the folder, the first before the second, as cargo has it.
TARGET=${CARGO_TARGET_DIR:-${CARGO_BUILD_TARGET_DIR:-$PWD/target}}
TRIPLE=wasm32-wasip1
LINKED=$TARGET/$TRIPLE/release/portcullis.wasm
MODULE=$TARGET/portcullis.wasm
ENVOY_VERSION=1.40.0
SUITES=(scripts fmt clippy native node package envoy clients)
mkdir -p "$LOGS"

die() {
    printf 'build.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

# need TOOL HINT: stops unless TOOL can be run.
need() {
    command -v "$1" >/dev/null 2>&1 || die "$1 is not installed: $2"
}

# missing WHAT: for a command whose piece is not in this checkout.
missing() {
    die "$1 is not part of this checkout" 2
}

# seconds since START (milliseconds), with one decimal.
since() {
    local ms=$(($(date +%s%3N) - $1))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# step NAME HINT COMMAND...: one line with the time taken. The output goes to
# a log; if COMMAND fails, its end is shown together with HINT.
step() {
    local name=$1 hint=$2 start log code=0
    shift 2
    log=$LOGS/$(tr -cs 'a-z0-9\n' '-' <<<"${name,,}").log
    start=$(date +%s%3N)
    printf '%-52s ' "$name"
    if [ -n "${VERBOSE:-}" ]; then
        printf '\n'
        "$@" 2>&1 | tee "$log" || code=$?
    else
        "$@" >"$log" 2>&1 </dev/null || code=$?
    fi
    if [ "$code" != 0 ]; then
        printf 'FAILED after %s\n' "$(since "$start")"
        tail -n 40 "$log" | sed 's/^/    /' >&2
        printf 'build.sh: "%s" failed: %s\nbuild.sh: whole output: %s\n' "$name" "$hint" "$log" >&2
        return "$code"
    fi
    printf '%s\n' "$(since "$start")"
}

# stamp FILE INPUT...: true when FILE records exactly these inputs' contents.
stamp_holds() {
    local file=$1
    shift
    [ -f "$file" ] && [ "$(cat "$file")" = "$(cat "$@" | sha256sum)" ]
}

stamp_write() {
    local file=$1
    shift
    cat "$@" | sha256sum >"$file"
}
