#!/bin/sh
# Check that a bundle is what was built: every file of the list and none beside it, and the list itself by its number,
# which the builder tells over another channel:   ./verify.sh NUMBER
set -eu
cd "$(dirname "$0")"
number=${1:?give the number that build.sh printed, as the builder told it to you}
if [ "$(sha256sum SHA256SUMS | cut -d ' ' -f 1)" != "$number" ]; then
    echo "verify: the list of checksums is not the one with this number; do not install" >&2
    exit 1
fi
if ! sha256sum --quiet --strict --check SHA256SUMS; then
    echo "verify: files were changed or are missing; do not install" >&2
    exit 1
fi
found=$(find . ! -type d ! -name SHA256SUMS | LC_ALL=C sort)
listed=$(cut -c 67- SHA256SUMS)
if [ "$found" != "$listed" ]; then
    echo "verify: there are files that are not in the list; do not install" >&2
    exit 1
fi
echo "verify: $(echo "$listed" | wc -l) files, all as they were built"
