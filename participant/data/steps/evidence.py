"""Evidence of a column's type, gathered as it is read: counts over all of its cells, and a few distinct ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from participant.data.steps.dates import COMPACT, RIVALS, SHAPES, SHORT_YEAR, parse_moments, with_time
from participant.data.steps.missing import MissingCodes
from participant.data.steps.numbers import CODE, GROUPED, parse_numbers
from participant.data.steps.words import USUAL_MISSING

_HOPELESS = 1000  # after so many different cells that fit no reading, the column is text
_EXACT = 2**53


@dataclass(slots=True)
class Evidence:
    """Evidence from one column: mostly counts of cells. `read` takes a batch, in which single text cells may be typed.

    Attributes:
        present: cells with a value.
        coded: cells with a declared code for a missing value; they are not examined further.
        dtype: type of the column if the source has typed it as a whole, else text.
        typed: cells that the source has typed as numbers; their text is not examined.
        real: whether some of these are typed as real.
        nonfinite, largest: number of infinite typed numbers, and largest of the whole ones.
        whole: cells of digits alone; `wholes` counts other whole numbers, by decimal mark.
        plain: cells that are the same number under either mark, including the whole ones.
        point, comma: cells that are a number under this mark alone.
        dotted, grouped: cells that are a different number under each mark: `1.234`, and `1,234`.
        powers, small_powers: cells such as 12E5 and 12e5, which may be numbers or codes.
        scientific: whether some exponents are unmistakable, such as 1.2e5 and 1e-5.
        codes, compact: cells with leading zeros or too many digits, and whole numbers that may be dates (20230131).
        thousands: cells with thousands separators, by decimal mark.
        united: cells with a unit; `units` counts them by unit.
        forms, moments, short: dates by format, those with a time of day by format, and those with a two-digit year.
        words: cells that are neither numbers nor dates, in lower case.
    """

    present: int = 0
    coded: int = 0
    dtype: pl.DataType = field(default_factory=pl.String)
    typed: int = 0
    real: bool = False
    nonfinite: int = 0
    largest: int = 0
    whole: int = 0
    plain: int = 0
    point: int = 0
    comma: int = 0
    dotted: int = 0
    grouped: int = 0
    powers: int = 0
    small_powers: int = 0
    scientific: bool = False
    codes: int = 0
    compact: int = 0
    wholes: Counter[str] = field(default_factory=Counter)
    thousands: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    short: int = 0
    words: Counter[str] = field(default_factory=Counter)
    hopeless: bool = False

    def read(self, cells: pl.Series, missing: MissingCodes, numbers: pl.Series | None = None) -> None:
        """Take a batch of cells and, for a text column, the numbers that the source has typed among them."""
        self.dtype = cells.dtype
        if cells.dtype != pl.String:
            self._read_typed(cells, missing)
            return
        if numbers is not None:
            self._read_typed(numbers, missing)
            cells = cells.filter(numbers.is_null())
        cells = cells.drop_nulls()
        if missing.words:
            coded = missing.among(cells)
            if found := int(coded.sum()):
                self.coded += found
                cells = cells.filter(~coded)
        self.present += len(cells)
        if not self.hopeless and len(cells):
            self._read_text(cells)

    @property
    def numeric(self) -> int:
        """Cells that are a number in some notation."""
        return self.typed + self.plain + self.point + self.comma + self.dotted + self.grouped

    @property
    def gone(self) -> int:
        """Cells that usually stand for a missing value."""
        return sum(count for word, count in self.words.items() if word in USUAL_MISSING)

    @property
    def ambiguous_powers(self) -> int:
        """Cells such as 12E5 in a column without an unmistakable exponent.

        Beside other numbers, a small e without a sign is a program's exponent; codes have a capital E.
        """
        if self.scientific:
            return 0
        return self.powers + (0 if self.point or self.comma else self.small_powers)

    @property
    def united(self) -> int:
        return sum(self.units.values())

    def fits(self, mark: str) -> int:
        """Return how many cells are numbers with this decimal mark."""
        return self.numeric - (self.comma if mark == "." else self.point)

    @property
    def mark(self) -> str | None:
        """The decimal mark that the cells show beyond doubt."""
        if (
            self.hopeless
            or self.codes
            or self.numeric + self.gone != self.present
            or bool(self.point) == bool(self.comma)
        ):
            return None
        return "." if self.point else ","

    def _read_typed(self, cells: pl.Series, missing: MissingCodes) -> None:
        cells = cells.drop_nulls()
        if missing.values and cells.dtype.is_numeric():
            coded = missing.equal(cells)
            self.coded += int(coded.sum())
            cells = cells.filter(~coded)
        self.present += len(cells)
        if not cells.dtype.is_numeric():
            return
        self.typed += len(cells)
        if cells.dtype == pl.Float64:
            self.real = True
            self.nonfinite += int((~cells.is_finite()).sum())
        elif len(cells):
            self.largest = max(self.largest, -int(cells.min()), int(cells.max()))  # type: ignore[arg-type]  # of Int64

    def _read_text(self, cells: pl.Series) -> None:
        numbers = cells.cast(pl.Float64, strict=False)
        finite = numbers.is_finite().fill_null(value=False)
        plain, numbers = _those(cells, finite), _those(numbers, finite)
        if len(plain):
            self.codes += int(plain.str.contains(CODE).sum())
            marked = plain.str.contains("[.eE]")
            self._read_whole(_those(plain, ~marked), _those(numbers, ~marked))
            if marked.any():
                self._read_marked(_those(plain, marked))
        if len(plain) < len(cells):
            self._read_others(_those(cells, ~finite))

    def _read_whole(self, cells: pl.Series, numbers: pl.Series) -> None:
        """Take numbers without a point or an exponent."""
        if self.compact == self.whole:  # so far, all may be dates
            self.compact += int(cells.str.contains(COMPACT).sum())
        self.whole += int((numbers.abs() < _EXACT).sum())
        self.plain += len(cells)

    def _read_marked(self, cells: pl.Series) -> None:
        """Take numbers with a point or an exponent; once a decimal point is certain, it holds for all."""
        raised = cells.filter(cells.str.contains("[eE]"))
        if len(raised):
            powers = raised.filter(raised.str.contains(r"^[+-]?[0-9]+[eE][0-9]+$"))
            small = int(powers.str.contains("e", literal=True).sum())
            self.small_powers += small
            self.powers += len(powers) - small
            self.scientific |= len(raised) > len(powers)
        if self.point:
            self.point += len(cells)
            return
        pointed = cells.str.contains(".", literal=True)
        dotted = int(cells.str.contains(f"^[+-]?{GROUPED[',']}$").sum())
        self.dotted += dotted
        self.point += int(pointed.sum()) - dotted
        self.plain += int((~pointed).sum())

    def _read_others(self, cells: pl.Series) -> None:
        different = cells.value_counts(name="count")
        text, count = different.to_series(0), different["count"]
        known = self._read_numbers(text, count)
        for form in SHAPES:
            fits = parse_moments(text, form).is_not_null()
            if fits.any():
                self.forms[form] += _total(count, fits)
                self.moments[form] += _total(count, fits & with_time(text))
                known |= fits
        self.short += _total(count, ~known & text.str.contains(SHORT_YEAR))
        self._count(self.words, text.filter(~known).str.to_lowercase(), count.filter(~known))
        self.hopeless = len(self.words) > _HOPELESS

    def _read_numbers(self, text: pl.Series, count: pl.Series) -> pl.Series:
        point, unit = parse_numbers(text, ".")
        comma, other = parse_numbers(text, ",")
        left, right = point.is_not_null(), comma.is_not_null()
        dates = text.str.contains("^(?:" + "|".join(SHAPES.values()) + ")")
        both = left & right & ~dates
        same = (point == comma).fill_null(value=False)
        plain_point = text.str.contains(r"^[+-]?[0-9]+\.[0-9]")
        fits = (left | right) & ~dates
        self.plain += _total(count, both & same)
        self.point += _total(count, left & ~right & ~dates)
        self.comma += _total(count, right & ~left & ~dates)
        self.dotted += _total(count, both & ~same & plain_point)
        self.grouped += _total(count, both & ~same & ~plain_point)
        number = text.str.extract("^([^A-Za-z\u00b5\u03bc\u00b0%\u2030\u03a9]+)", 1).str.strip_chars()
        self.codes += _total(count, fits & number.str.contains(CODE))
        for mark in GROUPED:
            self.wholes[mark] += _total(count, fits & number.str.contains(f"^[+-]?(?:[0-9]{{1,15}}|{GROUPED[mark]})$"))
            self.thousands[mark] += _total(count, fits & number.str.contains(f"^[+-]?{GROUPED[mark]}"))
        self._count(self.units, unit.zip_with(unit.is_not_null(), other).filter(fits), count.filter(fits))
        return fits

    def _count(self, counter: Counter[str], text: pl.Series, count: pl.Series) -> None:
        for word, times in zip(text, count, strict=True):
            if word is not None:
                counter[word] += times
            if len(counter) > _HOPELESS:
                return


def mark_of_table(seen: Sequence[Evidence], shown: str | None = None) -> str | None:
    """Return the decimal mark of a table if its columns show one, and nothing contradicts it.

    Args:
        seen: evidence from its columns.
        shown: mark that the cell separator implies, if any.
    """
    marks = {mark for one in seen if (mark := one.mark) is not None} | ({shown} if shown else set())
    return marks.pop() if len(marks) == 1 else None


def date_formats(seen: Evidence) -> tuple[dict[str, int], int]:
    """Return the formats of a column's dates with their counts, and how many cells are dates."""
    formats = {form: seen.forms[form] for form in SHAPES if seen.forms[form]}
    total = sum(formats.values())
    for pair in RIVALS:
        counts = [formats.get(form, 0) for form in pair]
        if min(counts) and max(counts) > min(counts):  # one of the two fits more cells, so the other cannot be meant
            total -= formats.pop(pair[counts.index(min(counts))])
        elif min(counts):
            total -= counts[0]  # each of these cells fits both
    return formats, total


def _those(cells: pl.Series, wanted: pl.Series) -> pl.Series:
    """Return the cells that are wanted, without a copy if these are all."""
    return cells if wanted.all() else cells.filter(wanted)


def _total(count: pl.Series, fits: pl.Series) -> int:
    return int(count.filter(fits.fill_null(value=False)).sum() or 0)
