#!/usr/bin/env bash
# The project's checks. `make test-<piece>` runs one piece; the Makefile has installed what the piece needs from PyPI
# before it calls this script.
#
#   scripts/check.sh <piece>   one of the pieces listed below
#   scripts/check.sh test      `make test`: builds the library, the extension and the C++ tests, and runs the tests
#   scripts/check.sh check     `make check`: everything. LEAVE_OUT="cpp python" leaves out these pieces
#   scripts/check.sh fuzz      libFuzzer, for SECONDS_EACH seconds per target
#   scripts/check.sh campaign  the long crash tests
#
# A piece that lacks a system tool, such as clang, is skipped, and the last lines of the run name it. If
# STREAMSTORE_NO_SKIP=1 is set, as in .ci/run, a skipped piece is a failure.
# shellcheck disable=SC2317  # the checks are called by name
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

test_pieces=(cpp python)
lint_pieces=(layers assertions prose text format lint types workflows)
slow_pieces=(crash headers speed tidy asan tsan package docs)
check_pieces=("${lint_pieces[@]}" "${test_pieces[@]}" "${slow_pieces[@]}")
least_coverage=95 # percent of lines
mounts=tests/python/test_filesystems.py
skipped_list=${STREAMSTORE_SKIPPED_LIST:-}

# skip <reason>: ends the piece, unless nothing may be skipped.
skip() {
  [[ -z ${STREAMSTORE_NO_SKIP:-} ]] || die "test-$piece would be skipped: $*"
  say "skipped test-$piece: $*"
  [[ -z $skipped_list ]] || printf 'test-%s: %s\n' "$piece" "$*" >>"$skipped_list"
  exit 0
}

# closing <line>: keeps the last line of a test runner for the end of `make test` or `make check`.
closing() { printf 'test-%s: %s\n' "$piece" "$*" >>"build/closing/$piece.txt"; }

# sources <pattern>…: prints the files of the project that match, including those that git does not track yet.
sources() { git ls-files --cached --others --exclude-standard --deduplicate -- "$@" | existing; }

existing() {
  local file
  while read -r file; do
    [[ ! -f $file ]] || printf '%s\n' "$file"
  done
}

# need_library <name> <header> <package>: ends the piece if the library is missing and cannot be installed.
need_library() {
  echo "#include <$2>" | compiles "$(find_gcc)" -fsyntax-only && return
  if can_apt && apt_install "$3"; then
    return
  fi
  skip "$1 is missing (Debian and Ubuntu: apt-get install $3)"
}

need_googletest() { need_library GoogleTest gtest/gtest.h libgtest-dev; }

need_benchmark() { need_library "Google Benchmark" benchmark/benchmark.h libbenchmark-dev; }

need_valgrind() {
  command -v valgrind >/dev/null && return
  if can_apt && apt_install valgrind; then
    return
  fi
  skip "valgrind is missing (Debian and Ubuntu: apt-get install valgrind)"
}

check_layers() { python3 scripts/check_layers.py; }

check_assertions() { python3 scripts/check_assertions.py; }

check_prose() { python3 scripts/check_prose.py; }

# The files that a service reads: workflows, templates, citation. check-jsonschema contains the schemas.
check_workflows() {
  validate github-workflows '.github/workflows/*.yml'
  validate github-workflows-require-timeout '.github/workflows/*.yml'
  validate github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
  validate github-issue-config .github/ISSUE_TEMPLATE/config.yml
  validate dependabot .github/dependabot.yml
  validate citation-file-format CITATION.cff
  zizmor --offline --quiet .github # actions are pinned, permissions small, no secret leaves a job
}

# validate <schema> <pattern>…
validate() { sources "${@:2}" | xargs -d '\n' check-jsonschema --quiet --builtin-schema "$1"; }

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
  configure "$preset" --preset "$preset" "$@"
  cmake --build --preset "$preset" -j "$jobs" --target "${target:-all}"
}

# configure <name> <cmake options…>: runs cmake and shows its output only if it fails.
configure() {
  local log="build/$1.log"
  shift
  cmake "$@" >"$log" || {
    cat "$log"
    die "cmake $* failed"
  }
}

# build_headers <preset>: compiles each public header alone.
build_headers() { cmake --build --preset "$1" -j "$jobs" --target all_verify_interface_header_sets; }

