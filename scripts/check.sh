#!/usr/bin/env bash
# The project's checks. `make test` runs all of them, `make test-<piece>` one; the Makefile has set up what a
# piece needs from PyPI before it calls this.
#
#   scripts/check.sh <piece>   layers text format lint types cpp clang asan tsan python
#   scripts/check.sh all       every piece but tsan; its last lines name what failed and what was skipped
#
# A piece whose system tool is missing (no clang, say) is skipped by name. With STREAMSTORE_NO_SKIP=1, as in
# .ci/run, skipping is a failure.
# shellcheck disable=SC2317  # the checks are called by name
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

pieces=(layers text format lint types cpp clang asan python)
skipped_list=${STREAMSTORE_SKIPPED_LIST:-}

# skip <reason>: ends the piece, unless nothing may be skipped.
skip() {
  [[ -z ${STREAMSTORE_NO_SKIP:-} ]] || die "test-$piece would be skipped: $*"
  say "skipped test-$piece: $*"
  [[ -z $skipped_list ]] || printf 'test-%s: %s\n' "$piece" "$*" >>"$skipped_list"
  exit 0
}

# sources <pattern>…: the project's files that match, tracked or not yet.
sources() { git ls-files --cached --others --exclude-standard --deduplicate -- "$@" | existing; }

existing() {
  local file
  while read -r file; do
    [[ ! -f $file ]] || printf '%s\n' "$file"
  done
}

need_googletest() {
  local probe='#include <gtest/gtest.h>'
  echo "$probe" | compiles "$(find_gcc)" -fsyntax-only && return
  if can_apt && apt_install libgtest-dev; then
    return
  fi
  skip "GoogleTest is missing (Debian and Ubuntu: apt-get install libgtest-dev)"
}

check_layers() { python3 scripts/check_layers.py; }

check_text() {
  sources . | xargs -d '\n' codespell
  if ! command -v shellcheck >/dev/null; then
    skip "shellcheck is missing, only spelling was checked (Debian and Ubuntu: apt-get install shellcheck)"
  fi
  sources '*.sh' .ci/run | xargs -d '\n' shellcheck -x
}

check_format() {
  local cpp python wrong
  cpp=$(sources '*.h' '*.cc' | xargs -d '\n' clang-format --dry-run 2>&1) || die "clang-format: $cpp"
  python=$(ruff format --check . 2>&1) || (($? == 1)) || die "ruff: $python"
  wrong=$(
    sed -n 's/^\([^:]*:[0-9]*\):.*clang-format-violations.*/\1/p' <<<"$cpp" | uniq
    sed -n 's/^Would reformat: //p' <<<"$python"
  )
  if [[ -n $wrong ]]; then
    printf '%s\n' "$wrong" >&2
    die "these places are not laid out as clang-format and ruff do it; run make format"
  fi
}

check_lint() { ruff check .; }

check_types() { mypy; }

# build <preset> <cmake options…>: configures and builds one preset.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >"build/$preset.log" || {
    cat "build/$preset.log"
    die "configuring the preset $preset failed"
  }
  cmake --build --preset "$preset" -j "$jobs"
}

# build_headers <preset>: compiles each public header alone.
build_headers() { cmake --build --preset "$1" -j "$jobs" --target all_verify_interface_header_sets; }

# run_ctest <preset>: runs its tests; a test that skipped itself counts as skipped.
run_ctest() {
  local log="build/$1-tests.log"
  ctest --preset "$1" -j "$jobs" | tee "$log" | sed -u '/^ *Start /d'
  if grep -q 'did not run:' "$log"; then
    skip "tests that skipped themselves:$(sed -n 's/^.*[0-9] - \(.*\) (Skipped)/ \1/p' "$log" | tr '\n' ' ')"
  fi
}

check_cpp() {
  need_googletest
  build release -DCMAKE_CXX_COMPILER="$(find_gcc)"
  build_headers release
  run_ctest release
}

check_clang() {
  need_googletest
  local clang
  clang=$(find_clang) || skip "no clang++ 14 or newer (Debian and Ubuntu: apt-get install clang)"
  build clang -DCMAKE_CXX_COMPILER="$clang" \
    -DSTREAMSTORE_BUILD_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python"
  build_headers clang
}

check_sanitized() {
  need_googletest
  local compiler
  compiler=$(find_gcc)
  echo 'int main() {}' | compiles "$compiler" "-fsanitize=$2" ||
    skip "$compiler cannot link -fsanitize=$2 (its sanitizer runtime is missing)"
  build "$1" -DCMAKE_CXX_COMPILER="$compiler"
  run_ctest "$1"
}

check_asan() {
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  export CRASHES=${CRASHES:-20000} # five times slower here; test-cpp runs all 100,000
  check_sanitized asan address,undefined
}

check_tsan() { check_sanitized tsan thread; }

check_python() { python -m pytest -n "$jobs"; }

check_all() {
  local name began=$SECONDS failed=()
  export STREAMSTORE_SKIPPED_LIST=$root/build/skipped.txt
  mkdir -p build
  : >"$STREAMSTORE_SKIPPED_LIST"
  for name in "${pieces[@]}"; do
    local start=$SECONDS
    say "test-$name"
    if ${MAKE:-make} --no-print-directory "test-$name"; then
      say "test-$name took $((SECONDS - start)) s"
    else
      say "test-$name FAILED after $((SECONDS - start)) s"
      failed+=("test-$name")
    fi
  done
  printf '\nmake test: %d checks in %d min %d s, %d failed\n' "${#pieces[@]}" \
    $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "${#failed[@]}"
  if [[ -s $STREAMSTORE_SKIPPED_LIST ]]; then
    printf 'skipped, in whole or in part:\n'
    sed 's/^/  /' "$STREAMSTORE_SKIPPED_LIST"
  else
    printf 'nothing was skipped\n'
  fi
  if ((${#failed[@]})); then
    printf 'FAILED: %s\n' "${failed[*]}"
    exit 1
  fi
  printf 'all passed\n'
}

# In braces, so that bash has read all of it before a check runs and the file may change meanwhile.
{
  piece=${1:-}
  mkdir -p build
  case $piece in
    layers | text | format | lint | types | cpp | clang | asan | tsan | python | all) "check_$piece" ;;
    *) die "usage: scripts/check.sh all | tsan | ${pieces[*]}" ;;
  esac
  exit
}
