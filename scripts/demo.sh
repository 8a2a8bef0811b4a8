#!/usr/bin/env bash
# Shows what Cairn does on real data, from nothing: packages, data, build, index, measurements beside
# Debian's hnswlib in the same run, and a page to look at.
#
#   demo.sh [--all] [--fast]
#
# --all   GloVe too, beside Fashion-MNIST
# --fast  fewer queries and settings
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project_dir"

sets=(fashion)
recalls=0.8,0.9,0.95,0.98,0.99,0.999
efs=10,20,40,80,160,320
repeats=3
for argument in "$@"; do
  case "$argument" in
    --all) sets+=(glove) ;;
    --fast)
      recalls=0.9,0.95,0.99
      efs=10,40,160
      repeats=1
      ;;
    *) fail "unknown argument '$argument': expected --all or --fast" ;;
  esac
done

build_release cairn_cli compare_hnswlib
export CAIRN="$cairn"
compare="$(find_program build/release compare_hnswlib)"
mkdir -p report

# run_set DATA_FOLDER PAGE TITLE METRIC BASE_LABELS QUERY_LABELS [more arguments of cairn bench]
run_set() {
  local dir="data/$1" page="report/$2" title="$3" metric="$4" labels="data/$1/$5"
  local query_labels="data/$1/$6"
  shift 6
  say "$title: hnswlib"
  "$compare" --input "$dir/base.fbin" --queries "$dir/query.fbin" --truth "$dir/gt100.ibin" \
    --metric "$metric" --k 10 --ef "$efs" --repeats "$repeats" --cache "$dir/hnswlib.bin" \
    --json "$page.hnswlib.json"
  { echo '['; cat "$page.hnswlib.json"; echo ']'; } >"$page.peers.json"

  say "$title: Cairn"
  "$cairn" bench --input "$dir/base.fbin" --queries "$dir/query.fbin" --truth "$dir/gt100.ibin" \
    --metric "$metric" --k 10 --recall "$recalls" --storage memory --repeat "$repeats" \
    --name "$title" --labels "$labels" --query-labels "$query_labels" "$@" \
    --peers "$page.peers.json" --json "$page.json" --html "$page.html"

  say "$title: Cairn beside hnswlib, one thread, one query at a time"
  python3 scripts/print_comparison.py "$page.json"
  pages+=("$project_dir/$page.html")
}

pages=()
for set in "${sets[@]}"; do
  bash bench/data/fetch.sh "$set"
  case "$set" in
    fashion)
      run_set fashion-mnist-784 fashion-mnist Fashion-MNIST l2 labels.txt query_labels.txt \
        --image-shape 28x28
      ;;
    glove) run_set glove-100 glove GloVe cosine words.txt query_words.txt ;;
  esac
done

say "pages to look at"
printf '%s\n' "${pages[@]}"
