#!/bin/sh
# Verify a bundle and install it without a network:   ./install.sh NUMBER [FOLDER]   (FOLDER: /opt/secagg)
set -eu
cd "$(dirname "$0")"
folder=${2:-/opt/secagg}
python=${PYTHON:-python3}
./verify.sh "${1:?give the number that build.sh printed}"
here=$("$python" -c 'import platform, sys; print(sys.implementation.cache_tag, platform.machine())')
if [ "$here" != "$(cat platform)" ]; then
    echo "install: the bundle is for $(cat platform), but this is $here; set PYTHON, or ask for another bundle" >&2
    exit 1
fi
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --find-links wheels \
    --require-hashes --requirement requirements.lock
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps wheels/secagg-*.whl
"$folder/bin/secagg-participant" --help > "$folder/.works"
echo "install: $folder/bin/secagg-participant; units are in systemd/"
