#!/usr/bin/env bash
# Builds an index of at least 4 GiB of vectors (Fashion-MNIST rows, repeated with small changes) from a
# stream, watches the anonymous memory of the process (RssAnon) all the while, and fails if it exceeds
# a quarter of the vectors, or the limit given. Needs some 15 GB of disk; CI does not run it.
#
#   check_memory.sh [--rows N] [--limit SIZE] [DIRECTORY]
#
# --rows     of 768 dimensions, 1,450,000 by default (4.15 GiB)
# --limit    a --memory-limit to build with and to check, such as 600M
# DIRECTORY  for the files, a new temporary one by default
set -euo pipefail

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

rows=1450000
dim=768
limit=''
work=''
while [[ $# -gt 0 ]]; do
  case "$1" in
    --rows | --limit) [[ $# -ge 2 ]] || fail "$1 needs a value" ;;&
    --rows) rows="$2" && shift ;;
    --limit) limit="$2" && shift ;;
    -*) fail "unknown argument '$1': expected --rows, --limit or a directory" ;;
    *) work="$1" ;;
  esac
  shift
done
[[ "$rows" =~ ^[1-9][0-9]{0,9}$ ]] || fail "--rows $rows: expected a number"
if [[ -z "$work" ]]; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
fi

# SIZE as cairn reads it, in bytes.
bytes_of() { numfmt --from=iec "${1%[bB]}"; }

if [[ -z "${CAIRN:-}" ]]; then
  build_release cairn_cli repeat_rows
  CAIRN="$cairn"
  REPEAT_ROWS="$(find_program "$project_dir/build/release" repeat_rows)"
fi
base="${CAIRN_FASHION:-$project_dir/data/fashion-mnist-784/base.fbin}"
[[ -f "$base" ]] || bash "$project_dir/bench/data/fetch.sh" fashion

input="$work/rows-$rows.fbin"
if [[ ! -f "$input" ]]; then
  say "writing $rows x $dim vectors"
  "$REPEAT_ROWS" "$base" "$rows" "$dim" 0.1 "$input"
fi
allowed=$((rows * dim * 4 / 4))
options=()
if [[ -n "$limit" ]]; then
  allowed="$(bytes_of "$limit")"
  options=(--memory-limit "$limit")
fi

say "building"
"$CAIRN" build --input "$input" --output "$work/rows.cairn" "${options[@]}" &
pid=$!
peak=0
while kill -0 "$pid" 2>/dev/null; do
  now="$(awk '/^RssAnon:/ {print $2 * 1024}' "/proc/$pid/status" 2>/dev/null || true)"
  if [[ -n "$now" && "$now" -gt "$peak" ]]; then peak="$now"; fi
  sleep 0.05
done
wait "$pid" || fail "the build failed"
"$CAIRN" verify "$work/rows.cairn"
"$CAIRN" info "$work/rows.cairn"
rm "$work/rows.cairn"

printf '\nvectors %s, anonymous memory at most %s, allowed %s\n' \
  "$(numfmt --to=iec $((rows * dim * 4)))" "$(numfmt --to=iec "$peak")" "$(numfmt --to=iec "$allowed")"
[[ "$peak" -gt 0 && "$peak" -le "$allowed" ]] || fail "too much memory"
