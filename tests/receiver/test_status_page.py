"""`/status`: what it says, to a person and to a program, and under which headers."""

from __future__ import annotations

import re
import shlex
from importlib import resources
from itertools import pairwise
from pathlib import Path

import httpx
from sqlalchemy import Connection

from bitbylaw_pipeline.domain.alert import TroubleKind
from bitbylaw_pipeline.domain.errors import Unexpected
from bitbylaw_pipeline.inbox import alerts, reconciliations, work_queue
from tests.receiver.conftest import Bench
from tests.receiver.firms import FIRM, KEY, PASSWORD, RUN_LINK, SCRIPT, alert, break_everything, make_well
from tests.receiver.status_pages import BY_KEY, BY_PASSWORD, basic, get, headline, words
from webhook_sensor_app.status_findings import ALL_IS_WELL
from webhook_sensor_app.status_page import PATH, STYLE_PATH


def test_the_calls_in_the_manual_are_answered(door: Bench) -> None:
    """Each curl line of docs/operation.md about the page is sent as it stands: a page, and JSON for a program."""
    manual = (Path(__file__).parents[2] / "docs" / "operation.md").read_text("utf-8")
    lines = re.findall(r"^curl (.*/status)(?:  .*)?$", manual, re.MULTILINE)
    kinds = []
    for line in lines:
        given = shlex.split(line.replace("$STATUS_PASSWORD", PASSWORD).replace("$KEY", KEY))
        headers = dict(word.split(": ") for flag, word in pairwise(given) if flag == "-H")
        for flag, word in pairwise(given):
            if flag == "-u":
                user, _, password = word.partition(":")
                headers |= basic(password, user)
        answer = get(door, headers)
        assert answer.status_code == 200
        kinds.append(answer.headers["content-type"].partition(";")[0])
    assert kinds == ["text/html", "application/json"]


def test_a_firm_in_which_all_is_well_is_told_so(bench: Bench) -> None:
    """One sentence at the top; below it every flow with its numbers, and the time in Germany."""
    make_well(bench.database)
    page = get(bench).text
    assert headline(page) == ALL_IS_WELL
    shown = words(page)
    for part in (
        "Documents ✓ works 2 0 0 0 4 s 2 23:08 5 min ago 19:13 4 h ago",
        "Appointments ✓ works 0 0 0 0",
        "xAI (files) ✓ no trouble",
        "Kill switch off",
        "At xAI although forbidden nothing",
        "Open alerts None.",
        "As of 14 Nov 2023, 23:13:20 , German time.",
    ):
        assert part in shown, shown
    assert 'datetime="2023-11-14T22:13:20Z"' in page


def test_what_is_wrong_is_told_with_the_most_urgent_first(bench: Bench) -> None:
    """The refused key is the headline; all else stands below it, troubles before what only waits, each with what to do."""
    make_well(bench.database)
    break_everything(bench.database)
    answer = get(bench)
    assert headline(answer.text) == "xAI (files) refuses our key since 22:58, so nothing gets there."
    shown = words(answer.text)
    parts = (
        "Advoware does not answer since 19:13",
        "Matters could not be compared: The listing of Akten came back empty",
        "Set aside because it failed for good: 12 of documents, 1 of appointments.",
        "Documents: 212 deletions wait for an approval",
        "The kill switch is on: nothing leaves the firm.",
        "12 questions wait for a person's answer.",
        "3 alerts are open.",
        "Work is being brought to an end",
        "215 212 withheld",
        "Notices to be read 3",
    )
    places = [shown.find(part) for part in parts]
    assert -1 not in places, (parts[places.index(-1)], shown)
    assert places == sorted(places)
    assert "This one has ended" not in shown


def test_whatever_stands_in_the_state_is_text(bench: Bench) -> None:
    """Elements in reasons and alerts are shown, never made; only an address of the web becomes a link."""
    make_well(bench.database)
    break_everything(bench.database)
    page = get(bench).text
    assert "<script" not in page
    assert words(page).count(SCRIPT) >= 3
    links = re.findall(r'href="([^"]*)"', page)
    assert RUN_LINK in links
    assert not [link for link in links if "script" in link]
    assert not re.search(r"\son[a-z]+=|style=|src=", page)


