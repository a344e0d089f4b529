#!/usr/bin/env bash
# Makes this machine able to build Fledge: checks the Swift toolchain and installs the Debian packages that are missing.
#
#   Scripts/setup.sh              what the build needs
#   Scripts/setup.sh NAME ...     these packages as well
#
# Silent and quick when nothing is missing. Touches no setting of the machine.
set -euo pipefail

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# git fetches the packages that Package.swift names; g++ brings the linker and the C and C++ headers Swift links with.
packages=(git g++ libdnnl-dev liblapacke-dev libturbojpeg0-dev libpng-dev zlib1g-dev libsqlite3-dev "$@")
wanted_swift=6.2

if ! command -v swift >/dev/null; then
    fail "Swift is not in PATH. Fledge needs Swift $wanted_swift or newer (6.3 is what it is tested with)." \
        "Install it as https://www.swift.org/install/linux/ describes; if it is installed, put its usr/bin into PATH."
fi
found_swift=$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p')
if [[ -z $found_swift ]] || [[ $(printf '%s\n' "$wanted_swift" "$found_swift" | sort -V | head -n 1) != "$wanted_swift" ]]; then
    fail "Fledge needs Swift $wanted_swift or newer, and $(command -v swift) is ${found_swift:-of unknown version}." \
        "Install a newer one from https://www.swift.org/install/linux/."
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: this system has no apt; make sure it has what these Debian packages hold: ${packages[*]}" >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=(env)
if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || fail "these Debian packages are missing: ${missing[*]}" \
        "Run as root: apt-get install ${missing[*]}"
    as_root=(sudo env)
fi
apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq)

echo "setup: installing ${missing[*]}" >&2
"${apt[@]}" update </dev/null >&2 ||
    echo "setup: the package lists could not be refreshed; trying with the ones at hand" >&2
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
    fail "apt-get could not install: ${missing[*]}" "Its own message is above. Fix that, or install them by hand."
