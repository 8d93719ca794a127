#!/usr/bin/env bash
# Installs what the shim is tested against, on Debian and Ubuntu: the servers of the profiles, of which it starts none,
# the inits that it can replace, and what packs its image.
#
# A second run finds all in place and asks no package registry.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

packages=(dumb-init tini buildah
	nginx apache2-bin haproxy php-fpm puma unicorn passenger ruby-sidekiq redis-server postgresql)
# The JVM test compiles its program; any JDK that is there already will do, and so will any Node.
command -v javac >/dev/null || packages+=(default-jdk-headless)
command -v node >/dev/null || packages+=(nodejs)
# Debian splits what makes virtual environments off its Python.
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

# Passing --no-install-recommends keeps a C toolchain and a web console out.
install_packages() {
	local missing=() package
	for package in "${packages[@]}"; do
		[ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "peers: missing ${missing[*]}; root installs them" >&2
		return 1
	fi
	echo "peers: installing ${missing[*]}"
	forbid_services
	# No update where the lists are good enough: a refused version is what tells that they are not.
	apt_get install "${missing[@]}" || { apt_get update && apt_get install "${missing[@]}"; }
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get --quiet=2 --yes --no-install-recommends \
		--option DPkg::Lock::Timeout=300 --option Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 || {
		local code=$?
		[ "$1" = update ] || tail -n 20 "$log" >&2
		return $code
	}
}

# Debian starts what it installs. Its own way to forbid that is this file, which a container image already has.
forbid_services() {
	local policy=/usr/sbin/policy-rc.d
	[ ! -e "$policy" ] || return 0
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
	trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
}

# Debian's gunicorn and uvicorn are years old, and uvicorn has changed how it ends since.
install_python_servers() {
	local pins python
	pins=$(sha256sum "$here/requirements.txt" | cut -c1-16)
	python="${XDG_CACHE_HOME:-$HOME/.cache}/fermata/servers-$pins"
	! cmp --quiet "$here/requirements.txt" "$python/complete" || return 0
	echo "peers: installing $(grep -E '^(gunicorn|uvicorn)' "$here/requirements.txt" | paste -sd ' ') into $python"
	rm -rf "$python"
	python3 -m venv "$python"
	"$python/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
		--requirement "$here/requirements.txt"
	cp "$here/requirements.txt" "$python/complete"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_packages
install_python_servers
