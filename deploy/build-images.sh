#!/usr/bin/env bash
# Builds the webhook and the shim as static programs and packs each as an OCI archive, with buildah and without a daemon:
#
#   deploy/build-images.sh [TARGET_FOLDER [WEBHOOK]]
#
# WEBHOOK is a static program that is the webhook, as the tests have it; without it, that is built, as it is to be released.
# STATIC_TARGET, as for deploy/build-static.sh, chooses the architecture, such as aarch64-unknown-linux-musl; without it that is
# this machine's. Nothing is run in the images. Two runs on the same sources and tools give the same digests.
set -euo pipefail
cd "$(dirname "$0")/.."

target_folder=${1:-${CARGO_TARGET_DIR:-target}}
mkdir -p "$target_folder/images"
target_folder=$(realpath "$target_folder")

if ! command -v buildah >/dev/null; then
    echo 'missing: buildah, which packs the images (Debian and Ubuntu: apt install buildah; Fedora: dnf install buildah)' >&2
    exit 1
fi

work=$(mktemp -d "$target_folder/images/work.XXXXXX")
finish() {
    # Where buildah has made a user namespace, what it leaves can only be removed in there.
    rm -rf "$work" 2>/dev/null || buildah unshare rm -rf "$work"
}
trap finish EXIT

# As the OCI image specification names architectures, which is as Go does.
machine=${STATIC_TARGET:-$(uname -m)}
case ${machine%%-*} in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
powerpc64le) architecture=ppc64le ;;
riscv64*) architecture=riscv64 ;;
*) architecture=${machine%%-*} ;;
esac

storage=(--storage-driver vfs --root "$work/storage" --runroot "$work/run")
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
# The image's own policy for signatures says nothing about an image that comes from nowhere.
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$work/policy.json"

# pack NAME LIMIT CONTAINERFILE PROGRAM [FURTHER_NAME...]: packs a program, under its own name and under further ones, which
# are hard links, so that there is one copy of it. LIMIT is the most that the program may have, unit: bytes; every node
# pulls the images, and the last one of a drain pulls them while Pods wait.
pack() {
    local name=$1 limit=$2 containerfile=$3 program=$4
    shift 4
    local archive=$target_folder/images/$name.oci.tar root=$work/$name/root further
    if [ "$(stat -c %s "$program")" -gt "$limit" ]; then
        echo "$program has $(stat -c %s "$program") bytes, more than the $limit that its image may have" >&2
        exit 1
    fi
    mkdir -p "$root"
    install -m 0555 "$program" "$root/$name"
    for further in "$@"; do ln "$root/$name" "$root/$further"; done
    # What is inside must tell the same on every machine, whatever the umask.
    chmod 0755 "$root"

    rm -f "$archive"
    buildah "${storage[@]}" bud --quiet --layers=false --isolation chroot --format oci --timestamp 0 \
        --os linux --arch "$architecture" \
        --identity-label=false --signature-policy "$work/policy.json" \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
        --file "$containerfile" --tag "fermata/$name:$version" "$work/$name" >/dev/null
    buildah "${storage[@]}" push --quiet --signature-policy "$work/policy.json" --digestfile "$work/digest" \
        "fermata/$name:$version" "oci-archive:$archive:fermata/$name:$version"

    echo "fermata/$name:$version"
    echo "  archive  $archive"
    echo "  size     $(stat -c %s "$archive") bytes; that of the program $(stat -c %s "$program") bytes"
    echo "  program  $program"
    echo "  digest   $(cat "$work/digest")"
}

shim=$(deploy/build-static.sh fermata-shim shim "$target_folder")
pack fermata-shim 1500000 deploy/Containerfile.shim "$shim" dumb-init tini
if [ -n "${2:-}" ]; then
    # What only a debugger reads, nodes need not pull.
    strip -o "$target_folder/images/fermata" "$2"
    pack fermata 50000000 deploy/Containerfile "$target_folder/images/fermata"
else
    webhook=$(deploy/build-static.sh fermata release "$target_folder")
    pack fermata 25000000 deploy/Containerfile "$webhook"
fi
