#!/bin/sh
# The text 01.01.69 under the format %d.%m.%y is 1969 for Python and pandas 2.3.3, and 2069 for polars 2.1.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check pandas==2.3.3 polars==2.1.0
env/bin/python - <<'PYTHON'
import datetime

import pandas as pd
import polars as pl

text, form = "01.01.69", "%d.%m.%y"
found = (
    datetime.datetime.strptime(text, form).year,
    pd.to_datetime(text, format=form).year,
    pl.Series([text]).str.to_date(form)[0].year,
)
print(found)
assert found == (1969, 1969, 2069)
PYTHON
echo "as described"
