"""Keeps all asset checks up to date."""

from bitbylaw_pipeline.defs import (
    advoware_drift,
    advoware_pass,
    akten,
    bankverbindungen,
    beteiligte,
    collections,
    documents,
    reconciliation,
    termine,
    termine_audit,
)
from bitbylaw_pipeline.orchestration.standing_checks import build_check_sensor

standing_checks = build_check_sensor(
    (
        *collections.checks,
        *documents.checks,
        *reconciliation.checks,
        *beteiligte.checks,
        *bankverbindungen.checks,
        *akten.checks,
        *advoware_pass.checks,
        *advoware_drift.checks,
        *termine.checks,
        *termine_audit.checks,
    )
)
