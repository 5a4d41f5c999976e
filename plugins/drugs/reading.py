"""Reads drug files: CSV or TSV, in our columns or in RedMed's. Every mistake is told with its line; none is mended.

Our columns, `generic_name` alone required: `generic_name, brand_names, keywords, ingredients, classes, schedules,
prescription_only, is_active`; lists are separated by `;` or `|`, a schedule is written `US:IV`. A column that the
file has replaces what is stored, one that it lacks leaves it.

RedMed's lexicon (Lavertu & Altman 2019) has `drug` and `known`, `_` for a space and `,` between names: machine-made
synonyms of a drug, which are added to what is stored.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from cito.plugins.drugs.folding import MAX_NAME_LENGTH, fold, squash
from cito.plugins.drugs.models import Schedule

_LISTS = ("brand_names", "keywords", "ingredients", "classes")
_FLAGS = ("prescription_only", "is_active")
_OURS = ("generic_name", *_LISTS, "schedules", *_FLAGS)
_REDMED = ("drug", "known")
_IGNORED = ("dbid",)
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_LIST = re.compile(r"[;|]")
_SCHEDULE = re.compile(r"(?P<jurisdiction>[A-Z]{2}):(?P<schedule>.{1,20})")
_MOST_ERRORS = 100


class FileRefused(Exception):  # noqa: N818 - says what happened
    """A file that cannot be taken. `errors` has one line each, with the line's number."""

    def __init__(self, errors: list[str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors))


class Line(msgspec.Struct, frozen=True):
    """One drug of a file.

    Attributes:
        number: its line, from 1.
        generic_name: its name; by it, what is stored already is found.
        given: what the file says about it, by the name of the field of `Drug`.
        synonyms: names to be added to what is stored; the file does not say of which kind.
        adds: it adds names and says nothing else, so that several lines may be about one drug.
    """

    number: int
    generic_name: str
    given: Mapping[str, object]
    synonyms: tuple[str, ...] = ()
    adds: bool = False


class _Wrong(Exception):  # noqa: N818 - one mistake on one line
    pass


def read_file(path: Path) -> list[Line]:
    """Return the drugs of a file.

    Raises:
        FileRefused: with every mistake found, up to 100.
        OSError: it cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileRefused([f"line {line}: not UTF-8; save the file as UTF-8"]) from None
    rows = _rows(text)
    header = next(rows, (1, []))[1]
    parse = _parser([name.strip().lower() for name in header])
    lines: list[Line] = []
    errors: list[str] = []
    seen: dict[str, int] = {}
    for number, cells in rows:
        try:
            lines.append(_checked(parse(number, cells), seen))
        except _Wrong as wrong:
            errors.append(f"line {number}: {wrong}")
            if len(errors) == _MOST_ERRORS:
                errors.append("and perhaps more: mend these first")
                break
    if errors:
        raise FileRefused(errors)
    return lines


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank with the number of its first line."""
    lines = text.splitlines(keepends=True)
    tabs = "\t" in (lines[0] if lines else "")
    reader = (
        csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(lines, strict=True)
    )
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise FileRefused([f"line {number}: {error}"]) from None


def _parser(header: list[str]) -> Callable[[int, list[str]], Line]:
    """Return the function that reads a row under this header."""
    redmed = set(_REDMED) <= set(header)
    known = (*_REDMED, *_IGNORED) if redmed else _OURS
    unknown = [name or "(empty)" for name in header if name not in known]
    if not redmed and "generic_name" not in header:
        raise FileRefused([f"line 1: no column generic_name; the columns are {', '.join(_OURS)}"])
    if unknown:
        raise FileRefused(
            [f"line 1: unknown column {', '.join(unknown)}; the columns are {', '.join(known)}"]
        )
    if len(set(header)) < len(header):
        raise FileRefused(["line 1: a column stands there twice"])

    def parse(number: int, cells: list[str]) -> Line:
        if len(cells) != len(header):
            raise _Wrong(f"{len(cells)} columns, the header has {len(header)}")
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        return _redmed(number, row) if redmed else _ours(number, row)

    return parse


def _ours(number: int, row: Mapping[str, str]) -> Line:
    given: dict[str, object] = {
        name: tuple(part.strip() for part in _LIST.split(row[name]) if part.strip())
        for name in _LISTS
        if name in row
    }
    if "schedules" in row:
        given["schedules"] = _schedules(row["schedules"])
    for name in _FLAGS:
        if row.get(name):
            if row[name].lower() not in _YES_NO:
                raise _Wrong(f"{name}: write yes or no")
            given[name] = _YES_NO[row[name].lower()]
    return Line(number, " ".join(row["generic_name"].split()), given)


def _schedules(text: str) -> tuple[Schedule, ...]:
    found = []
    for part in _LIST.split(text):
        if part.strip():
            written = _SCHEDULE.fullmatch(part.strip())
            if written is None:
                raise _Wrong("schedules: write the jurisdiction and its schedule, such as US:IV")
            found.append(Schedule(written["jurisdiction"], written["schedule"].strip()))
    if len({schedule.jurisdiction for schedule in found}) < len(found):
        raise _Wrong("schedules: a jurisdiction stands there twice")
    return tuple(found)


def _redmed(number: int, row: Mapping[str, str]) -> Line:
    def name(text: str) -> str:
        return " ".join(text.replace("_", " ").split())

    synonyms = tuple(found for part in row["known"].split(",") if squash(fold(found := name(part))))
    return Line(number, name(row["drug"]), {}, synonyms, adds=True)


def _checked(line: Line, seen: dict[str, int]) -> Line:
    """Refuse names that cannot be, and a drug that stood on an earlier line."""
    names = [line.generic_name, *line.synonyms]
    for field in _LISTS:
        listed = line.given.get(field, ())
        assert isinstance(listed, tuple)
        names += listed
    for name in names:
        if not squash(fold(name)):
            raise _Wrong("a name is empty or has no letter or digit")
        if len(name) > MAX_NAME_LENGTH:
            raise _Wrong(f"a name is longer than {MAX_NAME_LENGTH} characters")
    earlier = seen.setdefault(squash(fold(line.generic_name)), line.number)
    if earlier != line.number and not line.adds:
        raise _Wrong(f"the same generic name as on line {earlier}")
    return line
