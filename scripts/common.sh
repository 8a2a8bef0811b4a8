# Sourced by the other scripts: where the project is, its packages, its builds.

project_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

build_packages=(g++ cmake ninja-build pkg-config git python3 libeigen3-dev libxsimd-dev libxxhash-dev
  libcli11-dev nlohmann-json3-dev libgtest-dev libgmock-dev libbenchmark-dev libhnswlib-dev libzstd-dev
  libroaring-dev)

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

is_installed() { [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

# Installs those of the named Debian packages that are missing; needs root only if any is.
install_packages() {
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0
  say "installing ${missing[*]}"
  [[ $EUID -eq 0 ]] || fail "missing packages: ${missing[*]} (run as root, or install them)"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# The release build's target or targets; the path of the cairn command is in $cairn afterwards.
build_release() {
  install_packages "${build_packages[@]}"
  say "building $*"
  cmake -S "$project_dir" --preset release >/dev/null
  cmake --build "$project_dir/build/release" -j "$(nproc)" --target "$@"
  cairn="$(find_program "$project_dir/build/release" cairn)"
}

# The path of an executable that a build made.
find_program() {
  local found
  found="$(find "$1" -type f -name "$2" -perm -u+x -print -quit)"
  [[ -n "$found" ]] || fail "no program '$2' under $1"
  printf '%s' "$found"
}
