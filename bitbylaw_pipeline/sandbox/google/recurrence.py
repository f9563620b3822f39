"""RRULE, EXDATE and RDATE lines: checked and expanded, as far as plain rules go (RFC 5545, 3.3.10)."""

from __future__ import annotations

import calendar as days
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from bitbylaw_pipeline.sandbox.google.errors import api_error, invalid

_WEEKDAYS = {name: number for number, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PARTS = {
    "FREQ": re.compile(r"SECONDLY|MINUTELY|HOURLY|DAILY|WEEKLY|MONTHLY|YEARLY"),
    "INTERVAL": re.compile(r"[1-9]\d{0,3}"),
    "COUNT": re.compile(r"[1-9]\d{0,5}"),
    "UNTIL": re.compile(r"\d{8}(T\d{6}Z?)?"),
    "BYDAY": re.compile(r"([+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU))(,[+-]?\d{0,2}(MO|TU|WE|TH|FR|SA|SU))*"),
    "BYMONTHDAY": re.compile(r"-?\d{1,2}(,-?\d{1,2})*"),
    "BYMONTH": re.compile(r"\d{1,2}(,\d{1,2})*"),
    "WKST": re.compile(r"MO|TU|WE|TH|FR|SA|SU"),
    "BYSETPOS": re.compile(r"-?\d+(,-?\d+)*"),
    "BYYEARDAY": re.compile(r"-?\d+(,-?\d+)*"),
    "BYWEEKNO": re.compile(r"-?\d+(,-?\d+)*"),
    "BYHOUR": re.compile(r"\d+(,\d+)*"),
    "BYMINUTE": re.compile(r"\d+(,\d+)*"),
    "BYSECOND": re.compile(r"\d+(,\d+)*"),
}
_NOT_EXPANDED = ("BYSETPOS", "BYYEARDAY", "BYWEEKNO", "BYHOUR", "BYMINUTE", "BYSECOND")
_LINE = re.compile(r"(RRULE|EXRULE|RDATE|EXDATE)[;:].+")
_LAST_YEAR = 2100


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `until` is a day or an instant (seconds UTC), whichever the series is of."""

    frequency: str
    interval: int
    count: int | None
    until: str
    by_day: tuple[tuple[int, int], ...]
    by_month_day: tuple[int, ...]
    by_month: tuple[int, ...]


def check_recurrence(lines: Any) -> None:
    """Raise ApiError unless these are RRULE, EXRULE, RDATE and EXDATE lines with well-formed rules."""
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise invalid("Invalid value for: recurrence.")
    for line in lines:
        if not _LINE.fullmatch(line):
            raise invalid("Invalid recurrence rule.")
        if line.startswith(("RRULE:", "EXRULE:")):
            _rule_parts(line)


def _rule_parts(line: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for item in line.partition(":")[2].rstrip(";").split(";"):
        name, _, value = item.partition("=")
        pattern = _PARTS.get(name.upper())
        if pattern is None or name.upper() in parts or not pattern.fullmatch(value.upper()):
            raise invalid("Invalid recurrence rule.")
        parts[name.upper()] = value.upper()
    if "FREQ" not in parts or {"COUNT", "UNTIL"} <= set(parts):
        raise invalid("Invalid recurrence rule.")
    return parts


def parse_rule(line: str) -> Rule:
    """An RRULE line. Raises ApiError: 400 where it is none, 501 where the stand-in cannot expand it."""
    parts = _rule_parts(line)
    if not _is_plain(parts):
        raise api_error("notImplemented", "The stand-in does not expand this recurrence rule.")
    by_day = tuple(
        (int(item[:-2] or 0), _WEEKDAYS[item[-2:]]) for item in parts.get("BYDAY", "").split(",") if item
    )
    return Rule(
        parts["FREQ"],
        int(parts.get("INTERVAL", 1)),
        int(parts["COUNT"]) if "COUNT" in parts else None,
        parts.get("UNTIL", ""),
        by_day,
        _numbers(parts.get("BYMONTHDAY")),
        _numbers(parts.get("BYMONTH")),
    )


def _is_plain(parts: dict[str, str]) -> bool:
    """Whether the rule is one that is expanded here: a wrong expansion would be worse than none."""
    by_day, frequency = parts.get("BYDAY", ""), parts["FREQ"]
    if frequency not in _FREQUENCIES or any(name in parts for name in _NOT_EXPANDED):
        return False
    if frequency in ("DAILY", "WEEKLY"):
        is_skipping = (
            frequency == "WEEKLY" and parts.get("INTERVAL", "1") != "1" and parts.get("WKST", "MO") != "MO"
        )
        return "BYMONTHDAY" not in parts and not re.search(r"\d", by_day) and not is_skipping
    if frequency == "YEARLY":
        return (not by_day or "BYMONTH" in parts) and ("BYMONTHDAY" not in parts or "BYMONTH" in parts)
    return True


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(item) for item in text.split(",")) if text else ()


def occurrences(start: datetime | date, lines: list[str]) -> Iterator[datetime | date]:
    """The begins of a series in order, `start` first: wall times in the zone of `start`, or days.

    The clock time is the same on both sides of a change of the clocks. Raises ApiError (501).
    """
    rules = [parse_rule(line) for line in lines if line.startswith("RRULE:")]
    if len(rules) > 1 or any(line.startswith("EXRULE") for line in lines):
        raise api_error("notImplemented", "The stand-in expands one RRULE at most, and no EXRULE.")
    excluded = {key for line in lines if line.startswith("EXDATE") for key in _listed(line, start)}
    extra = sorted({key for line in lines if line.startswith("RDATE") for key in _listed(line, start)})
    for one in _with_extra(_by_rule(start, rules[0]) if rules else iter([start]), extra):
        if _key(one) not in excluded:
            yield one


def _key(one: datetime | date) -> float | str:
    return one.astimezone(UTC).timestamp() if isinstance(one, datetime) else one.isoformat()


def _listed(line: str, start: datetime | date) -> list[Any]:
    """The dates of an EXDATE (as keys) or RDATE line."""
    found = [_moment(item, start) for item in line.partition(":")[2].split(",")]
    return [_key(one) for one in found] if line.startswith("EXDATE") else found


def _moment(text: str, start: datetime | date) -> datetime | date:
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8]))
        if not isinstance(start, datetime):
            return day
        if len(text) == 8:
            return datetime.combine(day, start.timetz())
        clock = time(int(text[9:11]), int(text[11:13]), int(text[13:15]))
    except ValueError:
        raise invalid("Invalid recurrence rule.") from None
    zone = UTC if text.endswith("Z") else start.tzinfo
    return datetime.combine(day, clock, zone).astimezone(start.tzinfo)


def _with_extra(ruled: Iterator[Any], extra: list[Any]) -> Iterator[Any]:
    waiting = list(extra)
    seen: set[Any] = set()
    for one in ruled:
        while waiting and waiting[0] < one:
            seen.add(waiting[0])
            yield waiting.pop(0)
        if one not in seen and not (waiting and waiting[0] == one):
            yield one
    yield from waiting


def _by_rule(start: datetime | date, rule: Rule) -> Iterator[datetime | date]:
    first = start.date() if isinstance(start, datetime) else start
    clock = start.time().replace(fold=0) if isinstance(start, datetime) else None
    zone = start.tzinfo if isinstance(start, datetime) else None
    last = _moment(rule.until, start) if rule.until else None
    for given, day in enumerate(_days(first, rule)):
        if day.year > _LAST_YEAR or (rule.count is not None and given >= rule.count):
            return
        one = day if clock is None else datetime.combine(day, clock, zone)
        if last is not None and _is_after(one, last):
            return
        yield one


def _is_after(one: datetime | date, last: datetime | date) -> bool:
    if isinstance(one, datetime) and isinstance(last, datetime):
        return one.astimezone(UTC) > last.astimezone(UTC)
    return one > last


def _days(first: date, rule: Rule) -> Iterator[date]:
    """The rule's days from `first` on; `first` itself counts whether or not the rule has it."""
    yield first
    for period in _periods(first, rule):
        for day in sorted(_days_of_period(period, first, rule)):
            if day > first and (not rule.by_month or day.month in rule.by_month):
                yield day


def _periods(first: date, rule: Rule) -> Iterator[date]:
    step = rule.interval
    if rule.frequency in ("DAILY", "WEEKLY"):
        unit = timedelta(days=step * (7 if rule.frequency == "WEEKLY" else 1))
        at = first if rule.frequency == "DAILY" else first - timedelta(days=first.weekday())
        while at.year <= _LAST_YEAR + 1:
            yield at
            at += unit
        return
    month = first.year * 12 + first.month - 1
    by = step if rule.frequency == "MONTHLY" else 12 * step
    if rule.frequency == "YEARLY":
        month = first.year * 12
    while month // 12 <= _LAST_YEAR + 1:
        yield date(month // 12, month % 12 + 1, 1)
        month += by


def _days_of_period(period: date, first: date, rule: Rule) -> set[date]:
    weekdays = {weekday for _, weekday in rule.by_day}
    if rule.frequency == "DAILY":
        return {period} if not weekdays or period.weekday() in weekdays else set()
    if rule.frequency == "WEEKLY":
        return {period + timedelta(days=number) for number in weekdays or {first.weekday()}}
    if rule.frequency == "MONTHLY":
        return _days_of_month(period.year, period.month, first, rule)
    months = rule.by_month or (first.month,)
    return {day for month in months for day in _days_of_month(period.year, month, first, rule)}


def _days_of_month(year: int, month: int, first: date, rule: Rule) -> set[date]:
    length = days.monthrange(year, month)[1]
    every = [date(year, month, number) for number in range(1, length + 1)]
    found: set[date] = set()
    for ordinal, weekday in rule.by_day:
        fitting = [day for day in every if day.weekday() == weekday]
        if ordinal == 0:
            found.update(fitting)
        elif abs(ordinal) <= len(fitting):
            found.add(fitting[ordinal - 1 if ordinal > 0 else ordinal])
    wanted = rule.by_month_day or (() if rule.by_day else (first.day,))
    numbers = {number if number > 0 else length + 1 + number for number in wanted}
    by_number = {every[number - 1] for number in numbers if 1 <= number <= length}
    return found & by_number if rule.by_day and rule.by_month_day else found | by_number
