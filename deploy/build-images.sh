#!/usr/bin/env bash
# Builds the shim as a static program and packs it as an OCI archive, with buildah and without a daemon:
#
#   deploy/build-images.sh [TARGET_FOLDER]
#
# Nothing is run in the image. Two runs on the same sources and tools give the same digest.
set -euo pipefail
cd "$(dirname "$0")/.."

target_folder=${1:-${CARGO_TARGET_DIR:-target}}
mkdir -p "$target_folder/images"
target_folder=$(realpath "$target_folder")
archive=$target_folder/images/fermata-shim.oci.tar

if ! command -v buildah >/dev/null; then
    echo 'missing: buildah, which packs the image (Debian and Ubuntu: apt install buildah; Fedora: dnf install buildah)' >&2
    exit 1
fi

program=$(deploy/build-shim.sh "$target_folder")

work=$(mktemp -d "$target_folder/images/work.XXXXXX")
finish() {
    # Where buildah has made a user namespace, what it leaves can only be removed in there.
    rm -rf "$work" 2>/dev/null || buildah unshare rm -rf "$work"
}
trap finish EXIT

mkdir "$work/context" "$work/context/root"
install -m 0555 "$program" "$work/context/root/fermata-shim"
for name in dumb-init tini; do
    ln "$work/context/root/fermata-shim" "$work/context/root/$name"
done
# What is inside must tell the same on every machine, whatever the umask.
chmod 0755 "$work/context/root"

storage=(--storage-driver vfs --root "$work/storage" --runroot "$work/run")
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
rm -f "$archive"
# The image's own policy for signatures says nothing about an image that comes from nowhere.
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/policy.json"
buildah "${storage[@]}" bud --quiet --layers=false --isolation chroot --format oci --timestamp 0 \
    --identity-label=false --signature-policy "$work/policy.json" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
    --file deploy/Containerfile.shim --tag "fermata-shim:$version" "$work/context" >/dev/null
buildah "${storage[@]}" push --quiet --signature-policy "$work/policy.json" --digestfile "$work/digest" \
    "fermata-shim:$version" "oci-archive:$archive:fermata-shim:$version"

echo "fermata-shim:$version"
echo "  archive  $archive"
echo "  size     $(stat -c %s "$archive") bytes; that of the program $(stat -c %s "$program") bytes"
echo "  program  $program"
echo "  digest   $(cat "$work/digest")"
