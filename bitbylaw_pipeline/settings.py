"""Every setting, in one place: environment variables (or `.env`) under the names the firm already uses.

Nothing is read at import. A missing or senseless value ends in one clear sentence (`SettingsError`).
"""

from __future__ import annotations

import re
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as SourceError

from bitbylaw_pipeline.calendar_settings import CalendarSetting, parse_calendars, read_calendars
from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.domain.retry import RetryLadder
from bitbylaw_pipeline.domain.termin_kind import FristRule

_ROUTE_CHANGE = re.compile(
    r"-\*|[+-](?:GET|POST|PUT|DELETE) (?:[A-Za-z][A-Za-z0-9]*|\{id\})(?:/(?:[A-Za-z][A-Za-z0-9]*|\{id\}))*"
)

_MAIL = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message says which one and what to do."""


class UploadRoute(StrEnum):
    """How a file reaches xAI: on the files host and then attached, or in one multipart on the management host."""

    FILES = "files"
    MANAGEMENT = "management"


class TermineSurface(StrEnum):
    """Which of Advoware's two surfaces for Termine is spoken to."""

    GENERAL = "general"
    ACTIVE_SYNC = "activesync"


class SmtpSecurity(StrEnum):
    """How the connection to the mail server is made private."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class OwnerType(BaseModel):
    """An entity type whose records own a collection. Names are EspoCRM's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: str
    link: str = "dokumentes"
    """The owner's link to its documents; the link back is found in EspoCRM's metadata."""
    collection_field: str = "xaiCollectionId"
    permission_field: str | None = "kiFreigabe"
    permission_reference_field: str | None = "kiFreigabeReferenz"
    permission_date_field: str | None = "kiFreigabeDatum"
    word: str
    """The owner type in webhook URLs and topics: /vmh/webhook/{word}/update, {word}.update."""


