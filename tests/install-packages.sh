#!/usr/bin/env bash
# Installs packages of Debian or Ubuntu that tests need, and starts none of what is in them:
#
#   tests/install-packages.sh WHO PACKAGE...
#
# WHO is named in messages. A second run finds all in place and asks no package registry.
set -euo pipefail
who=$1
shift

missing=()
for package; do
	[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
		missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "$who: missing ${missing[*]}; root installs them" >&2
	exit 1
fi

# Passing --no-install-recommends keeps a C toolchain and a web console out.
apt_get() {
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get --quiet=2 --yes --no-install-recommends \
		--option DPkg::Lock::Timeout=300 --option Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || {
		local code=$?
		[ "$1" = update ] || tail -n 20 "$log" >&2
		return $code
	}
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "$who: installing ${missing[*]}"
# Debian starts what it installs. Its own way to forbid that is this file, which a container image already has.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
	trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
fi
# No update where the lists are good enough: a refused version is what tells that they are not.
apt_get install "${missing[@]}" || { apt_get update && apt_get install "${missing[@]}"; }
