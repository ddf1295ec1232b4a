# Shared by the setup scripts; sourced, never run. Bash 3.2 (macOS) is enough.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${TIDEMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tidemill}
tools=$root/.tools/bin

say() { printf '%s\n' "setup: $*" >&2; }

# die MESSAGE... prints what went wrong and what to do, one line per argument.
die() {
	printf 'setup: %s\n' "$@" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

sha256() {
	if have sha256sum; then
		sha256sum <"$1" | cut -d' ' -f1
	else
		shasum -a 256 <"$1" | cut -d' ' -f1
	fi
}

# is_file_with FILE SHA256: the file is there, and is the one that we pinned.
is_file_with() { [ -f "$1" ] && [ "$(sha256 "$1")" = "$2" ]; }

# npm_tarball PACKAGE@VERSION SHA256 DIR downloads one package without running
# any of its scripts, checks it and prints the path of the tarball in DIR.
npm_tarball() {
	have npm || die "npm is needed to fetch $1." "Install Node.js 20 or newer, then run this again."
	local name
	name=$(cd "$3" && npm pack --silent --ignore-scripts "$1" 2>"$3/npm.log" </dev/null | tail -n 1) ||
		die "npm could not fetch $1:" "$(tail -n 5 "$3/npm.log")" "Check the network and npm's registry setting, then run this again."
	is_file_with "$3/$name" "$2" ||
		die "$1 is not the package that was pinned (sha256 $(sha256 "$3/$name"), expected $2)." \
			"If the registry is trusted, look at what changed before touching the pin."
	printf '%s\n' "$3/$name"
}