def test_names_links_and_the_title_are_text_too(door: Bench) -> None:
    """A stream's name, a headline in the title and an address with a quotation mark in it make no element either."""
    link = f'https://dagster.example/"><b>{SCRIPT}'

    def put(connection: Connection) -> None:
        work_queue.want(connection, 1.0, SCRIPT, ["one"])
        reconciliations.note_failed(connection, 1.0, "akten", Unexpected(SCRIPT))
        alerts.put(connection, [alert(1.0, TroubleKind.DRIFT, SCRIPT, "Says.", link=link)])

    door.database.run_sync(put)
    page = get(door).text
    assert "<script" not in page
    assert "<b>" not in page
    assert SCRIPT in headline(page)
    assert words(page).count(SCRIPT) == 4


def test_every_answer_has_strict_headers(door: Bench) -> None:
    """The browser loads nothing but our stylesheet, keeps nothing, tells nobody, and shows the page in no frame."""
    answers = [
        get(door),
        get(door, {}),
        get(door, {**BY_KEY, "accept": "application/json"}),
        door.run(lambda client: client.get(STYLE_PATH), **FIRM),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    assert {answer.headers["cache-control"] for answer in answers[:3]} == {"no-store"}


def test_the_page_loads_its_stylesheet_and_nothing_else(door: Bench) -> None:
    """The one file that it names is there, for those without a password, too; it has no script."""
    page = get(door).text
    loaded = re.findall(r'<(?:link|script|img|iframe)[^>]*(?:href|src)="([^"]*)"', page)
    assert len(loaded) == 1
    answer = door.run(lambda client: client.get("/" + loaded[0]), **FIRM)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert "url(" not in answer.text


def test_a_program_gets_the_same_as_json(bench: Bench) -> None:
    """Accept: application/json brings the overview's own fields, the headline and the alerts; a browser's Accept does not."""
    make_well(bench.database)
    break_everything(bench.database)
    answer = get(bench, {**BY_KEY, "accept": "application/json"})
    told = answer.json()
    assert told["level"] == "trouble"
    assert told["headline"] == told["findings"][0]["says"] == headline(get(bench).text)
    flows = {flow["name"]: flow for flow in told["flows"]}
    assert flows["documents"]["parked"] == 12
    assert flows["documents"]["withheld"] == 212
    assert flows["akten"]["reconcile_failure"].startswith("The listing of Akten")
    assert {system["name"] for system in told["systems"] if system["is_refused"]} == {"xai-files"}
    assert told["egress"]["is_stopped"]
    assert (told["holds"], told["notices"], len(told["alerts"])) == (12, 3, 3)
    both = {**BY_KEY, "accept": "text/html,application/json;q=0.9"}
    assert get(bench, both).headers["content-type"].startswith("text/html")


def test_the_page_is_read_and_nothing_else(door: Bench) -> None:
    """HEAD works; whatever would change something is 405 with the methods that are taken."""

    async def use(client: httpx.AsyncClient) -> None:
        assert (await client.head(PATH, headers=BY_PASSWORD)).status_code == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = await client.request(method, PATH, headers=BY_PASSWORD)
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}

    door.run(use, **FIRM)


def test_every_text_stands_out_from_its_background() -> None:
    """In light and dark alike each colour of a text has 4.5 to 1 against whatever may be behind it."""
    style = resources.files("webhook_sensor_app").joinpath("templates/style.css").read_text("utf-8")
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", scheme))
        plain = [(front, back) for front in ("text", "muted", "link") for back in ("page", "card")]
        tinted = [(front, f"{name}-back") for name in ("well", "look", "trouble") for front in (name, "text")]
        on_card = [(name, "card") for name in ("look", "trouble")]
        for front, back in plain + tinted + on_card:
            assert _contrast(colours[front], colours[back]) >= 4.5, (front, back)


def _contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
