"""The data models that a stand-in can start with: that of the recorded server, and the firm's extension of it."""

from __future__ import annotations

import copy
from typing import Any

Defs = dict[str, Any]

_USER = {"type": "belongsTo", "entity": "User"}
_ATTACHMENT = {"type": "belongsTo", "entity": "Attachment", "skipOrmDefs": True, "utility": True}
_FILE_STATUSES = ["neu", "geändert", "synced"]
_READ_ONLY_TIME = {"type": "datetime", "readOnly": True, "customizationReadOnlyDisabled": True}


def base_fields() -> Defs:
    """The fields that every entity of the template "Base" begins with."""
    return {
        "name": {"type": "varchar", "required": True, "pattern": "$noBadCharacters"},
        "description": {"type": "text"},
        "createdAt": {"type": "datetime", "readOnly": True},
        "modifiedAt": {"type": "datetime", "readOnly": True},
        "createdBy": {"type": "link", "readOnly": True, "view": "views/fields/user"},
        "modifiedBy": {"type": "link", "readOnly": True, "view": "views/fields/user"},
        "assignedUser": {"type": "link", "required": False, "view": "views/fields/assigned-user"},
        "teams": {"type": "linkMultiple", "view": "views/fields/teams"},
    }


def base_links() -> Defs:
    """The links of the template "Base"."""
    teams = {
        "type": "hasMany",
        "entity": "Team",
        "relationName": "entityTeam",
        "layoutRelationshipsDisabled": True,
    }
    return {"createdBy": dict(_USER), "modifiedBy": dict(_USER), "assignedUser": dict(_USER), "teams": teams}


def _entity(fields: Defs, links: Defs, *, stream: bool, occ: bool) -> Defs:
    custom = {name: {**params, "isCustom": True} for name, params in fields.items()}
    tail: Defs = {"streamUpdatedAt": dict(_READ_ONLY_TIME)} if stream else {}
    return {
        "fields": {**base_fields(), **custom, **tail},
        "links": {**base_links(), **links},
        "collection": {"orderBy": "createdAt", "order": "desc", "sortBy": "createdAt", "asc": False},
        "indexes": {
            "name": {"columns": ["name", "deleted"]},
            "assignedUser": {"columns": ["assignedUserId", "deleted"]},
            "createdAt": {"columns": ["createdAt"]},
            "createdAtId": {"unique": True, "columns": ["createdAt", "id"]},
        },
        "optimisticConcurrencyControl": occ,
        "stream": stream,
    }


def _many(entity: str, foreign: str, relation: str, *, audited: bool = False) -> Defs:
    return {
        "type": "hasMany",
        "relationName": relation,
        "foreign": foreign,
        "entity": entity,
        "audited": audited,
        "isCustom": True,
    }


def _varchar(length: int = 100) -> Defs:
    return {"type": "varchar", "maxLength": length}


def _documents() -> Defs:
    fields = {
        "dokument": {"type": "file"},
        "xaiId": _varchar(255),
        "xaiCollections": {"type": "array", "storeArrayValues": True},
        "xaiCollectionsJson": {"type": "jsonArray"},
        "xaiSyncedHash": _varchar(64),
        "fileStatus": {"type": "enum", "options": _FILE_STATUSES, "default": "neu", "maxLength": 100},
        "schlagworte": {
            "type": "multiEnum",
            "storeArrayValues": True,
            "options": ["Klage", "Vollmacht", "Mietvertrag"],
        },
        "md5sum": _varchar(32),
        "sha256": _varchar(64),
        "xaiLastSync": {"notNull": False, "type": "datetime"},
        "anmerkung": {"type": "text"},
    }
    links = {
        "dokument": dict(_ATTACHMENT),
        "rumungsklages": _many("CVmhRumungsklage", "dokumentes", "cRumungsklageDokumente"),
    }
    return _entity(fields, links, stream=True, occ=True)


def _raeumungsklage() -> Defs:
    fields = {
        "xaiCollectionId": _varchar(),
        "advowareAkteId": {"type": "int"},
        "aktenzeichen": _varchar(),
        "status": {"type": "enum", "options": ["offen", "erledigt"], "default": "offen", "maxLength": 100},
        "beteiligtes": {"type": "linkMultiple"},
    }
    links = {
        "beteiligtes": _many("CBeteiligte", "rumungsklages", "cRumungsklageBeteiligte", audited=True),
        "dokumentes": _many("CDokumente", "rumungsklages", "cRumungsklageDokumente"),
    }
    return _entity(fields, links, stream=True, occ=True)


def _beteiligte() -> Defs:
    sync_options = ["clean", "dirty", "conflict", "error"]
    fields = {
        "nachname": _varchar(),
        "vorname": _varchar(),
        "rowId": _varchar(),
        "betnr": {"type": "int"},
        "emailAddress": {"type": "email"},
        "phoneNumber": {"type": "phone", "typeList": ["Mobile", "Office", "Home", "Fax", "Other"]},
        "geburtsdatum": {"notNull": False, "type": "date"},
        "advowareLastSync": {"notNull": False, "type": "datetime"},
        "syncStatus": {"type": "enum", "options": sync_options, "default": "clean", "maxLength": 100},
    }
    links = {
        "rumungsklages": _many("CVmhRumungsklage", "beteiligtes", "cRumungsklageBeteiligte"),
        "bankverbindungens": {
            "type": "hasMany",
            "foreign": "beteiligte",
            "entity": "CBankverbindungen",
            "isCustom": True,
        },
    }
    return _entity(fields, links, stream=False, occ=False)


