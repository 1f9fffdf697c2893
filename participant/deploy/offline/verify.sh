#!/bin/sh
# Check that a bundle is as built: every listed file and no others, and the list itself by its number,
# which the builder passes on over another channel:   ./verify.sh NUMBER
set -eu
cd "$(dirname "$0")"
number=${1:?give the number that build.sh printed, as the builder told it to you}
if [ "$(sha256sum SHA256SUMS | cut -d ' ' -f 1)" != "$number" ]; then
    echo "verify: the number does not match the list of checksums; do not install" >&2
    exit 1
fi
if ! sha256sum --quiet --strict --check SHA256SUMS; then
    echo "verify: files are altered or missing; do not install" >&2
    exit 1
fi
found=$(find . ! -type d ! -name SHA256SUMS | LC_ALL=C sort)
listed=$(cut -c 67- SHA256SUMS)
if [ "$found" != "$listed" ]; then
    echo "verify: there are unlisted files; do not install" >&2
    exit 1
fi
echo "verify: $(echo "$listed" | wc -l) files, all as built"
