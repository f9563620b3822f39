"""For each recorded exchange, the seed that puts the stand-in where the real server was."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from tests.sandbox.espocrm.recorded import (
    BETEILIGTE,
    DELETED,
    DOCUMENT,
    KLAGE,
    KONTO,
    SYNC,
    USERS,
    Exchange,
    beteiligte,
    document,
    klage,
    konto,
    listed_documents,
)

Seed = dict[str, Any]
Row = dict[str, Any]

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
FILE, FILE_3, OTHER_OWNER = "6b02a1efbed120d8c", "6b02a1f1aa4296707", "6b02a1f1821ebf734"
BY_ROW_ID = {"CBeteiligte": {"duplicateCheckFieldList": ["rowId"]}}
ALSO_ON_UPDATE = {"CBeteiligte": {"duplicateCheckFieldList": ["rowId"], "updateDuplicateCheck": True}}
SECOND = "6b02a13e31ca1cb62"
LINKED = ["6b02a18495e2c664e", "6b02a18483a29ad92", "6b02a184733cf2a48"]


def file(record_id: str = FILE, name: str = "Klage Müller.pdf", content: bytes = PDF, **more: Any) -> Row:
    """A seeded attachment."""
    encoded = base64.b64encode(content).decode()
    times = {"createdAt": "2026-11-22 08:03:59", "modifiedAt": "2026-11-22 08:03:59"}
    kind = "application/pdf"
    return {
        "id": record_id,
        "name": name,
        "type": kind,
        "contentBase64": encoded,
        "field": "dokument",
        **times,
        **more,
    }


def _base(_: Exchange) -> Seed:
    return {
        "records": {
            "CBeteiligte": [beteiligte()],
            "CDokumente": [document()],
            "CVmhRumungsklage": [klage()],
            "CBankverbindungen": [konto()],
        }
    }


def _with(**parts: Any) -> Callable[[Exchange], Seed]:
    return lambda _: parts


def _answer_as_record(entity: str, **changes: Any) -> Callable[[Exchange], Seed]:
    return lambda exchange: {"records": {entity: [{**exchange.body, **changes}]}}


def _before_put(entity: str, *, files: list[Row] | None = None, **old: Any) -> Callable[[Exchange], Seed]:
    """The record as it was before a PUT: the answer, one version less, with `old` values."""

    def seed(exchange: Exchange) -> Seed:
        row = {**exchange.body, "modifiedAt": "2026-11-22 07:59:25", **old}
        if "versionNumber" in row:
            row["versionNumber"] -= 1
        return {"attachments": files or [], "records": {entity: [row]}}

    return seed


def _file_of(owner: str, **owner_changes: Any) -> Callable[[Exchange], Seed]:
    """A document with the recorded file."""
    rows = [document(id=owner, dokumentId=FILE, **owner_changes)]
    return _with(attachments=[file()], records={"CDokumente": rows})


def _list(_: Exchange) -> Seed:
    return {"records": {"CDokumente": listed_documents(), "CVmhRumungsklage": [klage()]}}


def _linked(*ids: str, extra: list[Row] | None = None) -> Callable[[Exchange], Seed]:
    """The Klage, linked to documents of the list."""

    def seed(_: Exchange) -> Seed:
        rows = [*listed_documents(), *(extra or [])]
        return {"records": {"CDokumente": rows, "CVmhRumungsklage": [klage(dokumentesIds=list(ids))]}}

    return seed


def _where_in_linked(exchange: Exchange) -> Seed:
    rows = [
        {"id": row["id"], "name": row["name"], "modifiedAt": row["modifiedAt"]}
        for row in exchange.body["list"]
    ]
    ids = [row["id"] for row in rows]
    return {"records": {"CDokumente": rows, "CVmhRumungsklage": [klage(dokumentesIds=ids)]}}


def _duplicates(entities: Seed, *others: Row) -> Callable[[Exchange], Seed]:
    def seed(exchange: Exchange) -> Seed:
        found = (
            exchange.body
            if isinstance(exchange.body, list)
            else [beteiligte(modifiedAt="2026-11-22 08:00:09")]
        )
        return {"entities": entities, "records": {"CBeteiligte": [*found, *others]}}

    return seed


def _webhook(exchange: Exchange) -> Seed:
    rows = exchange.body.get("list", [exchange.body])
    keys = ("id", "event", "url", "secretKey", "skipOwn", "createdAt")
    hooks = [{key: row[key] for key in keys} for row in rows]
    older = {
        "event": "CDokumente.update",
        "url": "http://127.0.0.1:8099/ok",
        "createdAt": "2026-11-22 08:00:00",
    }
    return {"webhooks": [*hooks, *([older] * (exchange.body.get("total", 1) - len(hooks)))]}


def _to_delete(exchange: Exchange) -> Seed:
    if "Webhook" in exchange.path:
        return {
            "webhooks": [
                {"id": "6b02a8587c3ec379f", "event": "CDokumente.update", "url": "http://127.0.0.1/x"}
            ]
        }
    return {
        "attachments": [file("6b02a4987a8bdc9ae")],
        "records": {"CDokumente": [document(id="6b02a99a2b4ec6921")]},
    }


_DELETED_ROW = {"id": DELETED, "name": "zu loeschen", "deleted": True}
_STATES: dict[str, Callable[[Exchange], Seed]] = {
    "attachment_after_steal": _with(
        attachments=[
            file(
                FILE_3,
                "drei.pdf",
                PDF + b"3",
                createdAt="2026-11-22 08:04:01",
                modifiedAt="2026-11-22 08:04:02",
            )
        ],
        records={"CDokumente": [document(id=OTHER_OWNER, name="mit Datei", dokumentId=FILE_3)]},
    ),
    "attachment_clear": _before_put("CDokumente", files=[file()], dokumentId=FILE),
    "attachment_delete": _to_delete,
    "attachment_get_before": _with(attachments=[file(relatedType="CDokumente")]),
    "attachment_set": _before_put("CDokumente", files=[file()], dokumentId=None),
    "attachment_replace": _before_put(
        "CDokumente", files=[file(), file(FILE_3, "drei.pdf", PDF + b"3")], dokumentId=FILE
    ),
    "auth_hmac_query_ok": lambda _: {"records": {"CDokumente": listed_documents()[-3:]}},
    "auth_readonly_field_hidden": _answer_as_record("CDokumente", sha256="5f"),
    "crud_update": _before_put("CDokumente", fileStatus="neu", xaiId=None),
    "crud_update_noop": _before_put("CDokumente"),
    "crud_update_patch": _before_put("CDokumente", xaiSyncedHash=None),
    "crud_update_readonly_attrs": _before_put("CDokumente"),
    "delete_get_as_admin": _answer_as_record("CDokumente"),
    "delete_ignores_version": _to_delete,
    "dup_conflict": _duplicates(BY_ROW_ID),
    "dup_update_conflict": _duplicates(
        ALSO_ON_UPDATE, {"id": SECOND, "name": "Müller zwei", "rowId": "FBABAAAAEPJHOAAAAOMK"}
    ),
    "dup_update_skip": _duplicates(
        ALSO_ON_UPDATE,
        {
            "id": SECOND,
            "name": "Müller zwei",
            "rowId": "FBABAAAAEPJHOAAAAOMK",
            "createdAt": "2026-11-22 08:01:02",
        },
    ),
    "linkmultiple_put_ids": _before_put("CVmhRumungsklage"),
    "linkmultiple_put_on_nonfield": _before_put("CVmhRumungsklage"),
    "link_list_no_total": _linked(DOCUMENT, *LINKED),
    "link_post_ids": _linked(),
    "list_where_or_in_linked": _where_in_linked,
    "noop_put_beteiligte": _answer_as_record("CBeteiligte"),
    "occ_conflict": _with(records={"CDokumente": [document(versionNumber=11, xaiId="file_v1")]}),
    "occ_header_on_entity_without_occ": _before_put("CBeteiligte", betnr=1001),
    "occ_ok": _before_put("CDokumente", xaiId=None),
    "occ_versionNumber_in_body_only": _before_put("CDokumente", md5sum=None),
    "unlink_query_id": _linked(LINKED[0]),
    "webhook_deactivate": _webhook,
    "webhook_delete": _to_delete,
    "webhook_get": _webhook,
    "webhook_list": _webhook,
}
_BY_PREFIX: dict[str, Callable[[Exchange], Seed]] = {
    "attachment_download": _file_of(DOCUMENT),
    "attachment_get": _file_of(DOCUMENT),
    "create_with_links": _base,
    "crud_get": lambda exchange: (
        _answer_as_record(exchange.path.split("/")[3])(exchange) if exchange.status == 200 else {}
    ),
    "delete_": _with(
        records={"CDokumente": [_DELETED_ROW], "CVmhRumungsklage": [klage(dokumentesIds=[DELETED])]}
    ),
    "restore_": _with(records={"CDokumente": [_DELETED_ROW]}),
    "list_": _list,
    "v9_3_10_webhook_register_internal": _with(),
    "v9_3_10_webhook_register": _with(config={"webhookAllowedAddressList": ["127.0.0.1:8099"]}),
    "v10_0_0_webhook_register": _with(config={"webhookAllowedAddressList": ["127.0.0.1:8099"]}),
    "maintenance_mode": _with(config={"maintenanceMode": True}),
    "db_down": _with(config={"databaseDown": True}),
}

# What must be true afterwards: entity, id, attribute, value. DOES_NOT_EXIST says that it is gone.
DOES_NOT_EXIST = object()
EFFECTS: dict[str, list[tuple[str, str, str, Any]]] = {
    "attachment_clear": [
        ("Attachment", FILE, "id", DOES_NOT_EXIST),
        ("CDokumente", DOCUMENT, "dokumentId", None),
    ],
    "attachment_replace": [
        ("Attachment", FILE, "id", DOES_NOT_EXIST),
        ("Attachment", FILE_3, "relatedId", DOCUMENT),
    ],
    "attachment_set": [("Attachment", FILE, "relatedId", DOCUMENT)],
    "attachment_delete": [("Attachment", "6b02a4987a8bdc9ae", "id", DOES_NOT_EXIST)],
    "crud_update": [
        ("CDokumente", DOCUMENT, "versionNumber", 2),
        ("CDokumente", DOCUMENT, "xaiId", "file_abc"),
    ],
    "crud_update_noop": [("CDokumente", DOCUMENT, "versionNumber", 4)],
    "occ_conflict": [
        ("CDokumente", DOCUMENT, "xaiId", "file_v1"),
        ("CDokumente", DOCUMENT, "versionNumber", 11),
    ],
    "delete_ignores_version": [("CDokumente", "6b02a99a2b4ec6921", "id", DOES_NOT_EXIST)],
    "dup_update_conflict": [("CBeteiligte", SECOND, "vorname", None)],
    "dup_update_skip": [("CBeteiligte", SECOND, "vorname", "x")],
    "err_link_not_found": [("CDokumente", DOCUMENT, "dokumentId", None)],
    "err_phone": [("CBeteiligte", BETEILIGTE, "phoneNumber", "+491701234567")],
    "err_validation_maxlength": [("CDokumente", DOCUMENT, "md5sum", None)],
    "follow": [
        ("CDokumente", DOCUMENT, "isFollowed", True),
        ("CDokumente", DOCUMENT, "followersIds", [SYNC]),
    ],
    "link_onetomany": [("CBankverbindungen", KONTO, "beteiligteId", BETEILIGTE)],
    "unlink_onetomany": [("CBankverbindungen", KONTO, "beteiligteId", None)],
    "linkmultiple_put_ids": [("CVmhRumungsklage", KLAGE, "beteiligtesIds", [BETEILIGTE])],
    "noop_put_beteiligte": [("CBeteiligte", BETEILIGTE, "modifiedAt", "2026-11-22 07:59:25")],
    "restore_admin": [("CDokumente", DELETED, "deleted", False)],
    "webhook_deactivate": [("Webhook", "6b02a8587c3ec379f", "isActive", False)],
    "webhook_delete": [("Webhook", "6b02a8587c3ec379f", "id", DOES_NOT_EXIST)],
}
LINKED_AFTERWARDS = {
    "link_post_id": [DOCUMENT],
    "link_again": [DOCUMENT],
    "link_post_ids": LINKED,
    "link_bad_id": [],
    "unlink_delete_id": [],
    "unlink_again": [],
    "unlink_query_id": [LINKED[0]],
    "linkmultiple_put_on_nonfield": [],
}


def state_before(exchange: Exchange) -> Seed:
    """The seed for an exchange; by default the records that most of them are about."""
    found = _STATES.get(exchange.name)
    if found is None:
        found = next((make for prefix, make in _BY_PREFIX.items() if exchange.name.startswith(prefix)), _base)
    seed = found(exchange)
    if exchange.version != "9.2.7" and exchange.status == 201:
        # The other servers have the same users under other ids.
        maker, user_id = exchange.body["createdByName"], exchange.body["createdById"]
        seed["users"] = [{**user, "id": user_id} for user in USERS if user["userName"] == maker]
    if exchange.name in ("link_again", "unlink_delete_id"):
        seed["records"]["CVmhRumungsklage"] = [klage(dokumentesIds=[DOCUMENT])]
    if exchange.name in ("linkmultiple_put_ids", "linkmultiple_put_on_nonfield"):
        seed["records"] = {**_base(exchange)["records"], **seed["records"]}
        seed["records"]["CVmhRumungsklage"][0]["beteiligtesIds"] = []
    if exchange.name == "linkmultiple_link_endpoint":
        seed["records"]["CVmhRumungsklage"] = [klage(beteiligtesIds=[BETEILIGTE])]
    return seed
