"""Checks on documents: which of them xAI could not read, and whether anything may leave the firm at all."""

from collections import Counter

import dagster as dg

from bitbylaw_pipeline.domain.egress import EgressRule
from bitbylaw_pipeline.inbox import document_states, egress_switch, remaining, remaining_count
from bitbylaw_pipeline.orchestration.standing_checks import Finding, Moment, StandingCheck


def failed_indexing_check(asset: dg.AssetKey) -> StandingCheck:
    """Warns about documents that xAI holds but could not index: a search will not find them."""

    def look(moment: Moment) -> Finding:
        failed = document_states.failed_index(moment.conn)
        ids = sorted(state.document_id for state in failed)
        says = (
            f"{len(ids)} could not be indexed by xAI: a scan without text, or a type it cannot read."
            if ids
            else "Everything that xAI holds is indexed or being indexed."
        )
        return Finding(not ids, says, {"failed": len(ids)}, ids)

    return StandingCheck(asset, "everything_indexed", "xAI could read every document that it holds.", look)


def egress_check(asset: dg.AssetKey) -> StandingCheck:
    """Says plainly whether documents may leave the firm: off is the default, and the usual reason for nothing happening."""

    def look(moment: Moment) -> Finding:
        if egress_switch.is_stopped(moment.conn):
            return Finding(
                False,
                f"The kill switch is on: nothing leaves the firm. Lift it with {egress_switch.LIFTED_BY}.",
                {"rule": moment.settings.xai_egress.value},
            )
        if moment.settings.xai_egress is EgressRule.OFF:
            says = "XAI_EGRESS is off (or not set): no document leaves the firm. Set it to collection or field to change that."
            return Finding(False, says, {"rule": "off"})
        return Finding(
            True,
            f"Documents leave by the rule {moment.settings.xai_egress.value}.",
            {"rule": moment.settings.xai_egress.value},
        )

    return StandingCheck(
        asset, "egress_is_on", "Documents may leave the firm by an explicit rule (XAI_EGRESS).", look
    )


def permission_check(asset: dg.AssetKey) -> StandingCheck:
    """Warns about what is at xAI although somebody has said no: it stays there until a person erases it.

    What is kept of deleted records is told, too, and is no reason to warn: it is kept by rule, and there is always some.
    """

    def look(moment: Moment) -> Finding:
        # Counted first: something is always kept of deleted records, and to read every document's state for it took four
        # seconds of CPU each minute where there are 100,000.
        forbidden = remaining_count.count_forbidden(moment.conn, moment.settings)
        kept = remaining_count.count(moment.conn, moment.settings) - forbidden
        found = remaining.load(moment.conn, moment.settings) if forbidden else []
        refused = [one for one in found if one.why in remaining.FORBIDDEN]
        counts = Counter(one.why for one in refused)
        says = (
            f"{len(refused)} documents and collections are at xAI without permission: bitbylaw egress remaining lists "
            "them, each with the command that erases it."
            if refused
            else "Nothing is at xAI that somebody has forbidden."
        )
        if kept:
            says += f" {kept} more are kept of records that are gone."
        return Finding(
            not refused,
            says,
            {**{why.value: counts[why] for why in sorted(remaining.FORBIDDEN)}, "kept": kept},
            [one.key for one in refused],
        )

    return StandingCheck(
        asset, "nothing_without_permission", "Nothing is at xAI that somebody has forbidden since.", look
    )