class DocumentFieldNames(BaseModel):
    """What the fields of a document are called on the firm's server, and the words its status uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: str = "CDokumente"
    file: str = "dokument"
    file_id: str = "xaiId"
    collections: str = "xaiCollections"
    synced_hash: str = "xaiSyncedHash"
    status: str = "fileStatus"
    md5: str = "md5sum"
    sha256: str = "sha256"
    excluded: str | None = None
    """A checkbox on the document that keeps it in the firm whatever the rule says."""
    status_new: str = "neu"
    status_changed: str = "geändert"
    status_synced: str = "synced"
    status_unchanged: str = "unchanged"


class BeteiligteFieldNames(BaseModel):
    """What a party's fields are called on the firm's server; those that the server lacks are left out.

    A part of an address field `adresse` is named as the API names it (`adresseStreet`), the lists behind an e-mail
    and a phone field likewise (`emailAddressData`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: str = "CBeteiligte"
    name: str = "name"
    """EspoCRM's own display name, required there: made of surname and given name, never read back."""
    nachname: str = "nachname"
    vorname: str = "vorname"
    anrede: str = "anrede"
    titel: str = "titel"
    rechtsform: str = "rechtsform"
    geburtsdatum: str = "geburtsdatum"
    register_nummer: str = "handelsregisterNummer"
    register_gericht: str = "registergericht"
    strasse: str = "adresseStreet"
    plz: str = "adressePostalCode"
    ort: str = "adresseCity"
    land: str = "adresseCountry"
    phones: str = "phoneNumberData"
    emails: str = "emailAddressData"
    betnr: str = "betnr"
    row_id: str = "rowId"
    last_sync: str = "advowareLastSync"
    sync_status: str = "syncStatus"
    key_field: str = "bitbylawKey"
    """A text field by which a record that we created is found again when its answer got lost."""
    phone_country: str = Field(default="+49", pattern=r"^\+[1-9]\d{0,2}$")
    """The country of a number that is written without one: EspoCRM takes international numbers alone."""


class BankverbindungFieldNames(BaseModel):
    """What a bank account's fields are called on the firm's server; those that the server lacks are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: str = "CBankverbindungen"
    name: str = "name"
    """EspoCRM's own display name, required there: the bank and the last digits of the IBAN."""
    iban: str = "iban"
    bic: str = "bic"
    kontoinhaber: str = "kontoinhaber"
    bankname: str = "bankname"
    advoware_id: str = "advowareId"
    beteiligte: str = "beteiligte"
    """The link to the party; its id stands in `{link}Id`."""
    key_field: str = "bitbylawKey"


class MatterType(BaseModel):
    """An entity type whose records are matters that Advoware has as Akten. Names are EspoCRM's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity_type: str
    number_field: str = "aktennummer"
    """The integer number by which a matter and its Akte are recognized."""
    akte_id_field: str = "advowareAkteId"
    """Where the Akte's id is written to."""
    aktenzeichen_field: str = "aktenzeichen"
    """Only compared, so that a mistyped number is noticed: never used to recognize an Akte."""


DEFAULT_MATTERS = (
    MatterType(entity_type="CVmhRumungsklage"),
    MatterType(entity_type="CMietinkasso"),
)

DEFAULT_OWNERS = (
    OwnerType(entity_type="CVmhRumungsklage", word="raeumungsklage"),
    OwnerType(entity_type="CMietinkasso", word="mietinkasso"),
    OwnerType(entity_type="Account", word="account"),
    OwnerType(entity_type="CBeteiligte", word="beteiligte"),
)

# Images, sound, film and mail are not in xAI's list of readable types (`facts/xai.md` 7). What could not be used
# there has no reason to leave the firm.
DEFAULT_UNREADABLE_TYPES = (
    "image/*",
    "audio/*",
    "video/*",
    "message/rfc822",
    "application/vnd.ms-powerpoint",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/x-msdownload",
)


class Settings(BaseSettings):
    """All settings; durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_file=".env", extra="forbid", frozen=True, env_ignore_empty=True)

    # EspoCRM
    espocrm_api_base_url: str = ""
    espocrm_api_key: SecretStr = SecretStr("")
    espocrm_api_timeout_seconds: float = Field(default=30.0, gt=0)
    espocrm_metadata_ttl_seconds: float = Field(default=300.0, ge=0)
    espocrm_max_concurrency: int = Field(default=16, ge=1)
    document_fields: DocumentFieldNames = DocumentFieldNames()
    collection_owners: tuple[OwnerType, ...] = DEFAULT_OWNERS
    beteiligte_fields: BeteiligteFieldNames = BeteiligteFieldNames()
    bankverbindung_fields: BankverbindungFieldNames = BankverbindungFieldNames()
    akten_matters: tuple[MatterType, ...] = DEFAULT_MATTERS

    # xAI
    xai_api_key: SecretStr = SecretStr("")
    xai_management_key: SecretStr = SecretStr("")
    xai_api_base_url: str = "https://api.x.ai/v1"
    xai_management_base_url: str = "https://management-api.x.ai/v1"
    xai_timeout_seconds: float = Field(default=60.0, gt=0)
    xai_max_concurrency: int = Field(default=16, ge=1)
    xai_upload_route: UploadRoute = UploadRoute.FILES
    xai_max_file_bytes: int = Field(default=50_000_000, ge=1)
    xai_unreadable_types: Annotated[tuple[str, ...], NoDecode] = DEFAULT_UNREADABLE_TYPES
    xai_settle_seconds: float = Field(default=30.0, ge=0)
    """How long a listing at xAI may lag: waited before a create with an unclear outcome is looked for again."""
    xai_delete_replaced_files: bool = True
    xai_indexing_check_seconds: float = Field(default=30.0, ge=0)

    # Advoware. Two forms: the first three alone, or the vendor's full set (docs/configuration.md)
    advoware_api_base_url: str = ""
    advoware_api_key: SecretStr = SecretStr("")
    advoware_api_secret: SecretStr = SecretStr("")
    advoware_app_id: str = ""
    advoware_configurator_url: str = ""
    """Empty: no lookup, the addresses below (or ADVOWARE_API_BASE_URL) are used as they stand."""
    advoware_relay_url: str = ""
    advoware_security_url: str = ""
    advoware_kanzlei: str = ""
    advoware_database: str = ""
    advoware_user: str = ""
    advoware_password: SecretStr = SecretStr("")
    advoware_role: int = Field(default=2, ge=0)
    advoware_product: int = Field(default=64, ge=0)
    advoware_path_prefix: str = "api/v1/advonet/"
    advoware_lists_beteiligte: bool = True
    """Whether `GET Beteiligte` lists all parties; without it linked parties are read one by one."""
    advoware_timeout_seconds: float = Field(default=30.0, gt=0)
    advoware_max_concurrency: int = Field(default=4, ge=1)
    advoware_tasks: bool = True
    """What Advoware cannot take becomes a task in EspoCRM, where our user may make tasks."""

    # Appointments: Advoware's Termine and Google's calendars
    google_calendars: dict[str, CalendarSetting] = Field(default={}, repr=False)
    """Kürzel -> Google user and dedicated calendar; given here, or in the file."""
    google_calendars_file: Path | None = None
    google_service_account_file: str = ""
    google_api_base_url: str = "https://www.googleapis.com/calendar/v3"
    google_token_url: str = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address, no token
    google_timeout_seconds: float = Field(default=30.0, gt=0)
    google_max_concurrency: int = Field(default=16, ge=1)
    google_requests_per_minute_per_user: int = Field(default=500, ge=1)
    google_requests_per_minute: int = Field(default=9000, ge=1)
    google_poll_seconds: float = Field(default=60.0, ge=0)
    """How often each employee's window is asked for changes between the passes; 0: never."""
    google_push: bool = False
    """Google reports changes to RECEIVER_PUBLIC_URL, and nobody waits for the next poll."""
    termine_masked: bool = True
    """Google is told when, and neither title nor notes nor place: client names are a secret."""
    termine_fristen: str = "alle"
    """Which Termine are court deadlines, which only Advoware changes (`domain.termin_kind.FristRule`)."""
    termine_days_back: int = Field(default=30, ge=0, le=3650)
    termine_days_ahead: int = Field(default=365, ge=1, le=3650)
    advoware_termine_surface: TermineSurface = TermineSurface.GENERAL
    advoware_termine_keep_fold: bool = False
    """The ActiveSync surface keeps the two equal hours of a night in autumn apart (not known)."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """For `POST /advoware/calendar/sync`."""

    # What may leave the firm
    xai_egress: EgressRule = EgressRule.OFF

    # State
    state_db_url: str = ""
    state_encryption_key: SecretStr = SecretStr("")
    dagster_home: Path | None = None
    dagster_postgres_url: SecretStr = SecretStr("")
    """PostgreSQL for Dagster's own runs and events; `bitbylaw up` hands it to Dagster. Empty: SQLite in DAGSTER_HOME."""
    spool_dir: Path | None = None

    # Redis
    redis_host: str = ""
    redis_port: int = Field(default=6379, ge=1, le=65535)
    redis_password: SecretStr = SecretStr("")
    redis_db: int = Field(default=0, ge=0)
    redis_db_advoware_cache: int = Field(default=1, ge=0)

    # Receiver
    receiver_host: str = "127.0.0.1"
    receiver_port: int = Field(default=3111, ge=0, le=65535)
    receiver_public_url: str = ""
    """Where EspoCRM reaches the receiver: setup-espocrm registers webhooks at this address."""
    receiver_max_body_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    receiver_max_events: int = Field(default=1000, ge=50)
    """EspoCRM sends 50 items at most; a hook by hand may send more, never ten thousand."""
    webhook_shared_secret: SecretStr = SecretStr("")
    webhook_allow_unsigned: bool = False
    """For the sandbox alone: accept webhooks without signature or secret."""

    # The proxy to Advoware, for the firm's own programs
    proxy_api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    advoware_proxy_read_only: bool = True
    advoware_proxy_routes: Annotated[tuple[str, ...], NoDecode] = ()
    """Changes to the allow-list: `+GET Rechnungen/{id}` extends it, `-POST Beteiligte` narrows it, `-*` empties it."""
    advoware_proxy_max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    advoware_proxy_max_answer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    advoware_proxy_rate_per_minute: float = Field(default=600.0, gt=0)
    advoware_proxy_burst: int = Field(default=200, ge=1)
    """Requests of one key that may come at once, before the rate counts."""
    advoware_proxy_answer_seconds: float = Field(default=120.0, gt=0)

    # Work
    sync_concurrency: int = Field(default=32, ge=1, le=256)
    """Entities in hand at once, per batch. Twice the calls that a system gets at once (`*_MAX_CONCURRENCY`): half of them
    wait for our own commits, and with 16 a burst was a quarter slower."""
    lease_seconds: float = Field(default=20.0, gt=1)
    batches_per_stream: int = Field(default=1, ge=1)
    single_runs_max: int = Field(default=0, ge=0)
    batch_linger_seconds: float = Field(default=300.0, ge=0)
    batch_rotate_seconds: float = Field(default=600.0, gt=0)
    batch_poll_seconds: float = Field(default=1.0, gt=0)
    """How often a lingering batch looks for work by itself when no wake-up comes."""
    feed_interval_seconds: float = Field(default=5.0, ge=0)
    """How often a lingering batch reads EspoCRM's change feed; 0 leaves the feed to its sensor."""
    feed_overlap_seconds: float = Field(default=10.0, ge=0)
    partition_wait_seconds: float = Field(default=120.0, ge=0)
    """How long a run launched by a person waits for an entity that a batch is at work on."""
    retry_first_seconds: float = Field(default=5.0, gt=0)
    retry_longest_seconds: float = Field(default=4 * 3600.0, gt=0)
    retry_attempts: int = Field(default=8, ge=1)
    sync_tombstone_days: float = Field(default=90.0, ge=1)
    """How long a record that was deleted on both sides, and values that were overwritten, are remembered."""
    outage_probe_seconds: float = Field(default=10.0, gt=0)
    """How often a system that is down is asked whether it is back."""

    # Reconciliation
    reconcile_delete_limit: int = Field(default=20, ge=0)
    """So many deletes in one reconciliation go through by themselves, unless they are more than the share below."""
    reconcile_delete_share: float = Field(default=0.1, ge=0, le=1)

    # How long what is kept, in days
    retention_inbox_days: float = Field(default=90.0, ge=1)
    retention_run_days: float = Field(default=30.0, ge=1)
    retention_log_days: float = Field(default=14.0, ge=1)
    """The captured output of runs, which may go before the run itself does."""
    retention_tick_days: float = Field(default=7.0, ge=1)
    retention_audit_days: float = Field(default=1095.0, ge=1)

    # The status page
    status_password: SecretStr = SecretStr("")
    """For /status in a browser; unset: nobody gets in but by one of API_KEYS."""
    ui_public_url: str = "http://127.0.0.1:3000"
    """Where a person reaches Dagster's UI: links lead there."""

    # Alerts
    alert_email_to: Annotated[tuple[str, ...], NoDecode] = ()
    alert_email_from: str = ""
    smtp_host: str = ""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_security: SmtpSecurity = SmtpSecurity.STARTTLS
    alert_webhook_url: str = ""
    alert_webhook_token: SecretStr = SecretStr("")
    """Sent as `Authorization: Bearer`."""
    alert_repeat_hours: float = Field(default=24.0, gt=0)
    """A trouble that lasts is told again after so long."""
    alert_flow_silent_minutes: float = Field(default=60.0, gt=0)
    """A flow with something to do, or with passes to make, and without a success for so long is in trouble."""
    credentials_expire: dict[str, date] = {}
    """Name of a setting -> the day on which that credential ends, as its maker says; no system tells us."""
    credentials_warn_days: float = Field(default=14.0, ge=0)
    log_level: str = "INFO"

    _from_file: dict[str, CalendarSetting] | None = PrivateAttr(default=None)
    """The content of GOOGLE_CALENDARS_FILE: half a run must not go by another one than the rest."""

    @field_validator(
        "xai_unreadable_types",
        "advoware_proxy_routes",
        "proxy_api_keys",
        "api_keys",
        "alert_email_to",
        mode="before",
    )
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("advoware_path_prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        parts = [part for part in value.strip().split("/") if part]
        if not all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", part) for part in parts):
            raise ValueError("write it as a plain path such as api/v1/advonet/")
        return "".join(f"{part}/" for part in parts)

    @field_validator(
        "espocrm_api_base_url", "xai_api_base_url", "xai_management_base_url", "receiver_public_url",
        "advoware_api_base_url", "advoware_configurator_url", "advoware_relay_url", "advoware_security_url",
        "google_api_base_url", "google_token_url", "ui_public_url", "alert_webhook_url",
    )  # fmt: skip
    @classmethod
    def _check_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("write it as a whole address, beginning with https://")
        return value.rstrip("/")

    @field_validator("proxy_api_keys", "api_keys")
    @classmethod
    def _check_keys(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        texts = [key.get_secret_value() for key in keys]
        if not all(text.isascii() and text.isprintable() and text and " " not in text for text in texts):
            raise ValueError("write keys of letters, digits and signs, with commas between them")
        return keys

    @field_validator("advoware_proxy_routes")
    @classmethod
    def _check_routes(cls, changes: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ROUTE_CHANGE.fullmatch(change) for change in changes):
            raise ValueError(
                "write changes like +GET Rechnungen/{id}, -POST Beteiligte or -*, with commas between"
            )
        return changes

    @field_validator("alert_email_to")
    @classmethod
    def _check_mails(cls, mails: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_MAIL.fullmatch(mail) for mail in mails):
            raise ValueError("write mail addresses, with commas between them")
        return mails

    @field_validator("alert_email_from")
    @classmethod
    def _check_mail(cls, mail: str) -> str:
        if mail and not _MAIL.fullmatch(mail):
            raise ValueError("write one mail address")
        return mail

    @field_validator("credentials_expire", mode="after")
    @classmethod
    def _check_credentials(cls, days: dict[str, date]) -> dict[str, date]:
        if not all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in days):
            raise ValueError('write names of settings and days: {"XAI_API_KEY": "2027-01-31"}')
        return days

    @field_validator("termine_fristen")
    @classmethod
    def _check_fristen(cls, rule: str) -> str:
        FristRule.parse(rule)
        return rule

    @field_validator("google_calendars", mode="before")
    @classmethod
    def _parse_calendars(cls, given: Any) -> dict[str, CalendarSetting]:
        return parse_calendars(given)

    @model_validator(mode="after")
    def _read_file(self) -> Self:
        if self.google_calendars_file is not None:
            try:
                self._from_file = read_calendars(self.google_calendars_file)
            except ValueError as error:
                raise SettingsError(
                    f"GOOGLE_CALENDARS_FILE is not usable: {error}. See .env.example."
                ) from None
        return self

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Reads the environment and `.env`; `given` wins over both. Raises SettingsError with one sentence."""
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]).upper() if first["loc"] else "settings"
            if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
                raise SettingsError(
                    f"{name} in .env is not a setting of this project; see .env.example for the names."
                ) from None
            # The value itself may be a key: it is never repeated. Nor is what a person has written where a name belongs.
            inner = "".join(
                f" ({part})" for part in first["loc"][1:] if isinstance(part, int) or part.isidentifier()
            )
            raise SettingsError(
                f"{name}{inner} is not usable: {first['msg'].removeprefix('Value error, ')}. See .env.example."
            ) from None
        except SourceError as error:
            # Its cause repeats the value; of its own words only the setting's name is taken.
            names = [name for name in cls.model_fields if f'"{name}"' in str(error)]
            name = names[0].upper() if names else "A setting"
            raise SettingsError(
                f"{name} is not usable: what stands there is not JSON. See .env.example."
            ) from None

    def require(self, *names: str) -> None:
        """Raises SettingsError naming every one of the given settings that is empty."""
        missing = [name for name in names if not _text(getattr(self, name))]
        if missing:
            listed = ", ".join(name.upper() for name in missing)
            raise SettingsError(f"{listed} must be set: put it into .env (see .env.example).")

    @property
    def has_advoware(self) -> bool:
        """True if Advoware is configured: a key, and an address or the configurator's, which tells the address."""
        has_both = bool(self.advoware_relay_url and self.advoware_security_url)
        has_address = self.advoware_api_base_url or self.advoware_configurator_url or has_both
        return bool(_text(self.advoware_api_key) and has_address)

    @property
    def calendars(self) -> dict[str, CalendarSetting]:
        """Each employee's calendar by Kürzel; the file's as it was when the settings were loaded, where there is one."""
        return self.google_calendars if self._from_file is None else self._from_file

    @property
    def has_calendars(self) -> bool:
        """True if appointments are kept in step: Advoware is there, and somebody has a calendar."""
        return self.has_advoware and bool(self.google_calendars or self.google_calendars_file)

    @property
    def home(self) -> Path:
        """Where Dagster and the embedded state live: DAGSTER_HOME, else `.bitbylaw` in the working folder."""
        return (self.dagster_home or Path(".bitbylaw")).absolute()

    @property
    def database_url(self) -> str:
        """STATE_DB_URL, else SQLite beside DAGSTER_HOME."""
        return self.state_db_url or f"sqlite:///{self.home / 'state.sqlite'}"

    @property
    def retry_ladder(self) -> RetryLadder:
        """The delays of failed work."""
        return RetryLadder(self.retry_first_seconds, self.retry_longest_seconds, self.retry_attempts)

    def owner_type(self, entity_type: str) -> OwnerType | None:
        """The owner type of that name, if it owns collections."""
        return next((owner for owner in self.collection_owners if owner.entity_type == entity_type), None)

    def owner_by_word(self, word: str) -> OwnerType | None:
        """The owner type with that word in its webhook URLs."""
        return next((owner for owner in self.collection_owners if owner.word == word), None)


def _text(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
