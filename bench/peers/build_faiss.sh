#!/usr/bin/env bash
# Compiles Debian's FAISS, from Debian's source package, for the machine that it is measured on:
#
#   build_faiss.sh DIRECTORY     the CMake package is in DIRECTORY/prefix/lib/cmake/faiss afterwards
#
# FAISS chooses its SIMD code when it is compiled. Debian's binary package runs on every x86-64, so it
# knows no AVX2, without which the scan of 4-bit codes is emulated.
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

directory="${1:?names the directory to build in}"
[[ ! -f "$directory/prefix/lib/cmake/faiss/faiss-config.cmake" ]] || exit 0

install_packages g++ cmake ninja-build dpkg-dev libopenblas-dev
say "FAISS: fetching Debian's source package"
rm -rf "$directory"
mkdir -p "$directory"/apt/{sources,lists/partial}
cd "$directory"

# The machine's own package sources, asked for source packages; its configuration stays as it is.
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
  [[ -f "$file" ]] || continue
  sed -E 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$file" >"apt/sources/$(basename "$file")"
done
apt_options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$PWD/apt/sources"
  -o "Dir::State::Lists=$PWD/apt/lists" -o APT::Sandbox::User=root)
apt-get "${apt_options[@]}" -qq update || true # one repository without sources spoils nothing
apt-get "${apt_options[@]}" -qq --only-source source faiss >/dev/null
sources=(faiss-*/)

say "FAISS: building"
cmake -G Ninja -S "${sources[0]}" -B build \
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS=-march=native \
  -DFAISS_ENABLE_GPU=OFF -DFAISS_ENABLE_PYTHON=OFF -DBUILD_TESTING=OFF \
  -DCMAKE_INSTALL_PREFIX="$PWD/prefix" -DCMAKE_INSTALL_LIBDIR=lib >configure.log
cmake --build build -j "$(nproc)" --target faiss
cmake --install build >/dev/null
