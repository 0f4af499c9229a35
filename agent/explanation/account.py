"""What the upstream holds of a person, what was tried last, and what it answered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select

from agent.explanation.facts import Account, Attempt, FormerAccount, Refusal
from agent.explanation.person import PersonKnown, label_of
from agent.observe.audit_search import members_of
from agent.observe.audit_tail import last_records
from agent.state.tables import desired_user, entry, former_account, former_member, ledger_group, rejected
from agent.upstream.rejections import FINAL_WAIT

_ATTEMPTS = 8
# Whatever is due later than that waits for somebody to ask for it (agent/upstream/ledger.py).
_LATER_THAN_ANY = FINAL_WAIT + timedelta(days=365)
_Row = Row[tuple[Any, ...]]


def account_seen(known: PersonKnown, groups: Sequence[_Row]) -> Account | None:
    """Describe the account, as far as the upstream has acknowledged it."""
    row = known.account
    if row is None:
        return None
    return Account(
        scim_id=row.scim_id,
        user_name=row.user_name,
        email=row.email,
        active=row.active,
        origin=row.origin,
        acknowledged_at=row.acknowledged_at,
        external=row.external,
        protected=row.protected,
        guarded=row.guarded,
        deactivated_at=row.deactivated_at,
        unlinked_at=row.unlinked_at,
        groups=tuple(sorted((label_of(group) for group in groups if group.upstream), key=str.casefold)),
    )


def former_accounts_seen(reader: Connection, known: PersonKnown) -> tuple[FormerAccount, ...]:
    """Describe the accounts that this person's present one has replaced."""
    found = []
    for row in reader.execute(
        select(former_account)
        .where(former_account.c.entry_id.in_(known.numbers))
        .order_by(former_account.c.replaced_at, former_account.c.scim_id)
    ).all():
        names = select(ledger_group.c.display_name).join(
            former_member, former_member.c.group_id == ledger_group.c.entry_id
        )
        held = reader.execute(names.where(former_member.c.scim_id == row.scim_id)).scalars()
        found.append(FormerAccount(row.scim_id, row.user_name, row.replaced_at, tuple(sorted(held, key=str.casefold))))
    return tuple(found)


def refusals_seen(reader: Connection, numbers: Collection[int]) -> tuple[Refusal, ...]:
    """Describe what the upstream refused of these entries, of each the latest first."""
    rows = reader.execute(
        select(rejected, entry.c.dn, ledger_group.c.display_name, desired_user.c.user_name)
        .join(entry, entry.c.id == rejected.c.entry_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == rejected.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == rejected.c.entry_id)
        .where(rejected.c.entry_id.in_(numbers))
        .order_by(rejected.c.entry_id, rejected.c.last_at.desc(), rejected.c.operation)
    )
    return tuple(
        Refusal(
            operation=row.operation,
            object=row.user_name or row.display_name or row.dn,
            reason=row.reason,
            attempts=row.attempts,
            first_at=row.first_at,
            next_attempt_at=next_attempt_of(row),
            final=row.final,
        )
        for row in rows
    )


def next_attempt_of(refusal: _Row) -> datetime | None:
    """Return when something that was refused is tried again; None: not before somebody asks for it."""
    at: datetime = refusal.next_attempt_at
    return None if at - refusal.first_at > _LATER_THAN_ANY else at


def _cause(record: dict[str, Any], numbers: Collection[int]) -> str:
    """Return why it was done, of a change of members for these entries alone."""
    own = {str(member.get("cause") or "") for member in members_of(record) if member.get("entry") in numbers}
    return "; ".join(sorted(own - {""})) or str(record.get("cause", ""))


def attempts_seen(directory: Path, numbers: Collection[int]) -> tuple[tuple[Attempt, ...], bool]:
    """Return the last records of the audit trail, and whether no older ones were left unread."""
    try:
        last = last_records(directory, numbers, _ATTEMPTS)
    except OSError as error:
        said = f"the audit trail cannot be read: {error.strerror}. Run as the service account"
        return (Attempt("", "", "", "unknown", said, ""),), False
    attempts = tuple(
        Attempt(
            at=str(record.get("at", "")),
            verb=str(record.get("verb", "")),
            object=str(record.get("label", "")),
            result=str(record.get("result", "")),
            detail=str(record.get("detail", "")),
            cause=_cause(record, numbers),
        )
        for record in last.records
    )
    return attempts, last.reaches_back
