#!/usr/bin/env bash
# The test suite under AddressSanitizer and UndefinedBehaviorSanitizer (g++, Debug), then under
# ThreadSanitizer (clang and its OpenMP runtime). Arguments: dev, tsan or both (default).
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project_dir"

run_preset() {
  say "$1: building"
  cmake --preset "$1" >/dev/null
  cmake --build "build/$1" -j "$(nproc)"
  say "$1: testing"
  ctest --test-dir "build/$1" --output-on-failure -j "$(nproc)"
}

presets=("$@")
[[ ${#presets[@]} -gt 0 ]] || presets=(dev tsan)
for preset in "${presets[@]}"; do
  case "$preset" in
    dev)
      install_packages "${build_packages[@]}"
      export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
      export UBSAN_OPTIONS=print_stacktrace=1
      ;;
    tsan)
      install_packages "${build_packages[@]}" clang libomp-dev
      # Archer tells ThreadSanitizer of OpenMP's own synchronisation.
      export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1
      ;;
    *) fail "unknown preset '$preset': expected dev or tsan" ;;
  esac
  run_preset "$preset"
done
