#!/bin/sh
# openpyxl 3.1.5 and XlsxWriter 3.3.1 write numbers with 16 significant digits, where a double needs 17: what is read back is
# another double. Seen: 0.1 + 0.2 = 0.30000000000000004 comes back as 0.3 from both.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check openpyxl==3.1.5 xlsxwriter==3.3.1
env/bin/python - <<'PYTHON'
import openpyxl
import xlsxwriter

number = 0.1 + 0.2
book = openpyxl.Workbook()
book.active["A1"] = number
book.save("a.xlsx")
with xlsxwriter.Workbook("b.xlsx") as written:
    written.add_worksheet().write_number(0, 0, number)
found = [openpyxl.load_workbook(name).active["A1"].value for name in ("a.xlsx", "b.xlsx")]
print(number, found)
assert found == [0.3, 0.3] != [number, number]
PYTHON
echo "as described"
