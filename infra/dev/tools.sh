#!/usr/bin/env bash
# tools.sh lint|gotools: builds the pinned Go tools into .tools/bin. The Go
# checksum database vouches for the sources; the version is read back from the
# binary, so a moved pin rebuilds and an unmoved one does nothing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

golangci=v2.15.0
govulncheck=v1.9.0

# tool NAME PACKAGE VERSION
tool() {
	if [ -x "$tools/$1" ] && go version -m "$tools/$1" 2>/dev/null | grep -q "^	mod	.*	$3	"; then return 0; fi
	have go || die "Go 1.26 is needed to build $1." "Install it from your system's packages or go.dev."
	say "building $1 $3 (once)"
	# Outside the checkout: tools must not resolve through go.work.
	(cd "$HOME" && GOWORK=off GOBIN=$tools go install "$2@$3") ||
		die "$1 $3 could not be built." "Check the network and GOPROXY, then run this again."
}

mkdir -p "$tools"
case "${1:-}" in
lint) tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci" ;;
gotools) tool govulncheck golang.org/x/vuln/cmd/govulncheck "$govulncheck" ;;
*) die "usage: infra/dev/tools.sh lint|gotools" ;;
esac
