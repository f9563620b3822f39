"""Where items compiled to predicates over records, with MariaDB's rules for NULL and text (`facts/espocrm.md` 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bitbylaw_pipeline.sandbox.espocrm import access, comparisons, moments
from bitbylaw_pipeline.sandbox.espocrm.answers import ApiError, PhpCrash
from bitbylaw_pipeline.sandbox.espocrm.comparisons import Getter, Predicate
from bitbylaw_pipeline.sandbox.espocrm.schema import EntitySchema
from bitbylaw_pipeline.sandbox.espocrm.system import Espo, User

_GROUPS = frozenset({"and", "or"})
_SUB_QUERIES = frozenset({"not", "subQueryIn", "subQueryNotIn"})
_LINK_TYPES = frozenset({"linkedWith", "notLinkedWith", "linkedWithAll", "isLinked", "isNotLinked"})
_ITEM_KEYS = frozenset({"type", "attribute", "field", "value", "dateTime", "date", "timeZone", "data"})


@dataclass(frozen=True, slots=True)
class Where:
    """What a condition is compiled for."""

    espo: Espo
    user: User
    schema: EntitySchema

    def compile(self, items: list[Any]) -> Predicate | None:
        """All of `items` together; None for no condition. Raises ApiError 400."""
        for item in items:
            self._check(item)
        parts = [self.item(item) for item in items]
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else _all_of(parts)

    # Checks first, over the whole tree: EspoCRM looks at attributes and rights before it builds the query.

    def _check(self, item: Any) -> None:
        if not isinstance(item, dict):
            raise PhpCrash
        kind, attribute = item.get("type"), item.get("attribute") or item.get("field")
        # An ill-formed item is an exception that nobody turns into an answer: an empty 500 without a reason.
        if not kind or not item.keys() <= _ITEM_KEYS or not (attribute or kind in _GROUPS | _SUB_QUERIES):
            raise ApiError(500)
        if kind in _SUB_QUERIES:
            raise self._refused("Sub-queries are forbidden in where.")
        if kind in _GROUPS:
            for sub in _sub_items(item):
                self._check(sub)
            return
        self._check_attribute(str(attribute), kind, item.get("value"))

    def _check_attribute(self, attribute: str, kind: str, value: Any) -> None:
        if "#" in attribute:
            raise self._refused("Not allowed character in attribute.")
        if ":" in attribute:
            raise self._refused("Complex expressions are forbidden in where.")
        if "." in attribute:
            self._check_foreign(*attribute.split(".", 1))
        elif kind in _LINK_TYPES:
            self._check_link(attribute, kind, value)
        elif attribute not in self.schema.attributes:
            raise ApiError(400, f"Not existing attribute '{attribute}' in where.")
        elif attribute in access.hidden_attributes(self.user, self.schema, "read"):
            raise self._refused(f"Forbidden attribute '{attribute}' in where.")

    def _check_foreign(self, link_name: str, attribute: str) -> None:
        link = self.schema.links.get(link_name)
        if link is None or link.entity not in self.espo.store.schemas:
            raise self._refused(f"Bad relation '{link_name}' in where.")
        if not access.allows_any(self.user, link.entity):
            raise self._refused(f"Forbidden relation '{link_name}' in where.")
        target = self.espo.store.schemas[link.entity]
        if attribute in access.hidden_attributes(self.user, target, "read"):
            raise self._refused(f"Forbidden attribute '{link_name}.{attribute}' in where.")

    def _check_link(self, name: str, kind: str, value: Any) -> None:
        link = self.schema.links.get(name)
        if link is None:
            raise ApiError(400, f"Not existing relation '{name}' in where.")
        if not access.allows_any(self.user, link.entity):
            raise self._refused(f"Forbidden relation '{name}' in where.")
        if kind not in ("linkedWith", "notLinkedWith", "linkedWithAll") or value is None:
            return
        target = self.espo.store.schemas.get(link.entity)
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str):
                raise ApiError(400, "Bad where item. Non-string ID.")
            row = self.espo.store.live(link.entity, one)
            if row is None or target is None:
                raise self._refused(f"Record '{link.entity}' `{one}` not found.")
            if not access.allows_record(self.user, target, row, "read"):
                raise self._refused(f"No access to '{link.entity}' `{one}`.")

    def _refused(self, text: str) -> ApiError:
        # 9.x wraps the exception and prints both texts, which are the same; 10.0 prints one.
        return ApiError(400, text if self.espo.release >= (10,) else f"{text} {text}")

    # Compilation

    def item(self, item: dict[str, Any]) -> Predicate:
        """One checked item."""
        kind = item["type"]
        if kind in _GROUPS:
            parts = [self.item(sub) for sub in _sub_items(item)]
            return _all_of(parts) if kind == "and" or not parts else _any_of(parts)
        attribute: str = item.get("attribute") or item["field"]
        if kind in _LINK_TYPES:
            return self._linked(attribute, kind, item.get("value"))
        if item.get("dateTime") or item.get("date") or kind in moments.RELATIVE_TYPES:
            item = moments.resolved(item, attribute, self.espo.clock.now())
        if "." in attribute:
            return self._foreign(attribute, item)
        return comparisons.compare(
            self.schema.attributes[attribute], self._getter(attribute), item["type"], item.get("value")
        )

    def _getter(self, name: str) -> Getter:
        attribute = self.schema.attributes[name]
        if attribute.type == "foreignName":
            entity, key, name_of = (
                self.schema.links[attribute.source].entity,
                f"{attribute.source}Id",
                self.espo.store.name_of,
            )
            return lambda row: name_of(entity, row.get(key))
        return lambda row: row.get(name)

    def _foreign(self, path: str, item: dict[str, Any]) -> Predicate:
        link_name, name = path.split(".", 1)
        link, store = self.schema.links[link_name], self.espo.store
        target = store.schemas[link.entity]
        if name not in target.attributes:
            raise ApiError(500, None)
        test = Where(self.espo, self.user, target).item({**item, "attribute": name})
        entity, rows = self.schema.name, store.tables[link.entity].rows
        return lambda row: any(test(rows[one]) for one in store.linked_ids(entity, link, row["id"]))

    def _linked(self, name: str, kind: str, value: Any) -> Predicate:
        link, store, entity = self.schema.links[name], self.espo.store, self.schema.name
        ids = value if isinstance(value, list) else [value]
        match kind:
            case "linkedWith":
                return lambda row: store.is_linked(entity, link, row["id"], ids)
            case "notLinkedWith":
                return lambda row: not store.is_linked(entity, link, row["id"], ids)
            case "linkedWithAll":
                return lambda row: all(store.is_linked(entity, link, row["id"], [one]) for one in ids)
            case "isLinked":
                return lambda row: bool(store.linked_ids(entity, link, row["id"]))
            case _:
                return lambda row: not store.linked_ids(entity, link, row["id"])


def _all_of(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda row: first(row) and second(row)
    return lambda row: all(part(row) for part in parts)


def _any_of(parts: list[Predicate]) -> Predicate:
    if len(parts) == 2:
        first, second = parts
        return lambda row: first(row) or second(row)
    return lambda row: any(part(row) for part in parts)


def _sub_items(item: dict[str, Any]) -> list[Any]:
    value = item.get("value")
    if value is None:
        return []
    if not isinstance(value, list):
        raise ApiError(500)
    return value


def lower_bound(items: list[Any], attribute: str) -> str | None:
    """The smallest value of `attribute` that rows matching all of `items` can have; None if it is open.

    Lets a keyset page begin in the index where its rows begin instead of looking at every record.
    """
    bounds = [bound for item in items if (bound := _bound(item, attribute)) is not None]
    return max(bounds, default=None)


def _bound(item: dict[str, Any], attribute: str) -> str | None:
    kind = item["type"]
    if kind in _GROUPS:
        subs = _sub_items(item)
        if kind == "and":
            return lower_bound(subs, attribute)
        found = [_bound(sub, attribute) for sub in subs]
        known = [bound for bound in found if bound is not None]
        return min(known) if known and len(known) == len(found) else None
    if item.get("dateTime") or item.get("date") or item.get("attribute") != attribute:
        return None
    value = item.get("value")
    exact = kind in ("equals", "greaterThan", "greaterThanOrEquals", "after") and isinstance(value, str)
    return comparisons.moment_key(value) if exact else None
