#!/usr/bin/env bash
# Makes a Python environment with the pinned requirements of a folder, once, and
# prints its path:
#
#   infra/dev/python-venv.sh examples/lightgbm
#
# Environments live in the cache folder, one per content of requirements.txt and
# version of Python, named and marked as workers do it (workers/runtime/venv.go):
# a worker whose environments lie there finds this one and installs nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] && [ -f "$1/requirements.txt" ] || die "usage: infra/dev/python-venv.sh FOLDER (one with a requirements.txt)"
have python3 || die "python3 is needed for $1." "Install Python 3.11 or newer with its venv module, then run this again."
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
	die "$1 needs Python 3.11 or newer, this is $(python3 --version)."

version=$(python3 --version)
name=$(mktemp)
trap 'rm -f "$name"' EXIT
{ cat "$1/requirements.txt" && printf '\npython %s\n' "${version#Python }"; } >"$name"
venv=$cache/venvs/$(sha256 "$name" | cut -c1-16)
if [ ! -f "$venv/complete" ]; then
	say "installing the Python packages of $1 (about 700 MB, once)"
	mkdir -p "$cache/venvs"
	# Made under another name and renamed when whole. Scripts inside would name the
	# old path, so packages are run as modules only.
	tmp=$(mktemp -d "$cache/venvs/.new.XXXXXX")
	trap 'rm -rf "$name" "$tmp"' EXIT
	chmod 755 "$tmp" # trials may run as another user
	python3 -m venv "$tmp" || die "python3 could not make an environment." "On Debian: apt-get install python3-venv."
	"$tmp/bin/python" -m pip install --quiet --disable-pip-version-check -r "$1/requirements.txt" >&2 ||
		die "pip could not install $1/requirements.txt." "Check the network and pip's index setting, then run this again."
	touch "$tmp/complete"
	# Two setups at once: the first one wins, the other's work is thrown away.
	python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$tmp" "$venv" 2>/dev/null ||
		[ -f "$venv/complete" ] || die "could not put the environment at $venv."
fi
printf '%s\n' "$venv"
