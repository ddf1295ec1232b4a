#!/usr/bin/env bash
# Makes examples/flights/flights.parquet again from its source, the npm package
# vega-datasets. The result is in the repository: nothing else needs this.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

package=vega-datasets@3.2.1
package_sha=6f72fda460a9863fae5fcb32f85bcd49e1761fdea6dc6cf9f4962472881cc5a3
source_sha=dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tarball=$(npm_tarball "$package" "$package_sha" "$tmp")
tar -xzf "$tarball" -C "$tmp" package/data/flights-3m.parquet
is_file_with "$tmp/package/data/flights-3m.parquet" "$source_sha" ||
	die "flights-3m.parquet in $package is not the file that was pinned (sha256 $source_sha)."
cd "$root"
go run ./infra/dev/flights -from "$tmp/package/data/flights-3m.parquet" -to examples/flights/flights.parquet
