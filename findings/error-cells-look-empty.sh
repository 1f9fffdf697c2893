#!/bin/sh
# python-calamine 0.9.1: a cell that holds an error, such as #DIV/0!, is read as an empty text, as a cell without a value is.
# Seen: [["x"], [""], [1.0]].
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check python-calamine==0.9.1 openpyxl==3.1.5
env/bin/python - <<'PYTHON'
import openpyxl
from python_calamine import CalamineWorkbook

book = openpyxl.Workbook()
for value in ("x", "#DIV/0!", 1):
    book.active.append([value])
book.active["A2"].data_type = "e"
book.save("t.xlsx")
assert openpyxl.load_workbook("t.xlsx").active["A2"].value == "#DIV/0!"
rows = CalamineWorkbook.from_path("t.xlsx").get_sheet_by_index(0).to_python()
print(rows)
assert rows == [["x"], [""], [1.0]]
PYTHON
echo "as described"
