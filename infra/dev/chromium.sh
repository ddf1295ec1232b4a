#!/usr/bin/env bash
# Makes sure that a Chromium is there for the browser tests. They take
# TIDEMILL_CHROMIUM, else the first of the names below on PATH.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -n "${TIDEMILL_CHROMIUM:-}" ]; then
	[ -x "$TIDEMILL_CHROMIUM" ] && exit 0
	die "TIDEMILL_CHROMIUM is $TIDEMILL_CHROMIUM, which is not a program." "Point it at Chromium or Chrome, or unset it."
fi
for name in chromium chromium-browser google-chrome; do
	if have "$name"; then exit 0; fi
done

if [ "$(id -u)" = 0 ] && have apt-get; then
	say "installing Chromium with apt-get"
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	if apt-get update >"$log" 2>&1 </dev/null &&
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium >>"$log" 2>&1 </dev/null; then
		exit 0
	fi
	die "apt-get could not install chromium:" "$(tail -n 5 "$log")"
fi
die "the browser tests need Chromium or Chrome." \
	"Debian: sudo apt-get install chromium.  Ubuntu: sudo snap install chromium.  macOS: brew install --cask chromium." \
	"Or set TIDEMILL_CHROMIUM to the program."
