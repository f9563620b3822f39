"""Puts the parts together from the settings: the one place that knows them all, below Dagster and the CLI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection

from bitbylaw_pipeline.clients.advoware import Advoware
from bitbylaw_pipeline.clients.espocrm import EspoCrm
from bitbylaw_pipeline.clients.espocrm_akten import MatterRecords
from bitbylaw_pipeline.clients.espocrm_bankverbindungen import BankverbindungRecords
from bitbylaw_pipeline.clients.espocrm_beteiligte import BeteiligteRecords
from bitbylaw_pipeline.clients.espocrm_documents import DocumentRecords
from bitbylaw_pipeline.clients.espocrm_tasks import Tasks
from bitbylaw_pipeline.clients.token_memory import TokenMemory
from bitbylaw_pipeline.clients.xai import Xai
from bitbylaw_pipeline.domain.errors import AuthFailed
from bitbylaw_pipeline.inbox import calendar_passes
from bitbylaw_pipeline.inbox.advoware_token_cache import open_token_cache
from bitbylaw_pipeline.inbox.cipher import Cipher
from bitbylaw_pipeline.inbox.coordination import Coordination
from bitbylaw_pipeline.inbox.database import Database
from bitbylaw_pipeline.settings import Settings, SettingsError
from bitbylaw_pipeline.sync.akten import AktenSides, AktenStream, AktenSweep
from bitbylaw_pipeline.sync.call_count import count_call
from bitbylaw_pipeline.sync.collections import CollectionStream
from bitbylaw_pipeline.sync.document_round import DocumentTools
from bitbylaw_pipeline.sync.documents import DocumentStream
from bitbylaw_pipeline.sync.egress_watch import EgressWatch
from bitbylaw_pipeline.sync.feed import ChangeFeed
from bitbylaw_pipeline.sync.login_refusals import StateTokenCache
from bitbylaw_pipeline.sync.outage import OutageWatch
from bitbylaw_pipeline.sync.owner_permission import OwnerPermissions
from bitbylaw_pipeline.sync.pair_pass import PairPass
from bitbylaw_pipeline.sync.person_tasks import PersonTasks
from bitbylaw_pipeline.sync.reconcile_termine import TermineReconciliation
from bitbylaw_pipeline.sync.reconciliation import Reconciliation
from bitbylaw_pipeline.sync.stream import Stream
from bitbylaw_pipeline.sync.termine_channels import open_channels
from bitbylaw_pipeline.sync.termine_parts import CalendarParts, open_calendars
from bitbylaw_pipeline.sync.termine_stream import TermineStream
from bitbylaw_pipeline.sync.two_way_pairs import Pair, Pairs
from bitbylaw_pipeline.sync.two_way_stream import TwoWayStream
from bitbylaw_pipeline.sync.two_way_sweep import TwoWaySweep
from bitbylaw_pipeline.sync.unusable_stream import UnusableStream
from bitbylaw_pipeline.sync.worker import Worker

log = structlog.get_logger(__name__)

REQUIRED = (
    "espocrm_api_base_url",
    "espocrm_api_key",
    "xai_api_key",
    "xai_management_key",
    "state_encryption_key",
)


def open_database(settings: Settings) -> Database:
    """The state database, migrated; cheap, and the only connection made is to it."""
    if settings.database_url.startswith("sqlite:///"):
        Path(settings.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    key = settings.state_encryption_key.get_secret_value() or None
    return Database.open(settings.database_url, encryption_key=key, migrate=True)


@dataclass(frozen=True, slots=True)
class AdvowareParts:
    """What keeps EspoCRM and Advoware in step."""

    client: Advoware
    pairs: Pairs
    tasks: PersonTasks
    sweep: TwoWaySweep
    akten: AktenSweep

    def passes(self) -> dict[str, Callable[[], Coroutine[Any, Any, PairPass]]]:
        """A pass over each pair, by its name, in their order; one list of Advoware's parties serves both that need it."""
        parties = self.pairs.party_list()
        over = {pair.value: partial(self.sweep.run_pair, pair, parties) for pair in Pair}
        return {**over, "akten": self.akten.run}

    def reconciliations(self, *, accept_smaller: bool) -> dict[str, Reconciliation]:
        """The Reconciliation of each pair, by its name, in their order."""
        # pandas takes half a second to import; only what compares whole lists needs it.
        from bitbylaw_pipeline.sync.reconcile_akten import AktenReconciliation  # noqa: PLC0415  # pandas comes along
        from bitbylaw_pipeline.sync.reconcile_pairs import PairReconciliation  # noqa: PLC0415  # pandas, too

        found: dict[str, Reconciliation] = {
            pair.value: PairReconciliation(pair, self.pairs, accepts_smaller=accept_smaller) for pair in Pair
        }
        return {**found, "akten": AktenReconciliation(self.akten.sides, accepts_smaller=accept_smaller)}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything a batch, a partition run or a command works with; open it with `open_runtime`."""

    settings: Settings
    database: Database
    coordination: Coordination
    espocrm: EspoCrm
    records: DocumentRecords
    xai: Xai
    feed: ChangeFeed
    outage_watch: OutageWatch
    streams: Mapping[str, Stream]
    advoware: AdvowareParts | None
    """None where Advoware is not configured: its streams are then not there either."""
    calendars: CalendarParts | None
    """None without calendars, or with a key file that is none; in the second case the stream says so at each pass."""

    def worker(self, stream_name: str, *, polls_feed: bool = True) -> Worker:
        """A new worker on that stream."""
        return Worker(
            stream=self.streams[stream_name],
            database=self.database,
            coordination=self.coordination,
            outage_watch=self.outage_watch,
            settings=self.settings,
            feed=self.feed if polls_feed else None,
        )

    def reconciliations(self, *, accept_smaller: bool = False) -> dict[str, Reconciliation]:
        """What can be reconciled here, by name, in the order in which it is done.

        `accept_smaller`: a list that has become much shorter is believed.
        """
        # pandas takes half a second to import; only what compares whole lists needs it.
        from bitbylaw_pipeline.sync.reconcile_documents import DocumentReconciliation  # noqa: PLC0415  # pandas comes along

        found: dict[str, Reconciliation] = {
            "documents": DocumentReconciliation(
                self.records,
                self.xai,
                self.database,
                self.coordination,
                self.settings,
                accepts_smaller=accept_smaller,
            )
        }
        if self.advoware is not None:
            found |= self.advoware.reconciliations(accept_smaller=accept_smaller)
        if self.calendars is not None:
            found["termine"] = TermineReconciliation(self.calendars.pairs, accepts_smaller=accept_smaller)
        return found


@asynccontextmanager
async def open_runtime(
    settings: Settings,
    *,
    database: Database | None = None,
    transports: Mapping[str, Any] | None = None,
    memory: TokenMemory | None = None,
) -> AsyncIterator[Runtime]:
    """Opens database, Redis and clients and closes them again. Raises SettingsError for what is missing.

    `transports` replaces the clients' way out, by system ("espocrm", "xai-files", "xai-management",
    "advoware", "google"): tests reach the stand-ins without a socket. `memory` is
    where tokens outlive this runtime, for a process that opens many of them.
    """
    ways = transports or {}
    settings.require(*REQUIRED)
    async with AsyncExitStack() as stack:
        if database is None:
            database = open_database(settings)
            stack.push_async_callback(database.aclose)
        coordination = Coordination.open(settings)
        stack.push_async_callback(coordination.aclose)
        espocrm = EspoCrm.open(
            settings, transport=ways.get("espocrm"), cache=coordination, on_call=count_call
        )
        stack.push_async_callback(espocrm.aclose)
        xai = Xai.open(
            settings,
            files_transport=ways.get("xai-files"),
            management_transport=ways.get("xai-management"),
            on_call=count_call,
        )
        stack.push_async_callback(xai.aclose)
        records = DocumentRecords(espocrm, settings.document_fields, settings.collection_owners)
        cipher = Cipher(settings.state_encryption_key.get_secret_value())
        probes = {
            "espocrm": espocrm.probe,
            "xai-files": xai.probe_files,
            "xai-management": xai.probe_management,
        }
        advoware = await _open_advoware(settings, stack, database, espocrm, memory, ways.get("advoware"))
        if advoware is not None:
            probes["advoware"] = advoware.client.probe
        calendars, why_no_calendars = None, None
        if advoware is not None and settings.has_calendars:
            try:
                calendars = open_calendars(settings, database, advoware.client, ways.get("google"), memory)
            except SettingsError as error:
                # A wrong key file is no reason for documents and parties to stand still.
                log.error("calendars_unusable", says=str(error))  # noqa: TRY400  # one sentence, no traceback
                why_no_calendars = str(error)
                probes["google"] = partial(_refuse, why_no_calendars)
            else:
                stack.push_async_callback(calendars.google.aclose)
                probes["google"] = calendars.google.probe
        outage_watch = OutageWatch(database, probes, settings.outage_probe_seconds)
        feed = ChangeFeed(espocrm, database, coordination, settings, outage_watch)
        spool_dir = settings.spool_dir or settings.home / "spool"
        watch = EgressWatch(database)
        permissions = OwnerPermissions(records, settings.xai_egress)
        tools = DocumentTools(
            database, coordination, records, xai, cipher, settings, spool_dir, permissions, watch
        )
        streams: dict[str, Stream] = {
            "documents": DocumentStream(tools),
            "collections": CollectionStream(database, coordination, records, xai, settings, watch),
        }
        if advoware is not None:
            for pair, entity_type in advoware.tasks.entity_types.items():
                streams[pair] = TwoWayStream(
                    Pair(pair), advoware.pairs, advoware.tasks, entity_type, advoware.sweep
                )
            streams["akten"] = AktenStream(advoware.akten.sides)
        if calendars is not None:
            streams["termine"] = TermineStream(calendars.pairs, open_channels(settings, calendars.pairs))
        elif why_no_calendars is not None:
            note = partial(_note_failed, database)
            streams["termine"] = UnusableStream(
                "termine", frozenset({"google"}), why_no_calendars, "google", note
            )
        yield Runtime(
            settings,
            database,
            coordination,
            espocrm,
            records,
            xai,
            feed,
            outage_watch,
            streams,
            advoware,
            calendars,
        )


async def _refuse(why: str) -> None:
    raise AuthFailed(why, system="google")


async def _note_failed(database: Database, kuerzel: str, error: AuthFailed) -> None:
    def note(conn: Connection) -> None:
        now = database.now(conn)
        calendar_passes.note_failed(conn, now, kuerzel, now, error)

    await database.run(note)


async def _open_advoware(
    settings: Settings,
    stack: AsyncExitStack,
    database: Database,
    espocrm: EspoCrm,
    memory: TokenMemory | None,
    transport: Any,
) -> AdvowareParts | None:
    if not settings.has_advoware:
        return None
    cache = open_token_cache(settings)
    if cache is not None:
        stack.push_async_callback(cache.aclose)
    client = Advoware.open(
        settings, transport=transport, cache=cache or StateTokenCache(database, memory), on_call=count_call
    )
    stack.push_async_callback(client.aclose)
    pairs = Pairs(
        database, BeteiligteRecords(espocrm, settings), BankverbindungRecords(espocrm, settings), client
    )
    entity_types = {
        Pair.BETEILIGTE.value: settings.beteiligte_fields.entity_type,
        Pair.BANKVERBINDUNGEN.value: settings.bankverbindung_fields.entity_type,
    }
    tasks = PersonTasks(database, Tasks(espocrm), entity_types, is_wanted=settings.advoware_tasks)
    akten = AktenSweep(AktenSides(database, client, MatterRecords(espocrm, settings)))
    return AdvowareParts(client, pairs, tasks, TwoWaySweep(pairs, tasks, database), akten)
