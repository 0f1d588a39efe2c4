#!/usr/bin/env bash
# Print the path of an interpreter of the named Python version, such as 3.12: from PATH, or one that pyenv has built.
set -euo pipefail

version=$1
root=${PYENV_ROOT:-$HOME/.pyenv}
# A shim of pyenv is on PATH even where its version is not chosen: only an interpreter that runs counts.
for candidate in "python$version" "$root"/versions/"$version"*/bin/"python$version" python3; do
  if found=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.executable)' 2>/dev/null) &&
    [ "${found%% *}" = "$version" ]; then
    echo "${found#* }"
    exit 0
  fi
done
echo "Python $version is needed and missing. Install it (pyenv install $version, or your system's package), or put python$version on PATH." >&2
exit 1
