"""xAI: its file store and its collections, two hosts with a key each (`facts/xai.md`)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from bitbylaw_pipeline.clients import xai_refusals
from bitbylaw_pipeline.clients.http import CallRecord, System
from bitbylaw_pipeline.clients.multipart import FilePart, Multipart
from bitbylaw_pipeline.clients.xai_collections import Collections
from bitbylaw_pipeline.clients.xai_files import Files
from bitbylaw_pipeline.clients.xai_members import Members
from bitbylaw_pipeline.clients.xai_wire import (
    SpooledUpload,
    StoredFile,
    checked_id,
    member,
    remote_file,
    whole_object,
)
from bitbylaw_pipeline.domain.errors import Permanent
from bitbylaw_pipeline.settings import Settings, UploadRoute


@dataclass(frozen=True, slots=True)
class KeyReport:
    """Both keys are accepted; `problems` says in whole sentences what is wrong with them all the same."""

    files_team: str | None
    management_team: str | None
    problems: tuple[str, ...]
    files_rights: tuple[str, ...] = ()
    management_rights: tuple[str, ...] = ()
    """The rights as xAI lists them (`acls`); empty where it lists none."""


class Xai(Files, Collections, Members):
    """Files, collections, and which file is in which. One per process and event loop."""

    def __init__(self, files: System, management: System) -> None:
        self.files = files
        self.management = management

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        files_transport: httpx.AsyncBaseTransport | None = None,
        management_transport: httpx.AsyncBaseTransport | None = None,
        on_call: Callable[[CallRecord], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Xai:
        """The client that the settings describe; `clock` is UTC epoch seconds. Raises SettingsError."""
        settings.require("xai_api_key", "xai_management_key", "xai_api_base_url", "xai_management_base_url")

        def system(name: str, address: str, key: str, transport: httpx.AsyncBaseTransport | None) -> System:
            return System(
                name,
                address,
                {"Authorization": f"Bearer {key}"},
                timeout=settings.xai_timeout_seconds,
                max_concurrency=settings.xai_max_concurrency,
                transport=transport,
                judge=xai_refusals.judge,
                on_call=on_call,
                clock=clock,
            )

        return cls(
            system(
                "xai-files",
                settings.xai_api_base_url,
                settings.xai_api_key.get_secret_value(),
                files_transport,
            ),
            system(
                "xai-management",
                settings.xai_management_base_url,
                settings.xai_management_key.get_secret_value(),
                management_transport,
            ),
        )

    async def aclose(self) -> None:
        """Closes the connections to both hosts."""
        await self.files.aclose()
        await self.management.aclose()

    async def upload(
        self,
        upload: SpooledUpload,
        route: UploadRoute,
        collection_id: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> StoredFile:
        """Uploads a file from disk; memory does not grow with it.

        FILES stores it by itself, to be attached afterwards. MANAGEMENT stores it straight into `collection_id`
        with `fields`, and keeps the content type that the other route may lose (`facts/xai.md` 2.1, 3.9).
        Never repeat it blindly: after OutcomeUnknown look with `find_files`.
        """
        if route is UploadRoute.FILES:
            return await self._upload_file(upload)
        if collection_id is None:
            raise Permanent(
                "The upload on the management host needs a collection.",
                system=self.management.name,
                reason="invalid",
            )
        return await self._upload_member(upload, collection_id, fields or {})

    async def check_keys(self) -> KeyReport:
        """Asks both hosts about our keys; AuthFailed (with the host in `system`) where one is refused."""
        ours = (await self.files.call("GET", "/api-key", operation="check_key")).mapping()
        theirs = (
            await self.management.call(
                "GET", "/auth/management-keys/validation", above_base=True, operation="check_key"
            )
        ).mapping()
        files_team, management_team = _name(ours.get("team_id")), _name(theirs.get("scopeId"))
        problems = [
            sentence
            for flag, sentence in (
                ("team_blocked", "The team of XAI_API_KEY is blocked."),
                ("api_key_blocked", "XAI_API_KEY is blocked."),
                ("api_key_disabled", "XAI_API_KEY is disabled."),
            )
            if ours.get(flag) is True
        ]
        if files_team and management_team and files_team != management_team:
            problems.append(
                "XAI_API_KEY and XAI_MANAGEMENT_KEY belong to different teams: files would not be found in collections."
            )
        return KeyReport(
            files_team, management_team, tuple(problems), _texts(ours.get("acls")), _texts(theirs.get("acls"))
        )

    async def probe_files(self) -> None:
        """One cheap read on the files host; raises what the client raises."""
        await self.files.call("GET", "/api-key", operation="probe")

    async def probe_management(self) -> None:
        """One cheap read on the management host; raises what the client raises."""
        await self.management.call(
            "GET", "/auth/management-keys/validation", above_base=True, operation="probe"
        )

    async def _upload_file(self, upload: SpooledUpload) -> StoredFile:
        body = _form([("purpose", "assistants")], "file", upload, self.files)
        answer = await self.files.call(
            "POST",
            "/files",
            stream=body,
            stream_bytes=body.size,
            headers=body.headers,
            operation="upload",
            creates=True,
        )
        stored = remote_file(whole_object(answer, "id"))
        if stored.size != upload.size:
            raise answer.nonsense(f"{stored.size} bytes of {upload.size}")
        return StoredFile(stored.file_id, stored.size)

    async def _upload_member(
        self, upload: SpooledUpload, collection_id: str, fields: Mapping[str, str]
    ) -> StoredFile:
        path = f"/collections/{checked_id(collection_id, 'collection', self.management.name)}/documents"
        about = [("name", upload.name), ("content_type", upload.content_type)]
        if fields:
            about.append(("fields", json.dumps(dict(fields), ensure_ascii=False)))
        body = _form(about, "data", upload, self.management)
        answer = await self.management.call(
            "POST",
            path,
            stream=body,
            stream_bytes=body.size,
            headers=body.headers,
            operation="upload",
            subject=collection_id,
            creates=True,
        )
        stored = member(answer.mapping())
        if not stored.file_id:
            raise answer.nonsense("no file id")
        if stored.size not in (0, upload.size):  # 0: this route's answer need not say it
            raise answer.nonsense(f"{stored.size} bytes of {upload.size}")
        return StoredFile(stored.file_id, upload.size, stored.sha256, collection_id)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _form(fields: list[tuple[str, str]], part: str, upload: SpooledUpload, system: System) -> Multipart:
    try:
        return Multipart(fields, FilePart(part, upload.path, upload.size, upload.name, upload.content_type))
    except ValueError:
        raise Permanent(
            "The file's name or type cannot stand in an upload: make it with safe_upload_name.",
            system=system.name,
            reason="bad_name",
        ) from None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
