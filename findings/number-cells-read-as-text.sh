#!/bin/sh
# fastexcel 0.21.0 (calamine): read with dtypes="string", a number cell becomes text of nine decimals, so 1.52e-11 is "0".
# Read without dtypes, the same cells are exact, but a text cell among them is missing without a warning.
# Seen: ["0", "0.333333333", "n/a"], and [1.52e-11, 0.3333333333333333, None].
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check fastexcel==0.21.0 polars==2.1.0 openpyxl==3.1.5
env/bin/python - <<'PYTHON'
import fastexcel
import openpyxl

book = openpyxl.Workbook()
for value in ("x", 1.52e-11, 1 / 3, "n/a"):
    book.active.append([value])
book.save("t.xlsx")
reader = fastexcel.read_excel("t.xlsx")
as_text = reader.load_sheet(0, dtypes="string").to_polars().to_series().to_list()
typed = reader.load_sheet(0).to_polars().to_series().to_list()
print(as_text, typed)
assert as_text == ["0", "0.333333333", "n/a"]
assert typed == [1.52e-11, 1 / 3, None]
PYTHON
echo "as described"
