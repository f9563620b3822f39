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
    "shared, by case": (
        one("CD", calendar=GOOD["AB"]["calendar"].upper()), "AB and CD share a calendar: each needs one of their own",
    ),
    "primary": (one(calendar="Primary"), "the calendar of AB is an employee's own main one"),
    "own": (one(calendar=f"{SECRET.upper()}@kanzlei.example"), "the calendar of AB is an employee's own main one"),
    "a colleague's": (one(calendar="AOE@kanzlei.example"), "the calendar of AB is an employee's own main one"),
    "a stranger's": (
        one(calendar=f"{SECRET}@web.example"), "the calendar of AB does not end with @group.calendar.google.com",
    ),
    "an address for a Kürzel": ({f"{SECRET}@firm.example": "c_id"}, 'write {"AB": {"user": '),
    "an unknown word": ({"AB": {**GOOD["AB"], SECRET: "x"}}, 'write {"AB": {"user": '),
    "no mapping": ([SECRET], 'write {"AB": {"user": '),
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


def test_settings_that_are_loaded_stay_as_they_are(tmp_path: Path) -> None:
    """A file that changes while a run is at work is read by the next: nobody's half of a run goes by another mapping."""
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps(GOOD), "utf-8")
    settings = load(google_calendars_file=file)
    copied = settings.model_copy(update={"redis_db": 5})
    file.write_text(SECRET, "utf-8")
    assert set(settings.calendars) == set(copied.calendars) == set(GOOD)
    assert SECRET not in repr(settings)
    with pytest.raises(SettingsError, match="GOOGLE_CALENDARS_FILE is not usable") as refused:
        load(google_calendars_file=file)
    assert SECRET not in str(refused.value)


def test_good_mappings_are_taken_and_the_file_wins(tmp_path: Path) -> None:
    """Umlauts in a Kürzel; where both are given the file's are the calendars."""
    file = tmp_path / "calendars.json"
    cd = {"user": "cd@kanzlei.example", "calendar": "c_cd@group.calendar.google.com"}
    file.write_text(json.dumps({"CD": cd}), "utf-8")
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


@pytest.mark.parametrize(
    "name", ["GOOGLE_CALENDARS", "COLLECTION_OWNERS", "DOCUMENT_FIELDS", "AKTEN_MATTERS"]
)
@pytest.mark.parametrize("way", ["environment", "file"])
def test_broken_json_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, way: str
) -> None:
    """Of any setting that is JSON: its name, and not a word of what stands there."""
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"{name}={{{SECRET}\n" if way == "file" else "", "utf-8")
    if way == "environment":
        monkeypatch.setenv(name, "{" + SECRET)
    with pytest.raises(SettingsError) as refused:
        Settings.load(_env_file=dotenv)
    assert str(refused.value) == f"{name} is not usable: what stands there is not JSON. See .env.example."


def test_a_wrong_word_in_a_setting_is_not_called_a_setting() -> None:
    """What is wrong inside one says where, by the names of this project; what a person wrote for a name is left out."""
    with pytest.raises(SettingsError, match=r"^DOCUMENT_FIELDS \(datei\) is not usable: ") as word:
        load(document_fields={"datei": "x"})
    assert "in .env" not in str(word.value)
    with pytest.raises(SettingsError, match=r"^COLLECTION_OWNERS \(1\) \(word\) is not usable: "):
        load(collection_owners=[{"entity_type": "A", "word": "a"}, {"entity_type": "B"}])
    with pytest.raises(SettingsError, match=r"^DOCUMENT_FIELDS is not usable: "):
        load(document_fields={f"{SECRET}@firm.example": "x"})
    with pytest.raises(SettingsError, match=r"^ZZ in \.env is not a setting"):
        load(zz="x")


def test_appointments_are_kept_in_step_where_advoware_and_a_calendar_are_there(tmp_path: Path) -> None:
    """has_calendars: a mapping or a file, and Advoware; one without the other is not enough."""
    file = tmp_path / "calendars.json"
    file.write_text(json.dumps(GOOD), "utf-8")
    assert load(**ADVOWARE, google_calendars=GOOD).has_calendars
    assert load(**ADVOWARE, google_calendars_file=file).has_calendars
    assert not load(**ADVOWARE).has_calendars
    assert not load(google_calendars=GOOD).has_calendars
