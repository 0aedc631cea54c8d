# shellcheck shell=bash
# Sets up a contributor's environment with uv: .venv, an editable install with every development tool, and editor
# settings. You can run it again at any time.
#
#   source install.sh    sets up and activates the environment in this shell (bash or zsh)
#   bash install.sh      sets up only
#
# When sourced, it neither exits the shell nor changes its options, and $? is 0 if it succeeded. scripts/setup.sh does the
# work in a separate process.

# _stream_store_install <this file> <mode>: the mode is `sourced` or `run`.
_stream_store_install() {
  unset -f _stream_store_install
  local root
  root=$(cd "$(dirname "$1")" && pwd) || return
  if ! bash "$root/scripts/setup.sh" develop; then
    echo "install.sh: the environment is not complete, see the message above" >&2
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
  _stream_store_install "$0" "$(case "${ZSH_EVAL_CONTEXT:-}" in *:file*) echo sourced ;; *) echo run ;; esac)"
elif [ "${BASH_SOURCE[0]}" != "$0" ]; then
  _stream_store_install "${BASH_SOURCE[0]}" sourced
else
  _stream_store_install "${BASH_SOURCE[0]}" run
fi