def _bankverbindungen() -> Defs:
    fields = {
        "iban": {"type": "varchar", "required": True, "maxLength": 34},
        "bic": _varchar(11),
        "advowareId": {"type": "int"},
        "beteiligte": {"type": "link"},
    }
    links = {"beteiligte": {"type": "belongsTo", "foreign": "bankverbindungens", "entity": "CBeteiligte"}}
    return _entity(fields, links, stream=False, occ=False)


def _permission_fields() -> Defs:
    return {
        "kiFreigabe": {"type": "bool"},
        "kiFreigabeReferenz": _varchar(),
        "kiFreigabeDatum": {"notNull": False, "type": "date"},
    }


def _mietinkasso() -> Defs:
    fields = {
        "aktenzeichen": _varchar(),
        "advowareAkteId": {"type": "int"},
        "xaiCollectionId": _varchar(),
        **_permission_fields(),
    }
    return _entity(fields, {}, stream=True, occ=True)


def _account() -> Defs:
    fields = {
        "website": {"type": "url", "maxLength": 255},
        "emailAddress": {"type": "email"},
        "phoneNumber": {"type": "phone", "typeList": ["Office", "Mobile", "Fax", "Other"]},
        "type": {
            "type": "enum",
            "options": ["", "Customer", "Investor", "Partner", "Reseller"],
            "maxLength": 255,
        },
        "sicCode": _varchar(40),
        "xaiCollectionId": _varchar(),
        **_permission_fields(),
    }
    return _entity(fields, {}, stream=True, occ=False)


def recorded_model() -> dict[str, Defs]:
    """The recorded server's four entities exactly, and Account and CMietinkasso without links."""
    return {
        "CDokumente": _documents(),
        "CVmhRumungsklage": _raeumungsklage(),
        "CBeteiligte": _beteiligte(),
        "CBankverbindungen": _bankverbindungen(),
        "CMietinkasso": _mietinkasso(),
        "Account": _account(),
    }


# What the firm has beside the recorded fields, so that parties, accounts and matters can be kept equal with Advoware.
# The parts of an address are fields of their own here: EspoCRM's metadata lists them beside the field `adresse`.
_ADVOWARE_FIELDS: dict[str, Defs] = {
    "CBeteiligte": {
        "anrede": _varchar(),
        "titel": _varchar(),
        "rechtsform": _varchar(),
        "handelsregisterNummer": _varchar(),
        "registergericht": _varchar(),
        "adresseStreet": {"type": "text", "maxLength": 255, "dbType": "varchar"},
        "adressePostalCode": _varchar(40),
        "adresseCity": _varchar(),
        "adresseCountry": _varchar(),
        "bitbylawKey": _varchar(),
    },
    "CBankverbindungen": {"kontoinhaber": _varchar(), "bankname": _varchar(), "bitbylawKey": _varchar()},
    "CVmhRumungsklage": {"aktennummer": {"type": "int"}},
    "CMietinkasso": {"aktennummer": {"type": "int"}},
}


def _task() -> Defs:
    """EspoCRM's own tasks. `parentType` and `parentId` are plain fields here; a real server has one field `parent`."""
    statuses = ["Not Started", "Started", "Completed", "Canceled", "Deferred"]
    priorities = ["Low", "Normal", "High", "Urgent"]
    fields = {
        "status": {"type": "enum", "options": statuses, "default": "Not Started", "maxLength": 255},
        "priority": {"type": "enum", "options": priorities, "default": "Normal", "maxLength": 255},
        "dateStart": {"type": "datetimeOptional"},
        "dateEnd": {"type": "datetimeOptional"},
        "parentType": _varchar(),
        "parentId": _varchar(17),
    }
    return _entity(fields, {}, stream=True, occ=False)


OWNER_LINKS = {
    "CVmhRumungsklage": "rumungsklages",
    "CMietinkasso": "mietinkassos",
    "Account": "accounts",
    "CBeteiligte": "beteiligtes",
}


def firm_model() -> dict[str, Defs]:
    """The recorded model, with every kind of owner linked to documents and carrying the permission fields, with the
    fields that Advoware's side has too, and with tasks.

    Not the default: it adds keys to answers that the recorded server gives without them.
    """
    model = recorded_model()
    documents = model["CDokumente"]
    for owner, link in OWNER_LINKS.items():
        relation = f"c{owner.removeprefix('C').removeprefix('Vmh')}Dokumente"
        documents["links"][link] = _many(owner, "dokumentes", relation)
        model[owner]["links"]["dokumentes"] = _many("CDokumente", link, relation)
        added = {"xaiCollectionId": _varchar(), **_permission_fields()}
        for name, params in added.items():
            model[owner]["fields"].setdefault(name, {**params, "isCustom": True})
    for name, fields in _ADVOWARE_FIELDS.items():
        model[name]["fields"] |= {field: {**params, "isCustom": True} for field, params in fields.items()}
    model["Task"] = _task()
    return model


MODELS = {"recorded": recorded_model, "kanzlei": firm_model}


def model(name: str) -> dict[str, Defs]:
    """A fresh copy of the model `name`. Raises KeyError for another name."""
    return copy.deepcopy(MODELS[name]())
