#!/usr/bin/env bash
# Installs what a node needs beside the programs that are built from source, on Debian and Ubuntu.
set -euo pipefail
packages=(runc containernetworking-plugins iptables conntrack iproute2 mount util-linux)
# The test images are made of it. A static one that is there already will do: both packages exclude another.
if ! file=$(command -v busybox) || grep -q /ld- <(head -c 4096 "$file"); then packages+=(busybox-static); fi
exec "$(dirname "${BASH_SOURCE[0]}")/../install-packages.sh" node "${packages[@]}"
