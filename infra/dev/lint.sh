#!/usr/bin/env bash
# lint.sh PATTERN...: every check that needs no test run. All of them run, so that
# one round shows everything; any finding fails.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root" || exit 1
failed=0

unformatted=$(gofmt -l $(git ls-files -co --exclude-standard '*.go' | while read -r f; do [ -f "$f" ] && echo "$f"; done))
if [ -n "$unformatted" ]; then
	printf 'not formatted (make fmt):\n%s\n' "$unformatted"
	failed=1
fi
for script in infra/dev/*.sh .ci/run; do
	bash -n "$script" || failed=1
done
go vet "$@" || failed=1
"$tools/golangci-lint" run --allow-parallel-runners "$@" || failed=1
go test -count=1 ./infra/dev/arrows || failed=1
exit $failed
