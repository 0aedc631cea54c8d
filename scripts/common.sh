# shellcheck shell=bash disable=SC2034  # variables are used where this is sourced
# Functions that setup.sh and check.sh share. Sourced, never run. Sets `root` and changes to that folder.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
venv="$root/.venv"
jobs=$(nproc 2>/dev/null || echo 2)
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# can_apt: true if this user may install system packages.
can_apt() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

# apt_install <package>…: installs Debian packages quietly; false if that fails.
apt_install() {
  say "apt-get install $*"
  local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y)
  "${get[@]}" install "$@" >/dev/null 2>&1 && return
  "${get[@]}" update >/dev/null && "${get[@]}" install "$@" >/dev/null
}

# compiler_version <compiler>: prints its major version, 0 if it does not run.
compiler_version() {
  local version
  version=$("$1" -dumpversion 2>/dev/null) || version=0
  echo "${version%%.*}"
}

# find_gcc: prints the C++ compiler for all builds except those of the sanitizers: $CXX if the caller set it, else the
# first g++ that is 12 or newer.
find_gcc() {
  if [[ -n ${CXX:-} ]]; then
    echo "$CXX"
    return
  fi
  local candidate
  for candidate in g++ g++-14 g++-13 g++-12; do
    if (($(compiler_version "$candidate") >= 12)); then
      echo "$candidate"
      return
    fi
  done
  die "no g++ 12 or newer (g++ is version $(compiler_version g++)); install one (Debian: g++) or set CXX"
}

# find_clang: prints a clang++ that is 14 or newer, preferring version 14; false if there is none.
find_clang() {
  local candidate
  for candidate in ${CLANGXX:-clang++-14 clang++ clang++-15 clang++-16 clang++-17 clang++-18 clang++-19}; do
    if (($(compiler_version "$candidate") >= 14)); then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# compiles <compiler> <flags…>: true if the program on standard input compiles and links.
compiles() { "$@" -x c++ -std=c++20 - -o /dev/null >/dev/null 2>&1; }
