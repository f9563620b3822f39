"""EspoCRM's own entity types, as far as a client of ours meets them."""

from __future__ import annotations

from typing import Any

Defs = dict[str, Any]

_USER = {"type": "belongsTo", "entity": "User"}
_BY_USER = {"createdBy": dict(_USER), "modifiedBy": dict(_USER)}
_STAMPS = {
    "createdAt": {"type": "datetime", "readOnly": True},
    "modifiedAt": {"type": "datetime", "readOnly": True},
    "createdBy": {"type": "link", "readOnly": True},
    "modifiedBy": {"type": "link", "readOnly": True},
}
_NEWEST_FIRST = {"orderBy": "number", "order": "desc"}


def system_model() -> dict[str, Defs]:
    """EspoCRM's own entity types that a client of ours may meet."""
    user: Defs = {
        "userName": {"type": "varchar"},
        "name": {"type": "varchar"},
        "type": {"type": "varchar"},
        "lastName": {"type": "varchar"},
        "isActive": {"type": "bool", "default": True},
        **_STAMPS,
    }
    webhook: Defs = {
        "event": {"type": "varchar", "maxLength": 100, "required": True},
        "url": {"type": "varchar", "maxLength": 512, "required": True},
        "isActive": {"type": "bool", "default": True},
        "entityType": {"type": "varchar", "readOnly": True},
        "type": {"type": "varchar", "readOnly": True},
        "field": {"type": "varchar", "readOnly": True},
        "secretKey": {"type": "varchar", "readOnly": True},
        "skipOwn": {"type": "bool", "default": False},
        **_STAMPS,
        "user": {"type": "link"},
    }
    event: Defs = {
        "number": {"type": "int"},
        "event": {"type": "varchar"},
        "data": {"type": "jsonObject"},
        "createdAt": {"type": "datetime"},
    }
    target: Defs = {
        "targetId": {"type": "varchar"},
        "targetType": {"type": "varchar"},
        "targetName": {"type": "varchar"},
    }
    event_item = {**event, "isProcessed": {"type": "bool"}, **target, "user": {"type": "link"}}
    queue_item = {
        **event,
        "status": {"type": "varchar"},
        "processedAt": {"type": "datetime"},
        "attempts": {"type": "int"},
        "processAt": {"type": "datetime"},
        "webhookId": {"type": "varchar"},
        "webhookName": {"type": "varchar"},
        **target,
    }
    history = {
        "number": {"type": "int"},
        "action": {"type": "varchar"},
        "createdAt": {"type": "datetime"},
        "ipAddress": {"type": "varchar"},
        **target,
        "user": {"type": "link"},
    }
    with_user = {"user": dict(_USER)}
    return {
        "User": {
            "fields": user,
            "links": dict(_BY_USER),
            "collection": {"orderBy": "userName", "order": "asc"},
        },
        "Team": {"fields": {"name": {"type": "varchar"}, "createdAt": {"type": "datetime"}}, "links": {}},
        "Webhook": {"fields": webhook, "links": {**_BY_USER, **with_user}},
        "WebhookEventQueueItem": {"fields": event_item, "links": with_user, "collection": _NEWEST_FIRST},
        "WebhookQueueItem": {"fields": queue_item, "links": {}, "collection": _NEWEST_FIRST},
        "ActionHistoryRecord": {"fields": history, "links": with_user, "collection": _NEWEST_FIRST},
        "Attachment": {"fields": _attachment_fields(), "links": dict(_BY_USER)},
        "Note": {"fields": _note_fields(), "links": dict(_BY_USER), "collection": _NEWEST_FIRST},
    }


def _attachment_fields() -> Defs:
    varchars = ("parentId", "parentType", "parentName", "relatedId", "relatedType", "relatedName", "sourceId")
    return {
        "name": {"type": "varchar", "required": True, "maxLength": 255},
        "type": {"type": "varchar", "maxLength": 100},
        "size": {"type": "int"},
        "field": {"type": "varchar"},
        "isBeingUploaded": {"type": "bool", "default": False},
        "createdAt": {"type": "datetime", "readOnly": True},
        "modifiedAt": {"type": "datetime", "readOnly": True},
        "role": {"type": "varchar"},
        "storage": {"type": "varchar"},
        "storageFilePath": {"type": "varchar"},
        "global": {"type": "bool", "default": False},
        **{name: {"type": "varchar"} for name in varchars},
        "createdBy": {"type": "link", "readOnly": True},
    }


def _note_fields() -> Defs:
    kinds = {
        "post": "text",
        "data": "jsonObject",
        "type": "varchar",
        "targetType": "varchar",
        "number": "int",
        "isGlobal": "bool",
        "createdByGender": "varchar",
        "isInternal": "bool",
        "isPinned": "bool",
        "reactionCounts": "jsonObject",
        "myReactions": "jsonArray",
        "createdAt": "datetime",
        "modifiedAt": "datetime",
        "parentId": "varchar",
        "parentType": "varchar",
        "relatedId": "varchar",
        "relatedType": "varchar",
    }
    people = {"createdBy": {"type": "link"}, "modifiedBy": {"type": "link"}}
    above = {"superParentId": {"type": "varchar"}, "superParentType": {"type": "varchar"}}
    return {**{name: {"type": kind} for name, kind in kinds.items()}, **people, **above}
