# shellcheck shell=bash
# A contributor's workplace, set up with uv: the environment .venv, an editable install with every
# development tool, editor settings. Safe to repeat.
#
#   source install.sh    sets up and activates the environment in this shell (bash or zsh)
#   bash install.sh      sets up only
#
# Sourced, it never exits the shell nor changes its options; $? tells whether it worked. The work itself
# is done by scripts/setup.sh in a process of its own.

# _stream_store_install <this file> <how it was started>: `sourced` or anything else.
_stream_store_install() {
  unset -f _stream_store_install
  local root
  root=$(cd "$(dirname "$1")" && pwd) || return
  if ! bash "$root/scripts/setup.sh" develop; then
    echo "install.sh: the workplace is not complete, see the message above" >&2
    return 1
  fi
  if [ "$2" = sourced ]; then
    # shellcheck source=/dev/null
    . "$root/.venv/bin/activate"
    echo "Ready, the environment is active. Try: make test-python"
  else
    echo "Ready. Activate the environment with: source .venv/bin/activate"
  fi
}

if [ -z "${BASH_VERSION:-}" ]; then
  _stream_store_install "$0" "$(case "${ZSH_EVAL_CONTEXT:-}" in *:file*) echo sourced ;; esac)"
elif [ "${BASH_SOURCE[0]}" != "$0" ]; then
  _stream_store_install "${BASH_SOURCE[0]}" sourced
else
  _stream_store_install "${BASH_SOURCE[0]}" run
fi
