"""The receiver against deliveries recorded from EspoCRM 9.2.7, 9.3.10 and 10.0.0."""

from __future__ import annotations

import pytest

from tests.receiver.conftest import Bench, register
from tests.receiver.deliveries import ADVOWARE, Recorded, recorded
from webhook_sensor_app.signatures import read_claim

WORDS = {"CDokumente": "document", "CBeteiligte": "beteiligte", "CBankverbindungen": "bankverbindungen"}

STREAMS = {
    "CDokumente": {"documents": ""},
    "CBeteiligte": {"collections": "CBeteiligte:", "beteiligte": ""},
    "CBankverbindungen": {"bankverbindungen": ""},
}
"""The streams that want a record, and what stands before its id in the key."""


def _ours() -> list[Recorded]:
    return [case for case in recorded() if case.signer.event.partition(".")[0] in WORDS]


@pytest.mark.parametrize("case", recorded(), ids=lambda case: case.name)
def test_recorded_signatures_are_true_of_the_recorded_bytes(case: Recorded) -> None:
    """Both signatures of every recorded delivery hold, and not for any other body."""
    for name, is_hex in (("Signature", True), ("X-Signature", False)):
        claim = read_claim(case.headers[name], is_hex=is_hex)
        assert claim is not None
        assert claim.webhook_id == case.signer.webhook_id
        assert claim.is_true(case.signer.secret.encode(), case.body)
        assert not claim.is_true(case.signer.secret.encode(), case.body + b" ")


@pytest.mark.parametrize("case", _ours(), ids=lambda case: case.name)
def test_a_recorded_delivery_is_accepted_as_it_was_sent(case: Recorded, bench: Bench) -> None:
    """EspoCRM's own bodies (without entityType) are stored and want what they name."""
    register(bench.database, case.signer)
    entity_type, _, what = case.signer.event.partition(".")
    action = "update" if what.startswith("fieldUpdate") else what
    response = bench.post(f"/vmh/webhook/{WORDS[entity_type]}/{action}", case.body, case.headers, **ADVOWARE)
    assert response.status_code == 202
    assert response.json()["accepted"] == len(case.ids)
    stored = bench.stored()
    assert {(row.entity_type, row.entity_id, row.action) for row in stored} == {
        (entity_type, record_id, action) for record_id in case.ids
    }
    for stream, prefix in STREAMS[entity_type].items():
        assert set(bench.wanted(stream, [prefix + record_id for record_id in case.ids])) == {1}
