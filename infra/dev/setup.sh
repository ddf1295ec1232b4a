#!/usr/bin/env bash
# Installs what building and testing need beyond Go, and says nothing when it is
# all there already.
#
#   infra/dev/setup.sh [onnxruntime|npm|chromium|python|lint|gotools|all]...
#
#   onnxruntime  the ONNX Runtime library, in the cache folder and in bin/lib
#   npm          the locked npm packages of the dashboard and the browser tests
#   chromium     a browser for the browser tests
#   python       the Python environment of the examples in Python
#   lint         golangci-lint, in .tools/bin
#   gotools      govulncheck, in .tools/bin
#   all          all of these (the default)
#
# The cache folder is TIDEMILL_CACHE, else $XDG_CACHE_HOME/tidemill, else
# ~/.cache/tidemill.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
	sed -n '5,17s/^# \{0,1\}//p' "$0"
}

[ $# -gt 0 ] || set -- all
for part in "$@"; do
	case "$part" in
	onnxruntime | npm | chromium) "$here/$part.sh" ;;
	python) "$here/python-venv.sh" "$here/../../examples/sklearn" >/dev/null ;;
	lint | gotools) "$here/tools.sh" "$part" ;;
	all)
		for each in onnxruntime npm chromium; do "$here/$each.sh"; done
		"$here/python-venv.sh" "$here/../../examples/sklearn" >/dev/null
		for each in lint gotools; do "$here/tools.sh" "$each"; done
		;;
	-h | --help | help) usage ;;
	*)
		printf 'setup: unknown part %s\n' "$part" >&2
		usage >&2
		exit 2
		;;
	esac
done
