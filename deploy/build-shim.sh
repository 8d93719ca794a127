#!/usr/bin/env bash
# Builds the shim as a static program, and prints its path:
#
#   deploy/build-shim.sh [TARGET_FOLDER]
#
# SHIM_TARGET chooses the target of the compiler; without it that is musl where it is installed, for it makes the
# smaller program, and else the one of the GNU C library.
set -euo pipefail
cd "$(dirname "$0")/.."

target_folder=$(realpath -m "${1:-${CARGO_TARGET_DIR:-target}}")

# The target's std is in the sysroot of the toolchain that the project pins, whoever has put it there.
machine=$(uname -m)
target=${SHIM_TARGET:-$machine-unknown-linux-musl}
if [ -z "${SHIM_TARGET:-}" ] && [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    target=$machine-unknown-linux-gnu
fi
# Without a target of its own, the flag would hit what runs at build time too.
RUSTFLAGS='-C target-feature=+crt-static' CARGO_TARGET_DIR=$target_folder \
    cargo build --quiet --locked --profile shim --package fermata-shim --target "$target"
echo "$target_folder/$target/shim/fermata-shim"
