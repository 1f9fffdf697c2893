#!/bin/sh
# SAS transport files (version 5) are filled up with blanks to 80 bytes, so blank rows at the end cannot be told from filling.
# Of four rows, the last two blank, pyreadstat 1.3.8 returns two and pandas 2.3.3 eight: neither says so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check pyreadstat==1.3.8 pandas==2.3.3
env/bin/python - <<'PYTHON'
import pandas as pd
import pyreadstat

pyreadstat.write_xport(pd.DataFrame({"s": ["a", "b", "", ""]}), "t.xpt", file_format_version=5)
found = len(pyreadstat.read_xport("t.xpt")[0]), len(pd.read_sas("t.xpt", format="xport"))
print(found)
assert found == (2, 8)
PYTHON
echo "as described"
