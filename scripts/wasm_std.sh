#!/usr/bin/env bash
# Builds Rust's standard library for wasm32-wasip1 from Debian's packages, for
# machines where rustup cannot download the target: wasm_std.sh TARGET.
#
# rustc only accepts a library made from the sources of its own version, so
# the packages are looked for in every Debian suite that may carry it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

target=$1
[ "$target" = wasm32-wasip1 ] || die "only wasm32-wasip1 can be built from Debian's packages"
need apt-get "this route needs Debian or Ubuntu; otherwise: rustup target add $target"
need dpkg-deb "apt-get install dpkg"

version=$(rustc --version | awk '{print $2}')
work=$CACHE/rust-src-$version
source=$work/root/usr/src/rustc-$version/library/sysroot
libc=$work/root/usr/lib/wasm32-wasi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || die "Debian's keys are missing: apt-get install debian-archive-keyring"

# An apt of its own: the machine's package sources stay as they are.
apt_dir=$work/apt
# Half an unpacked source from a run that was stopped is no use.
rm -rf "$work/root"
mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial" "$apt_dir/empty" "$work/root"
for suite in trixie trixie-backports forky sid; do
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main"
done >"$apt_dir/sources.list"
apt_options=(-o "Dir::State::lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir/cache"
    -o "Dir::Etc::SourceList=$apt_dir/sources.list" -o "Dir::Etc::SourceParts=$apt_dir/empty"
    -o "APT::Sandbox::User=root")
apt-get "${apt_options[@]}" -qq update

# package NAME PREFIX: unpacks the newest version that starts with PREFIX.
package() {
    local found
    found=$(apt-cache "${apt_options[@]}" madison "$1" | awk -v p="$2" 'index($3, p) == 1 { print $3; exit }')
    [ -n "$found" ] || die "Debian has no $1 of version ${2:-any} (rustc is $version)"
    (cd "$work" && apt-get "${apt_options[@]}" -qq download "$1=$found")
    dpkg-deb -x "$work/$1"_*.deb "$work/root"
    rm -f "$work/$1"_*.deb
}
package rust-src "$version+"
package wasi-libc ""

[ -d "$source" ] || die "rust-src $version has no library/sysroot"
[ -f "$libc/libc.a" ] || die "wasi-libc has no libc.a"

# Debian leaves out the crates that only std's own tests need, and cargo wants
# even those to resolve.
sed -i '/"coretests",/d; /"alloctests",/d' "$source/../Cargo.toml"
for manifest in "$source"/../*/Cargo.toml; do
    awk '/^\[/ { skip = /dev-dependencies/ } !skip' "$manifest" >"$work/manifest"
    cp "$work/manifest" "$manifest"
done
# `cc` is asked for by a feature that stays off; an empty crate resolves it.
wanted=$(sed -n 's/^cc = .*version = "\([0-9]*\.[0-9]*\).*/\1/p' "$source/../compiler-builtins/compiler-builtins/Cargo.toml")
if [ -n "$wanted" ] && ! compgen -G "$source/../vendor/cc-*" >/dev/null; then
    stub=$source/../vendor/cc-stub
    mkdir -p "$stub/src"
    printf '[package]\nname = "cc"\nversion = "%s"\nedition = "2021"\n[features]\nparallel = []\n' "$wanted.0" >"$stub/Cargo.toml"
    : >"$stub/src/lib.rs"
    echo '{"files":{}}' >"$stub/.cargo-checksum.json"
fi

# The vendored crates are the only ones there are: nothing to be locked.
rm -f "$source/../Cargo.lock"

# std's own flag for building itself; a plain stable compiler refuses it
# without the bootstrap variable.
sysroot=$(rustc --print sysroot)
home=$sysroot/lib/rustlib/$target/lib
mkdir -p "$home/self-contained"
cp "$libc"/crt1-command.o "$libc"/crt1-reactor.o "$libc"/libc.a "$home/self-contained/"
# The library must not be built with the flags of this project's module.
(cd "$source" &&
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
        CARGO_ENCODED_RUSTFLAGS="-Zforce-unstable-if-unmarked"$'\x1f'"-Cembed-bitcode=yes"$'\x1f'"-Copt-level=3"$'\x1f'"-Lnative=$libc" \
        cargo build --offline --release --target "$target" --features compiler-builtins-mem \
        --config 'source.crates-io.replace-with="vendored"' --config 'source.vendored.directory="../vendor"')
cp "$work/target/$target"/release/deps/*.rlib "$home/"
