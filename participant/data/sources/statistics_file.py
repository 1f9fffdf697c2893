"""Files of SAS (.sas7bdat, .xpt), SPSS (.sav, .zsav, .por) and Stata (.dta). Needs the extra `secagg[readstat]`.

Numbers are taken as stored, and dates are computed here from the column's format, since libraries differ in which
formats they know, and wrap durations beyond a day. Values that the file declares missing are missing, each with its
reason.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from participant.data.model.errors import SourceError
from participant.data.sources import (
    Batch,
    Origin,
    SourceColumn,
    batch_rows,
    check_columns,
    check_file,
    check_rows,
    positions,
)
from participant.data.sources.content import Content

Package = Literal["sas", "spss", "stata"]
_PACKAGES: dict[Content, Package] = {
    Content.SAS7BDAT: "sas",
    Content.XPORT: "sas",
    Content.SAV: "spss",
    Content.POR: "spss",
    Content.DTA: "stata",
}
_DAY = 86_400.0
_EXACT = 2**53
_SPSS_EPOCH = -141_428.0  # 1582-10-14, days before 1970
_OTHER_EPOCH = -3653.0  # 1960-01-01, of SAS and Stata
_SPSS_DATE = re.compile(r"(?:A|E|S|J)?DATE\d+|(?:MOYR|QYR|WKYR)\d+")
_SPSS_MOMENT = re.compile(r"(?:DATETIME|YMDHMS)[\d.]+")
_SPSS_DURATION = re.compile(r"(?:D|M)?TIME[\d.]+")
_SAS_MOMENT = re.compile(
    r"(?:DATETIME|DATEAMPM|E8601DT|B8601DT|E8601DZ|B8601DZ|IS8601DT|MDYAMPM|NLDATM|DTDATE|DTMONYY|DTYEAR)[\w.]*"
)
_SAS_DATE = re.compile(
    r"(?:DATE|DDMMYY|MMDDYY|YYMMDD|E8601DA|B8601DA|IS8601DA|JULIAN|MONYY|MMYY|YYMM|YYMON|YYQ|YEAR|QTR|WEEKDAT|WORDDAT|EURDF|NLDATE|DAY"
    r"|DOWNAME|MONNAME|MONTH|WEEKU|WEEKV|WEEKW|MINGUO|NENGO)[\w.]*"
)
_SAS_DURATION = re.compile(r"(?:TIME|HHMM|HOUR|MMSS|TOD|E8601TM|B8601TM|IS8601TM|NLTIM)[\w.]*")
_STATA_PERIODS = {"w": "weeks", "m": "months", "q": "quarters", "h": "half-years", "y": "years", "b": "business days"}
_SHOWN = 5


class _Clock(NamedTuple):
    """Conversion of a column's numbers to dates: `epoch` is in days since 1970, `unit` is how many make a day."""

    epoch: float
    unit: float


