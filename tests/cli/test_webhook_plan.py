"""The plan for webhooks, over every state that EspoCRM may be in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bitbylaw_pipeline.cli.webhook_plan import Change, WebhookNeed, plan_webhooks
from bitbylaw_pipeline.clients.espocrm_webhooks import Webhook

NEEDS = [
    WebhookNeed(f"E.{action}", f"/hook/{action}", f"http://here.example/hook/{action}")
    for action in ("a", "b")
]

_urls = st.sampled_from(
    [need.url for need in NEEDS] + ["http://old.example/hook/a", "http://other.example/x"]
)
_webhooks = st.lists(
    st.builds(
        Webhook,
        id=st.uuids().map(str),
        event=st.sampled_from(["E.a", "E.b", "E.c"]),
        url=_urls,
        is_active=st.booleans(),
        skips_own=st.booleans(),
        secret_key=st.just("s"),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)


def carry_out(
    changes: list[Change], registered: list[Webhook], remembered: set[str]
) -> tuple[list[Webhook], set[str]]:
    """What EspoCRM and our state hold afterwards."""
    found, known = {one.id: one for one in registered}, set(remembered)
    for number, change in enumerate(changes):
        match change.kind, change.webhook:
            case "create", _:
                made = Webhook(f"new-{number}", change.event, change.url, True, True, "s")
                found[made.id] = made
                known.add(made.id)
            case "update", Webhook(id=own_id):
                values = dict(change.values or {})
                found[own_id] = replace(
                    found[own_id],
                    url=values.get("url", found[own_id].url),
                    is_active=values.get("isActive", found[own_id].is_active),
                    skips_own=values.get("skipOwn", found[own_id].skips_own),
                )
            case "remember", Webhook(id=own_id):
                known.add(own_id)
            case "remove", Webhook(id=own_id):
                del found[own_id]
    return list(found.values()), known


@settings(max_examples=200)
@given(_webhooks, st.booleans())
def test_one_pass_is_enough_and_strangers_stay(registered: list[Webhook], knows_all: bool) -> None:
    """Afterwards each event goes to its address exactly once, actively, with its secret known; a second plan is empty;
    what goes elsewhere is untouched."""
    remembered = {one.id for one in registered} if knows_all else set()
    after, known = carry_out(plan_webhooks(NEEDS, registered, remembered), registered, remembered)
    for need in NEEDS:
        fitting = [one for one in after if (one.event, one.url) == (need.event, need.url)]
        assert len(fitting) == 1
        assert fitting[0].is_active
        assert fitting[0].skips_own
        assert fitting[0].id in known
    assert plan_webhooks(NEEDS, after, known) == []
    strangers = [one for one in registered if one.url == "http://other.example/x" or one.event == "E.c"]
    assert [one for one in strangers if one not in after] == []
