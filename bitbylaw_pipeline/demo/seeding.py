"""The sample firm put into the stand-ins, as the demo needs it. All raise httpx.HTTPError where one refuses."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import httpx

from bitbylaw_pipeline.demo.person import API_KEY, USER_NAME
from bitbylaw_pipeline.demo.two_way_picture import MATTER_TYPES
from bitbylaw_pipeline.sandbox.samples.advoware import advoware_seed_document
from bitbylaw_pipeline.sandbox.samples.calendars import calendar_termine, google_seed_document
from bitbylaw_pipeline.sandbox.samples.matters import sample_firm
from bitbylaw_pipeline.sandbox.samples.seed import seed_document

SECONDS = 30.0


def seed_espocrm(espocrm_url: str, hook_url: str, hook_secret: str) -> None:
    """EspoCRM with its records and files, the person's account, and the hook that tells of links."""
    seed = seed_document(
        sample_firm(),
        link_multiple_fields=True,
        link_hook={"url": hook_url, "secret": hook_secret},
        # A real server sends webhooks every two minutes; nobody would wait for that here.
        config={"webhookPeriodSeconds": 1, "webhookQueueEventPortionSize": 200},
    )
    seed["users"] = [{"userName": USER_NAME, "type": "api", "apiKey": API_KEY}]
    for entity_type in MATTER_TYPES:
        for matter in seed["records"][entity_type]:
            # The pipeline is to find each matter's Akte by itself.
            del matter["advowareAkteId"]
    _post(espocrm_url, seed)


def seed_advoware(advoware_url: str, monday: date) -> None:
    """Advoware with parties, Akten, and Termine from that Monday on."""
    seed = advoware_seed_document(sample_firm(), first_monday=monday)
    seed["termine"] += calendar_termine(monday)
    _post(advoware_url, seed)


def seed_google(google_url: str, key_file: Path) -> None:
    """Google with empty calendars; the key with which they may be used goes into the file."""
    _post(google_url, google_seed_document())
    key = httpx.get(f"{google_url}/sandbox/service-account", timeout=SECONDS).raise_for_status()
    key_file.touch(mode=0o600)
    key_file.write_text(key.text, "utf-8")


def _post(root: str, seed: dict[str, Any]) -> None:
    httpx.post(f"{root}/sandbox/seed", json=seed, timeout=SECONDS).raise_for_status()
