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

# name of the data's folder, of the page, title, metric, labels and what the gallery shows
run_set() {
  local dir="data/$1" page="report/$2" title="$3" metric="$4" kind="$5" base_labels="$6" query_labels="$7"
  say "$title: building the index"
  "$cairn" build --input "$dir/base.fbin" --output "$dir/index.cairn" --metric "$metric"

  say "$title: hnswlib"
  "$compare" --input "$dir/base.fbin" --queries "$dir/query.fbin" --truth "$dir/gt100.ibin" \
    --metric "$metric" --k 10 --ef "$efs" --repeats "$repeats" --cache "$dir/hnswlib.bin" \
    --json "$page.hnswlib.json"

  say "$title: Cairn"
  "$cairn" bench --index "$dir/index.cairn" --input "$dir/base.fbin" --queries "$dir/query.fbin" \
    --truth "$dir/gt100.ibin" --k 10 --recall "$recalls" --threads 1 \
    --peers "$page.hnswlib.json" --gallery "$kind" --labels "$dir/$base_labels" \
    --query-labels "$dir/$query_labels" --json "$page.json" --html "$page.html"
  python3 scripts/print_comparison.py "$page.json"
  pages+=("$project_dir/$page.html")
}

pages=()
for set in "${sets[@]}"; do
  bash bench/data/fetch.sh "$set"
  case "$set" in
    fashion)
      run_set fashion-mnist-784 fashion-mnist Fashion-MNIST l2 images labels.txt query_labels.txt
      ;;
    glove) run_set glove-100 glove GloVe cosine words words.txt query_words.txt ;;
  esac
done

say "pages to look at"
printf '%s\n' "${pages[@]}"
