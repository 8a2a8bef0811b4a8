#!/usr/bin/env bash
# install_package.sh CMAKE BUILD PREFIX SOURCE: installs into an empty prefix and checks what came.
set -euo pipefail

cmake="$1" build_dir="$2" prefix="$3" source_dir="$4"

rm -rf "$prefix"
"$cmake" --install "$build_dir" --prefix "$prefix" >/dev/null

installed="$(cd "$prefix/include/cairn" && ls)"
public="$(cd "$source_dir/include/cairn" && ls)"
if [[ "$installed" != "$public" ]]; then
  printf 'installed headers:\n%s\nexpected:\n%s\n' "$installed" "$public"
  exit 1
fi
if [[ "$(ls "$prefix/include")" != cairn ]]; then
  echo "more than cairn/ under include"
  exit 1
fi
if [[ -e "$prefix/bin/cairn" ]]; then
  for file in share/man/man1/cairn.1 share/bash-completion/completions/cairn; do
    if [[ ! -s "$prefix/$file" ]]; then
      echo "$file is missing"
      exit 1
    fi
  done
  bash -n "$prefix/share/bash-completion/completions/cairn"
fi
# Nothing of this machine may leave it.
if grep -rIlF -e "$source_dir" -e "$build_dir/" --include='*.cmake' "$prefix"; then
  echo "these files name the source or build folder"
  exit 1
fi
