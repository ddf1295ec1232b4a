#!/usr/bin/env bash
# Installs the locked npm packages of every folder that has a package-lock.json,
# when the lock is not the one that node_modules was made from.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

find "$root" -name node_modules -prune -o -name .git -prune -o -name package-lock.json -print |
	while IFS= read -r lock; do
		dir=$(dirname "$lock")
		stamp=$dir/node_modules/.tidemill-lock
		want=$(sha256 "$lock")
		if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then continue; fi
		have npm || die "npm is needed for ${dir#"$root"/}." "Install Node.js 20 or newer, then run this again."
		say "installing npm packages of ${dir#"$root"/}"
		(cd "$dir" && npm ci --silent --no-audit --no-fund </dev/null) ||
			die "npm ci failed in ${dir#"$root"/}." "Run it there by hand to see why."
		printf '%s\n' "$want" >"$stamp"
	done
