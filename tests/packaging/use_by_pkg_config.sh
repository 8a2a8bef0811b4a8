#!/usr/bin/env bash
# use_by_pkg_config.sh SOURCE BUILD COMPILER FLAGS PREFIX: compiles and runs a consumer of the
# installed library with what pkg-config says.
set -euo pipefail

source_file="$1" build_dir="$2" compiler="$3" flags="$4" prefix="$5"

rm -rf "$build_dir"
mkdir -p "$build_dir"
pc_file="$(find "$prefix" -name cairn.pc -print -quit)"
[[ -n "$pc_file" ]] || { echo "no cairn.pc under $prefix"; exit 1; }
export PKG_CONFIG_PATH="${pc_file%/*}"
libdir="$(pkg-config --variable=libdir cairn)"
linking=()
[[ -f "$libdir/libcairn.a" ]] && linking=(--static)
standard=c++20
[[ "$source_file" == *.c ]] && standard=c11
# Word splitting is what compiler flags need.
# shellcheck disable=SC2046,SC2086
"$compiler" -std=$standard $flags "$source_file" -o "$build_dir/consumer" \
  $(pkg-config --cflags cairn) $(pkg-config "${linking[@]}" --libs cairn)
cd "$build_dir"
LD_LIBRARY_PATH="$libdir" ./consumer
