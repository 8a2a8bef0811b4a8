#!/usr/bin/env bash
# Installs what is missing (as root, on Debian 12), builds everything with warnings as errors and runs
# every test. Needs nothing but git's checkout.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project_dir"

install_packages "${build_packages[@]}"
say "building"
cmake --preset ci >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
rm build-configure.log
cmake --build build/ci -j "$(nproc)"
say "testing"
ctest --test-dir build/ci --output-on-failure -j "$(nproc)" "$@"
