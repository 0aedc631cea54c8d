#!/usr/bin/env bash
# Sets up one part of the development environment. The Makefile calls it and keeps the stamps; you can also call it.
#
#   scripts/setup.sh venv           the virtual environment .venv with the build tools
#   scripts/setup.sh extra <name>…  the packages of these extras of pyproject.toml
#   scripts/setup.sh package        builds the extension in build/native and installs the package, editable
#   scripts/setup.sh bench          the same without assertions, in build/bench-python, for measurements
#   scripts/setup.sh usable         changes nothing; fails unless .venv works
#   scripts/setup.sh develop        a contributor's environment with uv, for install.sh
#
# PIP names the installer (default: pip of .venv; install.sh uses uv). Nothing outside .venv and build/ is changed,
# except that root on a Debian-like machine gets missing system packages with apt-get.
# STREAMSTORE_WERROR=1 treats warnings of the compiler as errors.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

pip() {
  # shellcheck disable=SC2086  # PIP may be several words, as in "uv pip"
  ${PIP:-$venv/bin/python -m pip} "$@"
}

# find_python: prints the interpreter for .venv: $PYTHON, else the first that is 3.10 or newer.
find_python() {
  local candidate
  PATH=${PATH//"$venv/bin:"/}
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.10 or newer found; install one or set PYTHON to it"
}

# venv_usable: true if .venv has a working interpreter and was created at this path.
venv_usable() {
  "$venv/bin/python" -c '' 2>/dev/null && grep -qF "$venv" "$venv/bin/activate"
}

has_venv() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }

has_headers() {
  "$1" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())'
}

make_venv() {
  local python
  python=$(find_python)
  if ! has_venv "$python" && can_apt; then
    apt_install python3-venv || true
  fi
  say "creating .venv with $python"
  rm -rf "$venv"
  if has_venv "$python"; then
    "$python" -m venv "$venv"
  elif "$python" -c 'import virtualenv' 2>/dev/null; then
    "$python" -m virtualenv -q "$venv"
  else
    die "$python cannot create a virtual environment; install its venv module" \
      "(Debian and Ubuntu: apt-get install python3-venv)"
  fi
}

setup_venv() {
  if ! venv_usable; then
    make_venv
  fi
  if [[ -z ${PIP:-} ]]; then
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    pip install -q --upgrade 'pip>=23.1'
  fi
  if ! has_headers "$venv/bin/python" && can_apt; then
    apt_install python3-dev || true
  fi
  has_headers "$venv/bin/python" ||
    die "Python.h is missing, the extension cannot be built; install Python's headers" \
      "(Debian and Ubuntu: apt-get install python3-dev)"
  say "installing build tools into .venv"
  install_parts build-system native
}

install_parts() {
  local requirements
  mapfile -t requirements < <("$venv/bin/python" scripts/requirements.py "$@")
  ((${#requirements[@]})) || die "pyproject.toml: no requirements found for: $*"
  pip install -q --no-compile -c scripts/constraints.txt "${requirements[@]}"
}

# install_torch: PyTorch, for the tests, examples and benchmarks of stream_store.torch, and for the tests torchdata and
# Stable-Baselines3.
# STREAMSTORE_TORCH names another build of PyTorch; if it is empty, nothing is installed.
install_torch() {
  local torch=${STREAMSTORE_TORCH-torch==2.13.0}
  if [[ -z $torch ]]; then
    return
  fi
  if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
    say "installing $torch (some hundred MB)"
    "$venv/bin/python" -m pip install -q --no-compile "$torch"
  fi
  if ! "$venv/bin/python" -c 'import torchdata' 2>/dev/null; then
    "$venv/bin/python" -m pip install -q --no-compile torchdata==0.11.0 # accepts the torch that is installed
  fi
  if ! "$venv/bin/python" -c 'import lightning, stable_baselines3' 2>/dev/null; then
    "$venv/bin/python" -m pip install -q --no-compile -c scripts/constraints.txt 'lightning>=2.5' 'stable-baselines3>=2.9,<3'
  fi
}

# install_lerobot: LeRobot, with which the tests open the data sets that they write. Its pins exclude the versions of
# other packages that the tests use, so it is installed without dependencies, in a folder that only its own test sees.
install_lerobot() {
  local target=$venv/lerobot
  if [[ -z ${STREAMSTORE_TORCH-torch} || -d $target/lerobot ]] ||
    ! "$venv/bin/python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
    return
  fi
  say "installing lerobot for its tests and benchmarks (30 MB)"
  "$venv/bin/python" -m pip install -q --no-compile --no-deps --target "$target" \
    lerobot==0.4.4 torchvision==0.25.0 accelerate==1.15.0 safetensors==0.8.0
}

# setup_package <folder> <assertions>: builds the extension there and installs the package, editable. The C++ tests use
# the same folder, and so the same compiled library.
setup_package() {
  local folder=$1 assertions=$2 compiler werror=OFF log=build/extension.log
  compiler=$(find_gcc)
  [[ -z ${STREAMSTORE_WERROR:-} ]] || werror=ON
  mkdir -p build
  say "building the extension with $compiler in $folder: about four minutes of CPU time; all output is in $log"
  CXX=$compiler CMAKE_BUILD_PARALLEL_LEVEL=$jobs pip install -v --no-deps --no-build-isolation \
    -C build-dir="$folder" -C cmake.define.STREAMSTORE_WERROR=$werror \
    -C cmake.define.STREAMSTORE_ASSERTIONS="$assertions" -e . 2>&1 | tee "$log" | progress || {
    grep -E -A5 'error|FAILED' "$log" | head -n 60 >&2
    die "building the extension failed; all output is in $log"
  }
}

# progress: shows of the output of a build how far it is. A terminal gets one line that changes, a file every tenth.
progress() {
  local line shown=
  while read -r line; do
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    if [[ -t 2 ]]; then
      printf '\r%-79.79s' "$line" >&2
      shown=yes
    elif ((BASH_REMATCH[1] % 10 == 0 || BASH_REMATCH[1] == BASH_REMATCH[2])); then
      printf '%s\n' "$line" >&2
    fi
  done
  [[ -z $shown ]] || printf '\n' >&2
}

setup_develop() {
  export PATH="$venv/bin:$PATH" VIRTUAL_ENV="$venv"
  unset CONDA_PREFIX
  if ! venv_usable; then
    if command -v uv >/dev/null; then
      uv venv --quiet --seed --clear --python '>=3.10' "$venv"
    else
      make_venv
    fi
  fi
  if ! command -v uv >/dev/null; then
    say "installing uv into .venv"
    "$venv/bin/python" -m pip install -q uv
  fi
  "${MAKE:-make}" --no-print-directory develop PIP="uv pip"
  if [[ ! -e .vscode/settings.json ]]; then
    mkdir -p .vscode
    cp scripts/vscode-settings.json .vscode/settings.json
  fi
}

case ${1:-} in
  venv) setup_venv ;;
  extra)
    case " ${*:2} " in # before the packages that depend on it
      *" test "* | *" dev "* | *" packaging "* | *" compare "*) install_torch ;;
    esac
    say "installing packages for: ${*:2}"
    install_parts "${@:2}"
    case " ${*:2} " in
      *" test "* | *" compare "*) install_lerobot ;;
    esac
    ;;
  package) setup_package build/native ON ;;
  bench) setup_package build/bench-python OFF ;;
  usable) venv_usable ;;
  develop) setup_develop ;;
  *) die "usage: scripts/setup.sh venv | extra <name>… | package | bench | usable | develop" ;;
esac
