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

"$here/../install-packages.sh" peers "${packages[@]}"
install_python_servers
