"""What may be an id, an entity type and an owner's key: nothing else gets near a URL or a partition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitbylaw_pipeline.domain.document import OwnerKey, is_entity_type, is_record_id

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
TYPES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,99}", fullmatch=True)


@given(entity_type=TYPES, record_id=IDS)
def test_a_key_reads_back_what_it_was_written_as(entity_type: str, record_id: str) -> None:
    """EntityType:id, both ways."""
    key = OwnerKey(entity_type, record_id)
    assert OwnerKey.parse(str(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "Account",
        "Account:",
        ":64f0",
        "Account:64f0:1",
        "Account:../../etc",
        "Account:a b",
        "Account:a\n",
        "1Account:a",
        "Acc-ount:a",
        "Account:" + "a" * 65,
        "Account:ä",
        "Account:a?b",
        "Account:a%2f",
    ],
)
def test_anything_else_is_refused_with_one_sentence(text: str) -> None:
    """Whatever somebody writes into a URL or a command."""
    with pytest.raises(ValueError, match="EntityType:id"):
        OwnerKey.parse(text)


@given(st.text(max_size=20))
def test_what_passes_for_an_id_is_made_of_nothing_but_letters_digits_hyphens_and_underscores(
    text: str,
) -> None:
    """No slash, dot, space, colon, at or control character, in any script."""
    if is_record_id(text):
        assert text.isascii()
        assert not set(text) & set("/\\. :@?#%\n\r\t")
    if is_entity_type(text):
        assert text.isascii()
        assert text.isalnum()


def test_keys_are_ordered_by_type_and_id() -> None:
    """Plans and states list owners in one order everywhere."""
    keys = [OwnerKey("B", "1"), OwnerKey("A", "2"), OwnerKey("A", "1")]
    assert sorted(keys) == [OwnerKey("A", "1"), OwnerKey("A", "2"), OwnerKey("B", "1")]
