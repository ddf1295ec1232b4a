#!/usr/bin/env bash
# Puts the pinned ONNX Runtime library into the cache folder and beside the
# binary (bin/lib). It is opened at run time, so building does not need it.
# The library comes from the npm package onnxruntime-node, which ships Microsoft's
# own build for every platform in one tarball.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=1.30.0
tarball_sha=6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75

case "$(uname -s)/$(uname -m)" in
Linux/x86_64)
	member=linux/x64/libonnxruntime.so.1 file=libonnxruntime.so.1
	sha=ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23
	;;
Linux/aarch64 | Linux/arm64)
	member=linux/arm64/libonnxruntime.so.1 file=libonnxruntime.so.1
	sha=1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76
	;;
Darwin/arm64)
	member=darwin/arm64/libonnxruntime.1.dylib file=libonnxruntime.dylib
	sha=685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d
	;;
*)
	die "no ONNX Runtime $version is pinned for $(uname -s)/$(uname -m)." \
		"Install ONNX Runtime $version yourself and set TIDEMILL_ONNXRUNTIME to its shared library."
	;;
esac

# Beside-the-cache temporary, so that the last step is one rename: two setups at
# once both end with a whole file.
if ! is_file_with "$cache/$file" "$sha"; then
	say "fetching ONNX Runtime $version (about 110 MB, once)"
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/.onnxruntime.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	tarball=$(npm_tarball "onnxruntime-node@$version" "$tarball_sha" "$tmp")
	tar -xzf "$tarball" -C "$tmp" "package/bin/napi-v6/$member"
	lib=$tmp/package/bin/napi-v6/$member
	is_file_with "$lib" "$sha" || die "$member in onnxruntime-node@$version has sha256 $(sha256 "$lib"), expected $sha."
	chmod 0644 "$lib"
	mv -f "$lib" "$cache/$file"
fi

beside=$root/bin/lib/$file
if ! is_file_with "$beside" "$sha"; then
	mkdir -p "$root/bin/lib"
	ln -f "$cache/$file" "$beside.$$" 2>/dev/null || cp "$cache/$file" "$beside.$$"
	mv -f "$beside.$$" "$beside"
fi
