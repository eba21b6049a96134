#!/bin/sh
# Unpacks a glibc new enough for protobuf's conformance runner: fetch-glibc.sh FOLDER
#
# The runner that npm has wants glibc 2.38. Debian 12 has 2.36: there the packages of Debian 13 are
# unpacked into FOLDER, from the mirror that apt uses. Nothing is installed, and only the runner uses
# them. Does nothing where the machine's own will do; exits with an error where none can be had.
set -eu
version=$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)
if [ "$(printf '2.38\n%s\n' "$version" | sort -V | head -n 1)" = 2.38 ]; then
    exit 0
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
apt="$folder/apt"
mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
trap 'rm -rf "$apt"' EXIT
mirror=$(apt-get indextargets --no-release-info --format '$(SITE)' 'Created-By: Packages' | head -n 1)
[ -n "$mirror" ]
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$apt/parts/trixie.list"
: > "$apt/status"
newer() {
    apt-get --quiet=2 -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt/parts" \
        -o Dir::State::Lists="$apt/lists" -o Dir::State::status="$apt/status" \
        -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}
newer update
cd "$folder"
newer download libc6 libgcc-s1 libstdc++6
for package in ./*.deb; do
    dpkg-deb --extract "$package" .
done
rm ./*.deb
