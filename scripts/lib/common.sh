# shellcheck shell=bash
# What the scripts share: where things are, how they speak, and the machine's packages.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=${PROVISION_VENV:-$root/.venv}
export PATH="$venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1 ANSIBLE_CONFIG="$root/ansible.cfg"

say() { printf '\n==> %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '  try: %s\n' "$2" >&2
  exit 1
}

# Prints those of the given Debian packages that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || printf '%s\n' "$package"
  done
}

policy=/usr/sbin/policy-rc.d
# Tells Debian to start no service that it installs, until allow_services puts back what was there.
forbid_services() {
  [ ! -e "$policy" ] || mv "$policy" "$policy.provision-kept"
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 0755 "$policy"
}
allow_services() {
  rm -f "$policy"
  [ ! -e "$policy.provision-kept" ] || mv "$policy.provision-kept" "$policy"
}

# Installs Debian packages without letting their services run, now or at the next boot: this machine runs nodes, it is none.
install_packages() {
  local missing unit
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || die "these packages are missing: ${missing[*]}" "sudo apt-get install -y ${missing[*]}"
  say "Installing ${missing[*]}"
  trap allow_services EXIT
  forbid_services
  apt-get update -q=2
  DEBIAN_FRONTEND=noninteractive apt-get install -q=2 --no-install-recommends "${missing[@]}" >/dev/null
  allow_services
  trap - EXIT
  [ -d /run/systemd/system ] || return 0
  for unit in haproxy keepalived bird nginx docker-registry; do
    [[ " ${missing[*]} " != *" $unit"* ]] || systemctl disable -q "$unit" 2>/dev/null || true
  done
}

# Builds the bundle that sandbox nodes install from, unless a whole one is in the cache.
ensure_bundle() {
  if provision bundle verify >/dev/null 2>&1; then return 0; fi
  say "Building the bundle: Kubernetes and all it needs, from source, once"
  provision bundle create --source build
}