# build_native: the C++ tests, in the build folder of the extension, where setup.sh has compiled the library.
build_native() {
  need_googletest
  say "building the C++ tests"
  configure native -S . -B build/native -DSTREAMSTORE_BUILD_TESTS=ON
  cmake --build build/native -j "$jobs"
}

# run_ctest <folder> <options…>: runs the tests of a build folder; a test that skipped itself counts as skipped.
run_ctest() {
  local log="build/$piece-ctest.log"
  ctest --test-dir "$1" --output-on-failure --no-tests=error -j "$jobs" "${@:2}" | tee "$log" | sed -u '/^ *Start /d'
  closing "$(grep 'tests passed' "$log")"
  if grep -q 'did not run:' "$log"; then
    skip "tests that skipped themselves:$(sed -n 's/^.*[0-9] - \(.*\) (Skipped)/ \1/p' "$log" | tr '\n' ' ')"
  fi
}

# All C++ tests, the crash and fuzz tests for a short time.
check_cpp() {
  build_native
  CRASHES=${CRASHES:-20000} EFFORT=${EFFORT:-20} run_ctest build/native
}

# The crash and fuzz tests at their full length, and the tests that mount file systems.
check_crash() {
  build_native
  run_pytest "$mounts"
  run_ctest build/native -R '^(crash|fuzz)_'
}

# Each public header alone, with g++.
check_headers() {
  need_googletest # which configuring the preset needs
  configure dev --preset dev -DCMAKE_CXX_COMPILER="$(find_gcc)"
  build_headers dev
}

# Compares the instructions of the hot paths with benchmarks/guard/counts.json; ACCEPT=1 replaces that file. Compiles
# the C++ benchmarks, which no other piece does.
check_speed() {
  need_valgrind
  need_benchmark
  need_googletest # which configuring the preset needs
  local accept=() status=0
  [[ -z ${ACCEPT:-} ]] || accept=(--accept)
  target=speed_guard build release -DCMAKE_CXX_COMPILER="$(find_gcc)" -DSTREAMSTORE_BUILD_BENCHMARKS=ON
  cmake --build --preset release -j "$jobs" --target benchmarks/all
  python benchmarks/guard/speed_guard.py build/release/benchmarks/guard/speed_guard "${accept[@]}" || status=$?
  if ((status == 77)); then
    skip "the stored counts are of another kind of processor, see above"
  fi
  return "$status"
}

# Each file of the library and of the extension: clang's warnings and the checks of .clang-tidy. clang's static
# analyzer takes six times as long as all the others together, so it runs only with ANALYZE=1.
check_tidy() {
  local analyzer=(--checks=-clang-analyzer-*)
  [[ -z ${ANALYZE:-} ]] || analyzer=()
  configure tidy --preset dev -DCMAKE_CXX_COMPILER="$(find_gcc)" -DSTREAMSTORE_BUILD_TESTS=OFF -B build/tidy \
    -DSTREAMSTORE_BUILD_PYTHON=ON -DSTREAMSTORE_PRECOMPILE=OFF -DPython_EXECUTABLE="$venv/bin/python"
  sources 'src/*.cc' 'python/*.cc' |
    xargs -P "$jobs" -n 4 clang-tidy -p build/tidy --quiet --extra-arg=-Wno-deprecated-declarations "${analyzer[@]}"
}

# sanitized <preset> <sanitizers> <options…>: builds with clang, which takes half the time of g++ here and is the second
# compiler that has to accept every file of the library. Builds with g++ on a machine without clang.
sanitized() {
  local preset=$1 sanitizers=$2 compiler
  shift 2
  need_googletest
  compiler=$(find_clang) || compiler=$(find_gcc)
  echo 'int main() {}' | compiles "$compiler" "-fsanitize=$sanitizers" ||
    skip "$compiler cannot link -fsanitize=$sanitizers (Debian and Ubuntu: apt-get install clang-14 libclang-rt-14-dev)"
  build "$preset" -DCMAKE_CXX_COMPILER="$compiler" "$@"
}

# The C++ tests under the sanitizers. Counts the lines of the library that run.
check_asan() {
  local compiler
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  export CRASHES=${CRASHES:-20000} EFFORT=${EFFORT:-10} # five times slower than test-crash, which runs all of it
  sanitized asan address,undefined -DSTREAMSTORE_COVERAGE=ON
  build_headers asan
  find build/asan -name '*.gcda' -delete
  run_ctest build/asan
  compiler=$(find_clang) ||
    skip "no clang++ 14 or newer, so only one compiler built it (Debian and Ubuntu: apt-get install clang)"
  count_lines "$compiler"
}