class StatisticsFile:
    """A file of a statistics package.

    Args:
        path: path of the file.
        form: format of the file.
        encoding: encoding of its texts; by default as the file says.

    Raises:
        SourceError: the extra is not installed, or the file cannot be read.
    """

    decimal = None

    def __init__(self, path: Path, form: Content, *, encoding: str | None = None) -> None:
        check_file(path)
        self._path, self._form = path, form
        about = _read(path, form, encoding, metadataonly=True)[1]
        check_columns(len(about.column_names))
        check_rows(about.number_rows or 0)
        data, self._about = _read(path, form, encoding)
        self._header = tuple(self._about.column_names)
        self._known: dict[int, SourceColumn] = {}
        self._cells = pl.DataFrame(
            [
                self._column(at, name, data[name]).alias(place)
                for at, (name, place) in enumerate(zip(self._header, positions(len(self._header)), strict=True))
            ]
        )
        check_rows(self._cells.height)

    @property
    def header(self) -> tuple[str, ...]:
        return self._header

    @property
    def size(self) -> int:
        return self._cells.height

    def batches(self) -> Iterator[Batch]:
        step = batch_rows(len(self._header))
        for start in range(0, self.size, step):
            cells = self._cells.slice(start, step)
            lines = pl.int_range(start + 1, start + 1 + cells.height, dtype=pl.Int64, eager=True)
            yield Batch(lines, cells, (), start + cells.height)

    def known(self) -> Mapping[int, SourceColumn]:
        return self._known

    def origin(self) -> Origin:
        with self._path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        notes = [f"format {self._form}, texts in {self._about.file_encoding or 'an encoding that it does not name'}"]
        if self._form is Content.XPORT and all(kind == pl.String for kind in self._cells.dtypes):
            notes.append("rows without any value at the end cannot be told from filling in this format, and are none")
        if self._form is Content.POR:
            notes.append("values that the file declares as missing cannot be told in this format: declare them")
        return Origin(_PACKAGES[self._form], self._path.name, self._path.stat().st_size, digest, tuple(notes))

    def _column(self, at: int, name: str, values: Sequence[Any]) -> pl.Series:
        """Return the values of a column in its type, and record the facts known about it."""
        labels = self._about.variable_value_labels.get(name, {})
        reasons: Counter[str] = Counter()
        label = self._about.column_names_to_labels.get(name) or ""
        if self._about.readstat_variable_types.get(name) == "string":
            given = self._about.missing_ranges.get(name, ())
            codes = {str(one["lo"]).strip() for one in given if isinstance(one, dict)} | {
                str(one) for one in given if not isinstance(one, dict)
            }
            texts = pl.Series(values, dtype=pl.String)
            gone = (
                texts.str.strip_chars().is_in(list(codes))
                if codes
                else pl.repeat(value=False, n=len(texts), eager=True)
            )
            for text in texts.filter(gone):
                reasons[_reason(text, labels)] += 1
            self._known[at] = SourceColumn(label, reasons=reasons, text=True)
            return texts.set(gone.fill_null(value=False), None)
        numbers = self._numbers(name, values, labels, reasons)
        form = self._about.original_variable_types.get(name) or ""
        clock = _clock(self._form, form)
        if clock is not None:
            days = numbers / clock.unit + clock.epoch
            times = int((days != days.floor()).sum())
            left_out = (f"time of day left out of {times:,} dates",) if times else ()
            self._known[at] = SourceColumn(label, reasons=reasons, notes=left_out)
            return days.floor().cast(pl.Int32, strict=False).cast(pl.Date)
        unit, notes = _unit(self._form, form)
        present = numbers.drop_nulls().to_numpy()
        whole = bool((present == present.round()).all() and (abs(present) < _EXACT).all())
        if self._about.readstat_variable_types.get(name) in {"float", "double"} and _PACKAGES[self._form] == "stata":
            whole = False  # Stata has integer types, and this is not one of them
        categories, more = _categories(numbers, labels) if whole else (None, ())
        self._known[at] = SourceColumn(label, unit, categories, reasons, (*notes, *more))
        return numbers.cast(pl.Int64) if whole else numbers

    def _numbers(self, name: str, values: Sequence[Any], labels: Mapping[Any, str], reasons: Counter[str]) -> pl.Series:
        """Return numbers, null where the file declares them missing."""
        spans = [(one["lo"], one["hi"]) for one in self._about.missing_ranges.get(name, ()) if isinstance(one, dict)]
        numbers: list[float | None] = []
        for value in values:
            if value is None:
                numbers.append(None)
            elif isinstance(value, str):
                reasons[_reason(value, labels, f".{value}")] += 1
                numbers.append(None)
            elif any(low <= value <= high for low, high in spans):
                reasons[_reason(value, labels)] += 1
                numbers.append(None)
            else:
                numbers.append(float(value))
        return pl.Series(numbers, dtype=pl.Float64).fill_nan(None)


