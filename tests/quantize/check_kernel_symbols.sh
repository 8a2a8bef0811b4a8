#!/bin/sh
# check_kernel_symbols.sh NM OBJECT...
# Fails if a kernel object exports a weak symbol outside the namespaces private to its instruction
# set: the linker would keep one copy of it for all, maybe one that this CPU cannot run.
set -eu
nm=$1
shift
status=0
checked=0
for object in "$@"; do
  case $object in
    *baseline*) isa=baseline ;;
    *avx512*) isa=avx512 ;;
    *avx2*) isa=avx2 ;;
    *) echo "$object: which instruction set is this?"; status=1; continue ;;
  esac
  symbols=$("$nm" -C "$object")
  case $symbols in
    *cairn::kernels::*) ;;
    *) echo "$object: no kernel in it"; status=1 ;;
  esac
  mergeable=$(printf '%s\n' "$symbols" | grep -E ' [WVu] ' |
    grep -vE " DW\.ref\.| __clang_call_terminate\$|xsimd_$isa::|Eigen_$isa::" || true)
  if [ -n "$mergeable" ]; then
    printf '%s: weak symbols:\n%s\n' "$object" "$mergeable"
    status=1
  fi
  checked=$((checked + 1))
done
if [ "$checked" -eq 0 ]; then
  echo "no kernel object given"
  status=1
fi
exit $status