# Counts the lines of the library that the C++ tests ran; build/coverage.html shows the others.
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

# The tests that run threads, which are marked THREADS in their CMakeLists.txt.
check_tsan() {
  target=threads_tests sanitized tsan thread
  run_ctest build/tsan -L threads
}

# The long crash tests; see scripts/campaign.py.
check_campaign() {
  need_googletest
  build release -DCMAKE_CXX_COMPILER="$(find_gcc)"
  python scripts/campaign.py
}

# Runs libFuzzer on each target. It starts from the corpus; new inputs are kept in build/fuzz-corpus.
check_fuzz() {
  local clang target
  clang=$(find_clang) || die "fuzzing needs clang++ 14 or newer (Debian and Ubuntu: apt-get install clang-14 libclang-rt-14-dev)"
  build fuzz -DCMAKE_CXX_COMPILER="$clang"
  for target in schema nested control store pack operations import; do
    say "fuzz $target"
    mkdir -p "build/fuzz-corpus/$target"
    "build/fuzz/tests/fuzz/${target}_fuzzer" -max_total_time="${SECONDS_EACH:-60}" -max_len=2000 \
      -print_final_stats=1 -artifact_prefix="build/fuzz-$target-" \
      "build/fuzz-corpus/$target" "tests/fuzz/corpus/$target" >"build/fuzz-$target.log" 2>&1 || {
      tail -n 40 "build/fuzz-$target.log"
      die "the fuzz target $target failed; add its input to tests/fuzz/corpus/$target"
    }
    grep 'stat::' "build/fuzz-$target.log"
  done
}

# run_pytest <options…>: runs pytest and keeps its closing line.
run_pytest() {
  local log="build/$piece-pytest.log" status=0
  python -m pytest --durations=20 --durations-min=5 "$@" | tee "$log" || status=$?
  closing "$(tail -n 1 "$log" | tr -d '=')"
  return "$status"
}

# All Python tests except those that mount file systems. They take a third of the time of all others together. Tests of
# one xdist_group run in the same process.
check_python() { run_pytest -n "$jobs" --dist loadgroup --ignore="$mounts"; }

# The packages of both languages, as their users get them. In one process, because these tests wait for compilers.
check_package() { run_pytest tests/package; }

check_docs() { NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet --site-dir build/site; }

# run_pieces <make target> <piece>…: runs the pieces one after the other, also after a failure, and prints a summary.
run_pieces() {
  local target=$1 name began=$SECONDS failed=() left_out=()
  shift
  export STREAMSTORE_SKIPPED_LIST=$root/build/skipped.txt
  : >"$STREAMSTORE_SKIPPED_LIST"
  for name; do
    if [[ " ${LEAVE_OUT:-} " == *" $name "* ]]; then
      left_out+=("test-$name")
      continue
    fi
    local start=$SECONDS
    say "test-$name"
    if ${MAKE:-make} --no-print-directory "test-$name"; then
      say "test-$name took $((SECONDS - start)) s"
    else
      say "test-$name FAILED after $((SECONDS - start)) s"
      failed+=("test-$name")
    fi
  done
  printf '\n'
  for name; do
    [[ ! -f build/closing/$name.txt ]] || cat "build/closing/$name.txt"
  done
  printf 'make %s: %d checks in %d min %d s, %d failed\n' "$target" "$(($# - ${#left_out[@]}))" \
    $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)) "${#failed[@]}"
  ((${#left_out[@]} == 0)) || printf 'left out, as LEAVE_OUT asked: %s\n' "${left_out[*]}"
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

# In braces, so that bash reads all of it before a check runs. The file may then change while it runs.
{
  piece=${1:-}
  mkdir -p build/closing
  case $piece in
    test) run_pieces test "${test_pieces[@]}" ;;
    check) run_pieces check "${check_pieces[@]}" ;;
    campaign | fuzz) "check_$piece" ;;
    *)
      [[ " ${check_pieces[*]} " == *" $piece "* ]] ||
        die "usage: scripts/check.sh test | check | campaign | fuzz | ${check_pieces[*]}"
      rm -f "build/closing/$piece.txt"
      "check_$piece"
      ;;
  esac
  exit
}
