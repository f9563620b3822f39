"""Whose appointments go into which calendar: every refusal is one sentence, and repeats nothing of the mapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bitbylaw_pipeline.settings import Settings, SettingsError

SECRET = "ueberlinger"
GOOD = {
    "AB": {"user": f"{SECRET}@kanzlei.example", "calendar": "c_ab@group.calendar.google.com"},
    "ÄÖ": {"user": "aoe@kanzlei.example", "calendar": "c_aoe@group.calendar.google.com"},
}
ADVOWARE = {"advoware_api_key": "k", "advoware_configurator_url": "https://advoware.example"}


def load(**given: Any) -> Settings:
    """The settings, without the environment's."""
    return Settings.load(_env_file=None, **given)


def one(kuerzel: str = "AB", **changed: str) -> dict[str, dict[str, str]]:
    """The good mapping with another entry for that Kürzel."""
    return {**GOOD, kuerzel: {**GOOD["AB"], "calendar": "c_x@group.calendar.google.com", **changed}}


REFUSED: dict[str, tuple[Any, str]] = {
    "twice, by case": (one("ab"), "the Kürzel AB is there twice"),
    "shared": (one("CD", calendar=GOOD["AB"]["calendar"]), "AB and CD share a calendar: each needs one of their own"),
    "primary": (one(calendar="primary"), "the calendar of AB is the employee's own main one"),
    "own": (one(calendar=f"{SECRET.upper()}@kanzlei.example"), "the calendar of AB is the employee's own main one"),
    "no mail": (one(user=SECRET), "the user of AB is not the mail address of a Google account"),
    "two mails": (one(user=f"{SECRET}@a@b"), "the user of AB is not the mail address of a Google account"),
    "a space in it": (one(user=f"{SECRET} @b"), "the user of AB is not the mail address of a Google account"),
    "no calendar": (one(calendar=" "), "the calendar of AB is empty or has a space at its end"),
    "a space": (one(calendar=f"{SECRET} "), "the calendar of AB is empty or has a space at its end"),
    "a path": (one("../AB"), "a Kürzel is up to 20 letters and digits, as Advoware has it"),
    "nobody": (one(""), "a Kürzel is up to 20 letters and digits, as Advoware has it"),
    "long": (one("A" * 21), "a Kürzel is up to 20 letters and digits, as Advoware has it"),
}  # fmt: skip


@pytest.mark.parametrize("way", ["setting", "file"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_mapping_that_mixes_people_up_is_refused(tmp_path: Path, name: str, way: str) -> None:
    """Given in the environment or in a file: one sentence with the setting's name, and no address of anybody's."""
    mapping, sentence = REFUSED[name]
    file = tmp_path / f"{SECRET}.json"
    file.write_text(json.dumps(mapping), "utf-8")
    given: dict[str, Any] = (
        {"google_calendars": mapping} if way == "setting" else {"google_calendars_file": file}
    )
    with pytest.raises(SettingsError) as refused:
        load(**given)
    said = str(refused.value)
    assert sentence in said
    assert said.startswith("GOOGLE_CALENDARS is" if way == "setting" else "GOOGLE_CALENDARS_FILE is")
    assert SECRET not in said.lower()
    assert "\n" not in said


FILES: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "the file cannot be read (FileNotFoundError): check the path and its rights"),
    "not text": (
        b"\xff\xfe\xff",
        "the file cannot be read (UnicodeDecodeError): check the path and its rights",
    ),
    "not JSON": (SECRET.encode(), 'write {"AB": {"user": '),
    "a list": (json.dumps([SECRET]).encode(), 'write {"AB": {"user": '),
    "a text for a pair": (json.dumps({"AB": SECRET}).encode(), 'write {"AB": {"user": '),
    "an unknown word": (json.dumps({"AB": {**GOOD["AB"], SECRET: "x"}}).encode(), 'write {"AB": {"user": '),
    "half of it": (json.dumps({"AB": {"user": SECRET}}).encode(), 'write {"AB": {"user": '),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used_says_what_to_write(tmp_path: Path, name: str) -> None:
    """Missing, no text, no JSON, another form: one sentence that repeats nothing of the file or its path."""
    content, sentence = FILES[name]
    file = tmp_path / f"{SECRET}.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load(google_calendars_file=file)
    assert sentence in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A path that leads to a folder is refused when it is set."""
    with pytest.raises(SettingsError, match="IsADirectoryError"):
        load(google_calendars_file=tmp_path)


def test_a_file_that_was_broken_since_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """Read again it is judged again: not the words of a library, and nothing of what stands in it."""
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps(GOOD), "utf-8")
    settings = load(google_calendars_file=file)
    file.write_text(SECRET, "utf-8")
    with pytest.raises(SettingsError, match="GOOGLE_CALENDARS_FILE is not usable") as refused:
        _ = settings.calendars
    assert SECRET not in str(refused.value)


def test_good_mappings_are_taken_and_the_file_wins(tmp_path: Path) -> None:
    """Umlauts in a Kürzel; where both are given the file's are the calendars."""
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps({"CD": {"user": "cd@kanzlei.example", "calendar": "c_cd"}}), "utf-8")
    both = load(google_calendars=GOOD, google_calendars_file=file)
    assert set(both.calendars) == {"CD"}
    alone = load(google_calendars=GOOD)
    assert {kuerzel: of.user for kuerzel, of in alone.calendars.items()} == {
        kuerzel: of["user"] for kuerzel, of in GOOD.items()
    }
    assert SECRET not in repr(alone) + repr(alone.calendars)


def test_the_environment_holds_the_mapping_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """GOOGLE_CALENDARS is JSON; what is none is one sentence without a word of it."""
    monkeypatch.setenv("GOOGLE_CALENDARS", json.dumps(GOOD))
    assert set(load().calendars) == set(GOOD)


def test_appointments_are_kept_in_step_where_advoware_and_a_calendar_are_there(tmp_path: Path) -> None:
    """has_calendars: a mapping or a file, and Advoware; one without the other is not enough."""
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps(GOOD), "utf-8")
    assert load(**ADVOWARE, google_calendars=GOOD).has_calendars
    assert load(**ADVOWARE, google_calendars_file=file).has_calendars
    assert not load(**ADVOWARE).has_calendars
    assert not load(google_calendars=GOOD).has_calendars
