"""What the administrator sees in the Dagster UI, in a real browser, after everything in the demo has happened."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from bitbylaw_pipeline.demo.leaks import persons_words
from bitbylaw_pipeline.demo.two_way_story import MOVED, NEW_VALUES
from bitbylaw_pipeline.loopback import free_port
from bitbylaw_pipeline.sandbox.samples.matters import person_betnr, person_record_id

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

DEMO_SECONDS = 420
PAGE_SECONDS = 60


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The demo with its UI up: the UI's address, and what the demo printed."""
    folder = tmp_path_factory.mktemp("demo")
    port = free_port()
    bitbylaw = Path(sys.executable).with_name("bitbylaw")
    demo = subprocess.Popen(
        [str(bitbylaw), "demo", "--ui-port", str(port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "200"},
    )
    assert demo.stdout is not None
    printed: list[str] = []
    deadline = time.monotonic() + DEMO_SECONDS
    try:
        for line in demo.stdout:
            printed.append(line)
            if "Ctrl-C" in line or time.monotonic() > deadline:
                break
        yield f"http://127.0.0.1:{port}", "".join(printed)
    finally:
        demo.send_signal(signal.SIGINT)
        try:
            demo.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            demo.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium, 1600 by 1000."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1600,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def text_of(browser: webdriver.Chrome, address: str, *expected: str) -> str:
    """The page's text once all of the expected words are on it; fails with what is there if they do not come."""
    browser.get(address)
    return _text_once(browser, *expected)


def _text_once(browser: webdriver.Chrome, *expected: str) -> str:
    deadline = time.monotonic() + PAGE_SECONDS
    text = ""
    while time.monotonic() < deadline:
        text = browser.find_element(By.TAG_NAME, "body").text
        if all(word in text for word in expected):
            return text
        time.sleep(0.5)
    missing = [word for word in expected if word not in text]
    raise AssertionError(f"{missing} is not on {browser.current_url}: {text[:2000]}")


def assert_no_person(text: str) -> None:
    """Nothing of a sample person's on the page: name, street, mail address, number, IBAN."""
    assert [word for word in (*persons_words(), *NEW_VALUES) if word in text] == []


def test_the_demo_ends_with_every_expectation_met(ui: tuple[str, str]) -> None:
    """The demo's own verdict, as printed."""
    assert re.search(r"(\d+) of \1 expectations hold", ui[1]), ui[1][-3000:]


def test_the_lineage_shows_the_way_from_espocrm_to_xai(
    ui: tuple[str, str], browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """The asset graph has EspoCRM's records and what becomes of them at xAI, with no person's name on it."""
    text = text_of(
        browser,
        f"{ui[0]}/assets/xai/collection_documents?view=lineage&lineageScope=upstream&lineageDepth=5",
        "dokumente",
        "collection_ids",
        "files",
        "collections",
        "raeumungsklagen",
    )
    browser.save_screenshot(str(tmp_path / "lineage.png"))
    assert_no_person(text)


def test_a_documents_partition_shows_its_materialization(
    ui: tuple[str, str], browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """The partition page of xai/files lists documents by id, and the latest event carries the file's id."""
    text = text_of(browser, f"{ui[0]}/assets/xai/files?view=partitions", "Materialized")
    keys = re.findall(r"\b[0-9a-f]{17}\b", text)
    assert keys, text[:2000]
    page = text_of(
        browser, f"{ui[0]}/assets/xai/files?view=partitions&partition={keys[0]}", keys[0], "file_id", "sha256"
    )
    browser.save_screenshot(str(tmp_path / "partition.png"))
    assert_no_person(page)


def test_a_partys_checks_say_what_waits_for_a_person(
    ui: tuple[str, str], browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """The page of advoware/beteiligte warns, names the command, and shows ids and reasons in place of values."""
    address = f"{ui[0]}/assets/advoware/beteiligte?view=checks&checkDetail=nothing_held"
    text = text_of(
        browser, address, "4 wait for a person", "bitbylaw holds", "no_open_conflicts", "Show JSON"
    )
    browser.save_screenshot(str(tmp_path / "beteiligte_checks.png"))
    assert_no_person(text)
    browser.find_element(By.XPATH, "//*[text()='[Show JSON]']").click()
    sample = _text_once(browser, "ambiguous_match", "task:right:update:land")
    browser.save_screenshot(str(tmp_path / "beteiligte_sample.png"))
    assert_no_person(sample)


def test_a_partys_partition_names_its_number_at_advoware(
    ui: tuple[str, str], browser: webdriver.Chrome, tmp_path: Path
) -> None:
    """One partition a party, by EspoCRM's id; its latest event has the betNr and which fields went across."""
    key = person_record_id(MOVED)
    address = f"{ui[0]}/assets/advoware/beteiligte?view=partitions&partition={key}"
    text = text_of(browser, address, key, "advoware_id", str(person_betnr(MOVED)))
    browser.save_screenshot(str(tmp_path / "beteiligte_partition.png"))
    assert_no_person(text)
