#!/bin/sh
# Build an installation for a machine without a network: wheels for one platform, their checksums, and the installer.
# From the project's root, with the other machine's Python version, on the same kind of machine:
#   participant/deploy/offline/build.sh OUT
set -eu
out=${1:?name the folder to make}
python=${PYTHON:-python3}
here=$(dirname "$0")
root=$here/../../..
mkdir "$out" "$out/wheels"
"$python" -m pip download --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    --requirement "$here/../container/requirements.lock" --dest "$out/wheels"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$out/wheels" "$root"
cp "$here/../container/requirements.lock" "$here/verify.sh" "$here/install.sh" "$out/"
cp -r "$here/../systemd" "$out/systemd"
"$python" -c 'import platform, sys; print(sys.implementation.cache_tag, platform.machine())' > "$out/platform"
(cd "$out" && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs sha256sum > SHA256SUMS)
echo "$out: $(find "$out/wheels" -name '*.whl' | wc -l) wheels. Pass on this number over another channel than the files:"
sha256sum "$out/SHA256SUMS" | cut -d ' ' -f 1
