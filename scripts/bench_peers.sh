#!/usr/bin/env bash
# Measures Cairn beside its peers, hnswlib and FAISS, from nothing: packages, builds, data, indexes,
# then all libraries in turn on one core. Prints tables for each data set and writes report/peers.json
# and report/peers.html.
#
#   bench_peers.sh [--sets fashion,glove,sift] [--rounds N] [--queries N] [--fast] [--no-faiss]
#
# --sets      which data sets; sift needs CAIRN_SIFT_DIR, see bench/data/fetch.sh
# --rounds    how often each library is measured, 3 by default; medians count
# --queries   only the first N queries
# --fast      the first 1,000 queries, one round
# --no-faiss  without FAISS, which takes minutes to compile
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$project_dir"

sets=fashion,glove,sift
rounds=''
queries=''
with_faiss=yes
default_rounds=3
default_queries=''

is_number() { [[ "$1" =~ ^[1-9][0-9]{0,8}$ ]]; }

while [[ $# -gt 0 ]]; do
  case "$1" in
    --sets | --rounds | --queries) [[ $# -ge 2 ]] || fail "$1 needs a value" ;;&
    --sets) sets="$2" && shift ;;
    --rounds) rounds="$2" && shift ;;
    --queries) queries="$2" && shift ;;
    --fast) default_rounds=1 default_queries=1000 ;;
    --no-faiss) with_faiss='' ;;
    *) fail "unknown argument '$1': expected --sets, --rounds, --queries, --fast or --no-faiss" ;;
  esac
  shift
done
rounds="${rounds:-$default_rounds}"
queries="${queries:-$default_queries}"
is_number "$rounds" || fail "--rounds $rounds: expected a number"
[[ -z "$queries" ]] || is_number "$queries" || fail "--queries $queries: expected a number"
IFS=, read -r -a asked_sets <<<"$sets"
chosen_sets=()
for set in "${asked_sets[@]}"; do
  case "$set" in
    fashion | glove) chosen_sets+=("$set") ;;
    sift)
      if [[ -n "${CAIRN_SIFT_DIR:-}" ]]; then
        chosen_sets+=(sift)
      else
        say "skipping sift: CAIRN_SIFT_DIR names no directory with base.u8bin and query.u8bin"
      fi
      ;;
    *) fail "unknown data set '$set': expected fashion, glove or sift" ;;
  esac
done
[[ ${#chosen_sets[@]} -gt 0 ]] || fail "no data set to measure"

programs=(cairn_cli compare_hnswlib)
if [[ -n "$with_faiss" ]]; then
  install_packages "${build_packages[@]}"
  faiss_dir="$project_dir/build/faiss"
  if bash bench/peers/build_faiss.sh "$faiss_dir"; then
    cmake --preset release -Dfaiss_DIR="$faiss_dir/prefix/lib/cmake/faiss" >/dev/null
  else
    say "FAISS could not be compiled: Debian's binary instead, which knows no AVX2 (GENERIC)"
    install_packages libfaiss-dev libopenblas-dev
    cmake --preset release -Ufaiss_DIR >/dev/null
  fi
  programs+=(compare_faiss)
fi
build_release "${programs[@]}"
export CAIRN="$cairn" PYTHONDONTWRITEBYTECODE=1
options=(--rounds "$rounds" --cairn "$cairn"
  --hnswlib "$(find_program build/release compare_hnswlib)")
[[ -z "$with_faiss" ]] || options+=(--faiss "$(find_program build/release compare_faiss)")
[[ -z "$queries" ]] || options+=(--queries "$queries")

# measure_set DATA_FOLDER TITLE METRIC
measure_set() {
  say "$2: measuring"
  results+=("report/peers/$1.json")
  python3 bench/peers/measure_peers.py --name "$2" --metric "$3" --data "data/$1" \
    --output "report/peers/$1.json" "${options[@]}"
}

results=()
for set in "${chosen_sets[@]}"; do
  bash bench/data/fetch.sh "$set"
  case "$set" in
    fashion) measure_set fashion-mnist-784 Fashion-MNIST l2 ;;
    glove) measure_set glove-100 GloVe cosine ;;
    sift)
      read -r rows dim <<<"$(od -An -tu4 -N8 "$CAIRN_SIFT_DIR/base.u8bin")"
      measure_set "sift-$dim-$rows" SIFT l2
      ;;
  esac
done

say "all libraries on one thread, one query at a time"
python3 bench/peers/report_peers.py --json report/peers.json --html report/peers.html \
  "${results[@]}"
