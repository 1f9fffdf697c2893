#!/bin/sh
# pyreadstat 1.3.8: write_por makes names upper case and then does not find the labels that were given by name, without a word;
# given as a list they are kept. Seen: [None], and ["weight in kg"].
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check pyreadstat==1.3.8 pandas==2.3.3
env/bin/python - <<'PYTHON'
import pandas as pd
import pyreadstat

table, found = pd.DataFrame({"x": [1.0]}), []
for labels in ({"x": "weight in kg"}, ["weight in kg"]):
    pyreadstat.write_por(table, "t.por", column_labels=labels)
    found.append(pyreadstat.read_por("t.por")[1].column_labels)
print(found)
assert found == [[None], ["weight in kg"]]
PYTHON
echo "as described"
