"""The status page in a real browser that runs no script: by eye, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bitbylaw_pipeline.inbox.database import Database
from tests.conftest import ENCRYPTION_KEY, migrated_url
from tests.receiver.firms import FIRM, KEY, PASSWORD, SCRIPT, break_everything, make_well
from tests.receiver.processes import ReceiverProcess
from webhook_sensor_app.status_findings import ALL_IS_WELL
from webhook_sensor_app.status_view import NONE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

DESKTOP, PHONE = (1280, 900), (360, 740)
SECTIONS = [
    "Flows",
    "Systems",
    "What may leave the firm",
    "What waits for a person",
    "Open alerts",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium in which pages run no JavaScript."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """The receiver of a firm in which all is well, as a process."""
    yield from _receiver(tmp_path_factory.mktemp("well"), is_broken=False)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReceiverProcess]:
    """The receiver of a firm in which everything is wrong."""
    yield from _receiver(tmp_path_factory.mktemp("broken"), is_broken=True)


def _receiver(folder: Path, *, is_broken: bool) -> Iterator[ReceiverProcess]:
    url = migrated_url("sqlite", folder)
    database = Database.open(url, encryption_key=ENCRYPTION_KEY)
    make_well(database)
    if is_broken:
        break_everything(database)
    database.close()
    environment = {
        "STATUS_PASSWORD": PASSWORD,
        "API_KEYS": KEY,
        "XAI_EGRESS": "collection",
        "UI_PUBLIC_URL": "https://dagster.kanzlei.example",
        "ADVOWARE_API_KEY": FIRM["advoware_api_key"],
        "ADVOWARE_API_BASE_URL": FIRM["advoware_api_base_url"],
        "GOOGLE_CALENDARS": '{"AB": {"user": "ab@kanzlei.example", "calendar": "c@group.calendar.google.com"}}',
    }
    with ReceiverProcess(url, folder, **environment) as receiver:
        yield receiver


def show(
    browser: webdriver.Chrome,
    receiver: ReceiverProcess,
    size: tuple[int, int] = DESKTOP,
    *,
    scheme: str = "light",
) -> None:
    """Opens the page as a person does who has typed the password."""
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < DESKTOP[0]}
    _tell(browser, "Emulation.setDeviceMetricsOverride", **screen)
    _tell(browser, "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.get(receiver.url.replace("http://", f"http://anybody:{quote(PASSWORD)}@") + "/status")


def keep(browser: webdriver.Chrome, file: Path) -> None:
    """A picture of the whole page."""
    taken = _tell(browser, "Page.captureScreenshot", captureBeyondViewport=True)
    file.write_bytes(base64.b64decode(taken["data"]))


def _tell(browser: webdriver.Chrome, command: str, **given: Any) -> Any:
    return browser.execute_cdp_cmd(command, given)


def text_of(browser: webdriver.Chrome) -> str:
    """What is to be read on the page."""
    return browser.find_element(By.TAG_NAME, "body").text


def test_the_page_is_readable_without_javascript(
    browser: webdriver.Chrome, well: ReceiverProcess, tmp_path: Path
) -> None:
    """In a browser that runs no script everything is there: verdict, flows, systems, what may leave, what waits."""
    browser.get("data:text/html,<title>before</title><script>document.title='after'</script>")
    assert browser.title == "before"
    show(browser, well)
    keep(browser, tmp_path / "well.png")
    text = text_of(browser)
    for part in (
        "All is well",
        ALL_IS_WELL,
        *SECTIONS,
        "Documents",
        "Advoware",
        "Google Calendar",
        "Kill switch",
    ):
        assert part in text
    assert browser.title.startswith(ALL_IS_WELL)


def test_the_stylesheet_is_used(browser: webdriver.Chrome, well: ReceiverProcess) -> None:
    """The strict policy lets our own stylesheet in: the verdict has its colour."""
    show(browser, well)
    word = browser.find_element(By.CSS_SELECTOR, ".verdict .word")
    assert word.value_of_css_property("color") == "rgba(23, 99, 58, 1)"


def test_the_structure_is_told_to_a_screen_reader(browser: webdriver.Chrome, broken: ReceiverProcess) -> None:
    """Language, one headline, landmarks, and tables with captions and headers, also where they are shown as cards."""
    for size in (DESKTOP, PHONE):
        show(browser, broken, size)
        assert browser.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
        assert len(browser.find_elements(By.TAG_NAME, "h1")) == 1
        headings = [found.text for found in browser.find_elements(By.TAG_NAME, "h2")]
        assert headings == ["Besides", *SECTIONS]
        nodes = _tell(browser, "Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
        for landmark in ("banner", "navigation", "main", "contentinfo"):
            assert roles.count(landmark) == 1, (landmark, size)
        assert roles.count("table") == 3
        assert roles.count("rowheader") == 6 + 5 + 3
        assert roles.count("columnheader") == 10 + 6 + 4
        tables = [node for node in nodes if node["role"]["value"] == "table"]
        assert all(node["name"]["value"] for node in tables)
    for header in browser.find_elements(By.TAG_NAME, "th"):
        assert header.get_attribute("scope") in ("col", "row")


def test_the_keyboard_reaches_every_link_and_shows_where_it_is(
    browser: webdriver.Chrome, broken: ReceiverProcess, tmp_path: Path
) -> None:
    """Tab goes from the skip link through all links in the order of the page, each with a frame around it."""
    show(browser, broken)
    links = browser.find_elements(By.TAG_NAME, "a")
    assert len(links) == 4
    for number, link in enumerate(links):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        assert active == link
        assert active.value_of_css_property("outline-style") == "solid"
        assert active.value_of_css_property("outline-width") == "3px"
        box = active.rect
        assert min(box["x"], box["width"]) >= 0
        if number == 0:
            keep(browser, tmp_path / "focus.png")
    browser.execute_script("window.scrollTo(0, 0); document.activeElement.blur()")
    show(browser, broken)
    ActionChains(browser).send_keys(Keys.TAB, Keys.ENTER, Keys.TAB).perform()
    # Behind the skip link the next stop is the first link of the content, not the page's navigation.
    assert browser.switch_to.active_element == browser.find_elements(By.CSS_SELECTOR, "main a")[0]


def test_reload_brings_the_page_anew(browser: webdriver.Chrome, well: ReceiverProcess) -> None:
    """The link at the top is how the page is read anew: it does nothing by itself."""
    show(browser, well)
    before = browser.find_element(By.TAG_NAME, "html").id
    assert not browser.find_elements(By.CSS_SELECTOR, "meta[http-equiv]")
    browser.find_element(By.LINK_TEXT, "Reload").click()
    assert browser.find_element(By.TAG_NAME, "html").id != before
    assert browser.current_url.endswith("/status")
    assert ALL_IS_WELL in text_of(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "size", [PHONE, (320, 600), (768, 1024), (1000, 800), DESKTOP, (1920, 1080)], ids=str
)
def test_nothing_is_beyond_the_edge(
    browser: webdriver.Chrome, broken: ReceiverProcess, tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    """At every width, with everything wrong, nobody has to scroll sideways; dark is dark."""
    show(browser, broken, size, scheme=scheme)
    keep(browser, tmp_path / f"{size[0]}-{scheme}.png")
    width = browser.execute_script("return document.documentElement.scrollWidth")
    for part in browser.find_elements(By.CSS_SELECTOR, "main *:not(thead, thead *)"):
        box = part.rect
        assert box["x"] + box["width"] <= size[0] + 1, part.get_attribute("outerHTML")
    assert width <= size[0]
    colour = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    assert colour == ("rgba(18, 22, 28, 1)" if scheme == "dark" else "rgba(244, 246, 248, 1)")


def test_on_a_phone_each_row_is_a_card_with_its_labels(
    browser: webdriver.Chrome, broken: ReceiverProcess
) -> None:
    """At 360 pixels a cell says which column it is of, and stands below its row's name."""
    show(browser, broken, PHONE)
    header = browser.find_element(By.XPATH, "//th[@scope='row'][text()='Documents']")
    cells = header.find_elements(By.XPATH, "../td")
    assert len(cells) == 9
    script = "return getComputedStyle(arguments[0], '::before').content"
    for cell in cells:
        shown = browser.execute_script(script, cell)
        assert shown == f'"{cell.get_attribute("data-label")}"'
        assert cell.rect["y"] >= header.rect["y"] + header.rect["height"]
    assert not [cell.text for cell in browser.find_elements(By.TAG_NAME, "td") if cell.text == NONE]


def test_what_stands_in_the_state_is_shown_as_text(
    browser: webdriver.Chrome, broken: ReceiverProcess
) -> None:
    """A reason with an element in it is to be read as it is."""
    show(browser, broken)
    assert SCRIPT in text_of(browser)
    assert not browser.find_elements(By.TAG_NAME, "script")


def test_without_a_database_there_is_a_page_to_read(browser: webdriver.Chrome, tmp_path: Path) -> None:
    """One sentence in the same look, which says what to do."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with ReceiverProcess(nowhere, tmp_path, STATUS_PASSWORD=PASSWORD) as receiver:
        show(browser, receiver, PHONE)
        keep(browser, tmp_path / "503.png")
        assert browser.find_element(By.TAG_NAME, "h1").text == "The status cannot be shown"
        assert "reload in a minute" in text_of(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
