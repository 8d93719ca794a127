#!/usr/bin/env bash
# Builds a package of the workspace as a static program, and prints the program's path:
#
#   deploy/build-static.sh PACKAGE PROFILE [TARGET_FOLDER]
#
# STATIC_TARGET chooses the target of the compiler; without it that is musl where it is installed, for it makes the
# smaller program, and else the one of the GNU C library.
set -euo pipefail
cd "$(dirname "$0")/.."

package=$1
profile=$2
target_folder=$(realpath -m "${3:-${CARGO_TARGET_DIR:-target}}")

# The target's std is in the sysroot of the toolchain that the project pins, whoever has put it there.
machine=$(uname -m)
target=${STATIC_TARGET:-$machine-unknown-linux-musl}
if [ -z "${STATIC_TARGET:-}" ] && [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
    target=$machine-unknown-linux-gnu
fi
# Without a target of its own, the flag would hit what runs at build time too.
RUSTFLAGS='-C target-feature=+crt-static' CARGO_TARGET_DIR=$target_folder \
    cargo build --quiet --locked --profile "$profile" --package "$package" --target "$target"
echo "$target_folder/$target/$profile/$package"
