#!/usr/bin/env bash
# Searches with every leaf scanned and every row reranked must name what `cairn truth` names, byte for
# byte: each fetched data set (and SIFT if it is there), each metric, 1,000 queries.
#
#   check_exactness.sh [DATA]     DATA: data/ in the project by default; see bench/data/fetch.sh
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

data_dir="${1:-$project_dir/data}"
build_release cairn_cli
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

first_file() {
  local file
  for file in "$@"; do
    [[ ! -f "$file" ]] || { printf '%s' "$file"; return; }
  done
}

checked=0
for dir in "$data_dir"/*/; do
  name="$(basename "$dir")"
  base="$(first_file "$dir/base.fbin" "$dir/base.u8bin")"
  query="$(first_file "$dir/query.fbin" "$dir/query.u8bin")"
  [[ -n "$base" && -n "$query" ]] || continue
  "$cairn" convert --rows 1000 "$query" "$work/query.fbin" >/dev/null
  for metric in l2 ip cosine; do
    "$cairn" truth --input "$base" --queries "$work/query.fbin" --k 10 --metric "$metric" \
      --output "$work/truth.ibin" >/dev/null
    "$cairn" build --input "$base" --metric "$metric" --output "$work/index.cairn" >/dev/null
    "$cairn" search --index "$work/index.cairn" --queries "$work/query.fbin" --k 10 \
      --probes 1000000000 --rerank 1000000000 --distances --output "$work/found.ibin" >/dev/null
    cmp "$work/truth.ibin" "$work/found.ibin" || fail "$name, $metric: other ids"
    cmp "$work/truth.distances.fbin" "$work/found.distances.fbin" || fail "$name, $metric: other distances"
    printf '%-20s %-7s 1000 queries: the same ids and distances\n' "$name" "$metric"
    checked=$((checked + 1))
  done
done
[[ $checked -gt 0 ]] || fail "no data set under $data_dir: run bench/data/fetch.sh first"
