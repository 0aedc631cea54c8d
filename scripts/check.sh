#!/usr/bin/env bash
# The project's checks. `make test` runs all of them, `make test-<piece>` one; the Makefile has set up what a
# piece needs from PyPI before it calls this.
#
#   scripts/check.sh <piece>   layers text format lint types cpp speed tidy asan tsan python package docs
#   scripts/check.sh fuzz      libFuzzer, for as long as SECONDS_EACH says; campaign: the long crash tests
#   scripts/check.sh all       every piece; its last lines name what failed and what was skipped
#
# A piece whose system tool is missing (no clang, say) is skipped by name. With STREAMSTORE_NO_SKIP=1, as in
# .ci/run, skipping is a failure.
# shellcheck disable=SC2317  # the checks are called by name
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

pieces=(layers text format lint types cpp speed tidy asan tsan python package docs)
least_coverage=95 # percent of lines
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

need_valgrind() {
  command -v valgrind >/dev/null && return
  if can_apt && apt_install valgrind; then
    return
  fi
  skip "valgrind is missing (Debian and Ubuntu: apt-get install valgrind)"
}

check_layers() { python3 scripts/check_layers.py; }

check_text() {
  sources . ':!tests/fuzz/corpus' | xargs -d '\n' codespell
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

# build <preset> <cmake options…>: configures and builds one preset; `target` may name a part of it.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" "$@" >"build/$preset.log" || {
    cat "build/$preset.log"
    die "configuring the preset $preset failed"
  }
  cmake --build --preset "$preset" -j "$jobs" --target "${target:-all}"
}

# build_headers <preset>: compiles each public header alone.
build_headers() { cmake --build --preset "$1" -j "$jobs" --target all_verify_interface_header_sets; }

# run_ctest <preset> <options…>: runs its tests; a test that skipped itself counts as skipped.
run_ctest() {
  local log="build/$1-tests.log"
  ctest --preset "$1" -j "$jobs" "${@:2}" | tee "$log" | sed -u '/^ *Start /d'
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

# The instructions of the hot paths against benchmarks/guard/counts.json; ACCEPT=1 writes that file anew.
check_speed() {
  need_valgrind
  need_googletest # the preset's, whose library this takes
  local accept=() status=0
  [[ -z ${ACCEPT:-} ]] || accept=(--accept)
  target=speed_guard build release -DCMAKE_CXX_COMPILER="$(find_gcc)"
  python benchmarks/guard/speed_guard.py build/release/benchmarks/guard/speed_guard "${accept[@]}" || status=$?
  if ((status == 77)); then
    skip "the stored counts are of another kind of processor, see above"
  fi
  return "$status"
}

# Each file of the library and of the extension: clang's warnings, and what .clang-tidy asks for. clang's static
# analyzer takes six times as long as all the rest: ANALYZE=1 asks for it.
check_tidy() {
  local analyzer=(--checks=-clang-analyzer-*)
  [[ -z ${ANALYZE:-} ]] || analyzer=()
  cmake --preset dev -DCMAKE_CXX_COMPILER="$(find_gcc)" -DSTREAMSTORE_BUILD_TESTS=OFF -B build/tidy \
    -DSTREAMSTORE_BUILD_PYTHON=ON -DPython_EXECUTABLE="$venv/bin/python" >build/tidy.log
  sources 'src/*.cc' 'python/*.cc' |
    xargs -P "$jobs" -n 4 clang-tidy -p build/tidy --quiet --extra-arg=-Wno-deprecated-declarations "${analyzer[@]}"
}

# sanitized <preset> <sanitizers> <options…>: with clang, which compiles it in half the time and is the second
# compiler that must take every file of the library; with g++ where there is no clang.
sanitized() {
  local preset=$1 sanitizers=$2 compiler
  shift 2
  need_googletest
  compiler=$(find_clang) || compiler=$(find_gcc)
  echo 'int main() {}' | compiles "$compiler" "-fsanitize=$sanitizers" ||
    skip "$compiler cannot link -fsanitize=$sanitizers (Debian and Ubuntu: apt-get install clang-14 libclang-rt-14-dev)"
  build "$preset" -DCMAKE_CXX_COMPILER="$compiler" "$@"
}

# Under the sanitizers, counting the lines of the library that run.
check_asan() {
  local compiler
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  export CRASHES=${CRASHES:-20000} EFFORT=${EFFORT:-10} # five times slower here; test-cpp does all of it
  sanitized asan address,undefined -DSTREAMSTORE_COVERAGE=ON
  build_headers asan
  find build/asan -name '*.gcda' -delete
  run_ctest asan
  compiler=$(find_clang) ||
    skip "no clang++ 14 or newer, so only one compiler built it (Debian and Ubuntu: apt-get install clang)"
  count_lines "$compiler"
}

# Lines of the library that the C++ tests ran; build/coverage.html shows which they did not.
count_lines() {
  local cov=llvm-cov${1##*clang++}
  command -v "$cov" >/dev/null || cov=llvm-cov
  command -v "$cov" >/dev/null ||
    skip "llvm-cov is missing, lines were not counted (Debian and Ubuntu: apt-get install llvm-14)"
  gcovr --root . --object-directory build/asan --filter src/ --filter include/ --gcov-executable "$cov gcov" \
    --merge-lines --gcov-ignore-parse-errors \
    --html-details build/coverage.html --txt build/coverage.txt --fail-under-line "$least_coverage"
  tail -n 4 build/coverage.txt
}

# The tests that run threads: marked so where they are declared.
check_tsan() {
  target=threads_tests sanitized tsan thread
  run_ctest tsan -L threads
}

# The long crash tests; see scripts/campaign.py.
check_campaign() {
  need_googletest
  build release -DCMAKE_CXX_COMPILER="$(find_gcc)"
  python scripts/campaign.py
}

# libFuzzer on each target, beginning with the corpus; what it finds new stays in build/fuzz-corpus.
check_fuzz() {
  local clang target
  clang=$(find_clang) || die "fuzzing needs clang++ 14 or newer (Debian and Ubuntu: apt-get install clang-14 libclang-rt-14-dev)"
  build fuzz -DCMAKE_CXX_COMPILER="$clang"
  for target in schema control store operations import; do
    say "fuzz $target"
    mkdir -p "build/fuzz-corpus/$target"
    "build/fuzz/tests/fuzz/${target}_fuzzer" -max_total_time="${SECONDS_EACH:-60}" -max_len=2000 \
      -print_final_stats=1 -artifact_prefix="build/fuzz-$target-" \
      "build/fuzz-corpus/$target" "tests/fuzz/corpus/$target" >"build/fuzz-$target.log" 2>&1 || {
      tail -n 40 "build/fuzz-$target.log"
      die "the fuzz target $target broke a promise; keep its input in tests/fuzz/corpus/$target"
    }
    grep 'stat::' "build/fuzz-$target.log"
  done
}

check_python() { python -m pytest -n "$jobs"; }

# The packages of both languages, as their users get them. One process: its tests wait for compilers.
check_package() { python -m pytest tests/package; }

check_docs() { NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet --site-dir build/site; }

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
    all) check_all ;;
    campaign | fuzz) "check_$piece" ;;
    *)
      [[ " ${pieces[*]} " == *" $piece "* ]] || die "usage: scripts/check.sh all | campaign | fuzz | ${pieces[*]}"
      "check_$piece"
      ;;
  esac
  exit
}