def _read(
    path: Path, form: Content, encoding: str | None, *, metadataonly: bool = False
) -> tuple[Mapping[str, Sequence[Any]], Any]:
    try:
        import pyreadstat  # noqa: PLC0415 - an extra
    except ImportError:
        raise SourceError("files of SAS, SPSS and Stata need the extra: pip install 'secagg[readstat]'") from None
    options: dict[str, Any] = {
        "output_format": "dict",
        "metadataonly": metadataonly,
        "disable_datetime_conversion": True,
    }
    if form in {Content.SAS7BDAT, Content.SAV, Content.DTA}:
        options["user_missing"] = True
    if form is not Content.POR:
        options["encoding"] = encoding
    try:
        found: tuple[Mapping[str, Sequence[Any]], Any] = getattr(pyreadstat, f"read_{form.value}")(path, **options)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError, ValueError, OverflowError):
        remedy = "" if encoding else "; if its texts are of an older system, say --encoding, such as cp1252"
        raise SourceError(f"{path.name} cannot be read: it is damaged, or of an unknown version{remedy}") from None
    return found


def _clock(form: Content, variable: str) -> _Clock | None:
    """Return the conversion of a column's numbers to dates, or None if its format is not a date's."""
    name = variable.upper()
    match _PACKAGES[form]:
        case "spss" if _SPSS_DATE.fullmatch(name) or _SPSS_MOMENT.fullmatch(name):
            return _Clock(_SPSS_EPOCH, _DAY)
        case "sas" if _SAS_MOMENT.fullmatch(name):
            return _Clock(_OTHER_EPOCH, _DAY)
        case "sas" if _SAS_DATE.fullmatch(name):
            return _Clock(_OTHER_EPOCH, 1.0)
        case "stata" if re.match(r"%-?t?d", variable) and not re.match(r"%-?\d", variable):
            return _Clock(_OTHER_EPOCH, 1.0)
        case "stata" if re.match(r"%-?t[cC]", variable):
            return _Clock(_OTHER_EPOCH, _DAY * 1000)
    return None


def _unit(form: Content, variable: str) -> tuple[str, tuple[str, ...]]:
    """Return the unit that a column's format gives its numbers, with a note."""
    package, name = _PACKAGES[form], variable.upper()
    if (package == "spss" and _SPSS_DURATION.fullmatch(name)) or (package == "sas" and _SAS_DURATION.fullmatch(name)):
        return "s", ("times and durations are seconds",)
    if package == "stata" and (found := re.match(r"%-?t([wmqhyb])", variable)):
        return "", (f"numbers of {_STATA_PERIODS[found[1]]} from 1960 on (format {variable})",)
    return "", ()


def _categories(numbers: pl.Series, labels: Mapping[Any, str]) -> tuple[Mapping[str, int] | None, tuple[str, ...]]:
    """Return the number for each label if all values are labelled, and a note if only some are."""
    known = {float(code): text for code, text in labels.items() if not isinstance(code, str)}
    present = numbers.drop_nulls()
    labelled = present.filter(present.is_in(list(known)))
    if not known or not len(labelled):
        return None, ()
    if len(labelled) < len(present):
        counts = Counter(labelled.to_list()).most_common(_SHOWN)
        told = ", ".join(f"{code:g} {known[code]} ({count:,})" for code, count in counts)
        return None, (f"labels for some values alone: {told}; declare them as missing if they are",)
    repeated = {text for text, count in Counter(known.values()).items() if count > 1}
    return {
        f"{text} ({code:g})" if text in repeated or not text else text: int(code) for code, text in known.items()
    }, ()


def _reason(value: Any, labels: Mapping[Any, str], shown: str | None = None) -> str:
    """Return why a value is missing, in words: its label and code."""
    code = shown or (f"{value:g}" if isinstance(value, int | float) else str(value).strip())
    text = labels.get(value, "")
    return f"{text} ({code})" if text else code
