#!/usr/bin/env bash
# Install the named Debian packages that are missing. What is there already costs nothing; without root it says what to do.
set -euo pipefail

missing=()
for package in "$@"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "These packages are needed and missing: ${missing[*]}" >&2
  echo "Install them as root, on Debian and Ubuntu: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
# A package that starts a service of its own would take its port: tests start their own, on free ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}"
