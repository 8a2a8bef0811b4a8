#!/usr/bin/env bash
# check_headers.sh ROOT COMPILER: every header compiles alone; public ones with nothing but include/ (and Eigen for eigen.h).
set -euo pipefail

cd "$1"
compiler="$2"
check=("$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -Wno-unused -x c++)

compile_all() { # include flags, then headers on standard input; each as if included by a .cc
  xargs -P "$(nproc)" -I{} bash -c 'header="$1"; shift
    "$@" - <<<"#include \"$header\"" || { echo "does not compile alone: $header"; exit 1; }' \
    _ {} "${check[@]}" "$@"
}

# Kernel bodies are compiled inside their instruction set's file, never alone.
find include/cairn -name '*.h' ! -name eigen.h -printf '%P\n' | sed 's|^|cairn/|' |
  compile_all -Iinclude
echo cairn/eigen.h | compile_all -Iinclude -isystem /usr/include/eigen3
find base quantize storage index serve -name '*.h' ! -path 'quantize/kernels/*_body.h' |
  compile_all -I. -Iinclude -isystem /usr/include/eigen3 -fopenmp
