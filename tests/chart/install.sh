#!/usr/bin/env bash
# Installs what evaluates the chart's alerts, on Debian and Ubuntu: promtool, which is in Prometheus' own package.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

command -v promtool >/dev/null || "$here/../install-packages.sh" alerts prometheus
