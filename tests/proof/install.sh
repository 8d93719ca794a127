#!/usr/bin/env bash
# Installs what the experiment needs on Debian and Ubuntu: the proxy, the real server, a module that lets that one take its
# time for an answer, and what packs the images.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../install-packages.sh" proof nginx libnginx-mod-http-echo buildah
