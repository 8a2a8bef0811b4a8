#!/usr/bin/env bash
# Measures queries whose full vectors are on disk: ways of reading them side by side, on Fashion-MNIST
# and on 500,000 x 768 of its rows repeated with small changes; then, as root on a machine with memory
# cgroups, queries in a quarter of the file's size of memory. Needs some 8 GB of disk; CI does not run it.
#
#   bench_cold.sh [--queries N] [--rows N] [DIRECTORY]
#
# --queries  per method, 200 by default
# --rows     of the large set, 500,000 by default
# DIRECTORY  for the files, on the disk to be measured; a new temporary one by default
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

queries=200
rows=500000
work=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --queries | --rows) [[ $# -ge 2 ]] || fail "$1 needs a value" ;;&
    --queries) queries="$2" && shift ;;
    --rows) rows="$2" && shift ;;
    -*) fail "unknown argument '$1': expected --queries, --rows or a directory" ;;
    *) work="$1" ;;
  esac
  shift
done
for number in "$queries" "$rows"; do
  [[ "$number" =~ ^[1-9][0-9]{0,9}$ ]] || fail "$number: expected a number"
done
if [[ -z "$work" ]]; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
fi

install_packages liburing-dev
build_release cairn_cli repeat_rows cairn_cold_reads cairn_cold_stalls
program() { find_program "$project_dir/build/release" "$1"; }
data="${CAIRN_FASHION_DIR:-$project_dir/data/fashion-mnist-784}"
[[ -f "$data/base.fbin" ]] || bash "$project_dir/bench/data/fetch.sh" fashion

if [[ ! -f "$work/large.cairn" ]]; then
  say "building $rows x 768"
  "$(program repeat_rows)" "$data/base.fbin" "$rows" 768 0.1 "$work/large.fbin"
  "$cairn" build --input "$work/large.fbin" --output "$work/large.cairn"
  rm "$work/large.fbin"
  "$(program repeat_rows)" "$data/query.fbin" 10000 768 0 "$work/large-query.fbin"
fi
if [[ ! -f "$work/fashion.cairn" ]]; then
  "$cairn" build --input "$data/base.fbin" --output "$work/fashion.cairn"
  cp "$data/query.fbin" "$work/fashion-query.fbin"
fi

for set in fashion large; do
  say "$set"
  "$(program cairn_cold_reads)" "$work/$set.cairn" "$work/$set-query.fbin" "$queries" 0.95 10 "$work"
done

# A cgroup of our own below the one we are in, of version 1 or 2; empty if there can be none.
make_group() {
  local path
  path="$(awk -F: '$2 ~ /(^|,)memory(,|$)/ {print $3}' /proc/self/cgroup)"
  if [[ -n "$path" && -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]]; then
    limit_file=memory.limit_in_bytes
    group="/sys/fs/cgroup/memory/cairn-cold-$$"
  elif grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null; then
    limit_file=memory.max
    group="/sys/fs/cgroup/cairn-cold-$$"
  else
    group=''
    return
  fi
  mkdir "$group" 2>/dev/null || group=''
}

make_group
if [[ -z "$group" ]]; then
  say "no memory cgroup can be made here: skipping queries in little memory"
  exit 0
fi
for set in fashion large; do
  bytes="$(stat -c %s "$work/$set.cairn")"
  say "$set, $((bytes / 1000000)) MB, in a quarter of it; cold: in memory enough, for comparison"
  stalls=("$work/$set.cairn" "$work/$set-query.fbin" 3000)
  "$(program cairn_cold_stalls)" cold "${stalls[@]}"
  echo $((bytes / 4)) >"$group/$limit_file"
  for mode in mapped locked safe; do
    # Pages in memory stay charged to the group that they were read by.
    dd if="$work/$set.cairn" iflag=nocache count=0 status=none
    bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' group "$group" \
      "$(program cairn_cold_stalls)" "$mode" "${stalls[@]}"
  done
done
rmdir "$group"
