#!/usr/bin/env bash
# use_by_cmake.sh SOURCE BUILD CMAKE COMPILER FLAGS [-D...]: configures, builds and runs a consumer of
# the library in a fresh folder.
set -euo pipefail

source_dir="$1" build_dir="$2" cmake="$3" compiler="$4" flags="$5"
shift 5

rm -rf "$build_dir"
"$cmake" -S "$source_dir" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CXX_FLAGS="$flags" "$@"
"$cmake" --build "$build_dir" -j "$(nproc)"
cd "$build_dir"
./consumer
