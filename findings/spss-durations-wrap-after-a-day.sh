#!/bin/sh
# pyreadstat 1.3.8: a duration of 25 hours in an SPSS file (format TIME or DTIME, 90,000 seconds) is read as 01:00:00, a time of
# day. The file holds 90,000, as disable_datetime_conversion=True shows.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check pyreadstat==1.3.8 pandas==2.3.3
env/bin/python - <<'PYTHON'
import datetime

import pandas as pd
import pyreadstat

for form in ("TIME8", "DTIME10"):
    pyreadstat.write_sav(pd.DataFrame({"stay": [90_000.0]}), "t.sav", variable_format={"stay": form})
    wrapped = pyreadstat.read_sav("t.sav", output_format="dict")[0]["stay"]
    stored = pyreadstat.read_sav("t.sav", output_format="dict", disable_datetime_conversion=True)[0]["stay"]
    print(form, wrapped, stored)
    assert (wrapped, stored) == ([datetime.time(1, 0)], [90_000.0])
PYTHON
echo "as described"
