"""Accounts upstream: to whom they belong, which one took the place of another, and the vendor's numbers of them.

An account is the organisation's own, or the person's. That follows from the address it has upstream, not from the one
it should have; and it changes when a domain is verified or sold, without a word from anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update

from agent.plan.operations import Address
from agent.state.database import batched, upsert
from agent.state.tables import (
    decided_user,
    former_account,
    former_member,
    ledger_group,
    ledger_member,
    ledger_user,
)
from agent.upstream.profile import Profile
from agent.upstream.protected import pass_protection_on

_BATCH = 500
_UNKNOWN = ""


def judge_addresses(connection: Connection, judge: Callable[[str], Address], *, locks_profiles: bool) -> None:
    """Set down anew where the addresses upstream stand, after the policy has changed.

    An account that becomes the organisation's own may have been changed by the person meanwhile: where that could not
    be undone before, its digest is void, so that it is made equal. One that is no longer its own costs no request.
    """
    unjudged = connection.execute(
        select(ledger_user.c.email).where(ledger_user.c.domain == "", ledger_user.c.email != "").distinct()
    ).scalars()
    for email in unjudged.all():
        domain = judge(email).domain
        connection.execute(update(ledger_user).where(ledger_user.c.email == email).values(domain=domain))
    domains = connection.execute(select(ledger_user.c.domain).where(ledger_user.c.domain != "").distinct()).scalars()
    for domain in domains.all():
        blocked = judge(f"@{domain}").blocked
        held = ledger_user.c.domain == domain
        connection.execute(update(ledger_user).where(held, ledger_user.c.blocked != blocked).values(blocked=blocked))
    if not locks_profiles:
        # Let go while the service locked profiles: such an account is in use, and ours to deactivate now.
        let_go = ledger_user.c.active.is_(False), ledger_user.c.deactivated_at.is_(None)
        connection.execute(update(ledger_user).where(*let_go).values(digest=_UNKNOWN, active=True))
    for table in (ledger_user, former_account):
        known = select(table.c.domain, table.c.external, table.c.protected).where(table.c.domain != "").distinct()
        for row in connection.execute(known).all():
            address = judge(f"@{row.domain}")
            if (address.external, address.protected) == (row.external, row.protected):
                continue
            values: dict[str, object] = {"external": address.external, "protected": address.protected}
            if table is ledger_user and locks_profiles and row.external and not address.external:
                # Whoever was let go has an account in use, which is ours to deactivate now.
                values |= {"digest": _UNKNOWN, "active": True}
            connection.execute(
                update(table).where(table.c.domain == row.domain, table.c.external == row.external).values(**values)
            )


def take_the_place(connection: Connection, entry_id: int, scim_id: str) -> None:
    """Before an entry gets another account: set the one it has aside, with its memberships.

    Whoever returns to an account that was set aside has it back with what it is still a member of.
    """
    held = connection.execute(select(ledger_user).where(ledger_user.c.entry_id == entry_id)).first()
    if held is not None and held.scim_id != scim_id:
        connection.execute(
            insert(former_account).values(
                scim_id=held.scim_id,
                entry_id=entry_id,
                user_name=held.user_name,
                domain=held.domain,
                external=held.external,
                protected=held.protected,
                replaced_at=datetime.now(UTC),
            )
        )
        groups = connection.execute(select(ledger_member.c.group_id).where(ledger_member.c.user_id == entry_id))
        rows = [{"group_id": group_id, "scim_id": held.scim_id} for group_id in groups.scalars()]
        for some in batched(rows, _BATCH):
            connection.execute(insert(former_member), some)
        connection.execute(delete(ledger_member).where(ledger_member.c.user_id == entry_id))
        connection.execute(delete(ledger_user).where(ledger_user.c.entry_id == entry_id))
    groups = connection.execute(select(former_member.c.group_id).where(former_member.c.scim_id == scim_id))
    rows = [{"group_id": group_id, "user_id": entry_id} for group_id in groups.scalars()]
    for some in batched(rows, _BATCH):
        upsert(connection, ledger_member, some)
    forget_account(connection, scim_id)


def pass_on(connection: Connection, before: int, now: int) -> None:
    """Let an object belong to another entry, memberships included, unless that one has one already.

    A deactivated account of the other entry is no obstacle to one in use: the two change places. The memberships stay
    on record, so that those the new entry does not have are removed like any other.
    """
    if _change_places(connection, before, now):
        _pass_on_decision(connection, before, now)
        pass_protection_on(connection, before, now)
        return
    for table in (ledger_user, ledger_group):
        if connection.execute(select(table.c.entry_id).where(table.c.entry_id == now)).first():
            return
    for column in (ledger_member.c.user_id, ledger_member.c.group_id):
        connection.execute(update(ledger_member).where(column == before).values({column.name: now}))
    for table in (ledger_user, ledger_group):
        connection.execute(update(table).where(table.c.entry_id == before).values(entry_id=now))
    connection.execute(update(former_account).where(former_account.c.entry_id == before).values(entry_id=now))
    connection.execute(update(former_member).where(former_member.c.group_id == before).values(group_id=now))
    _pass_on_decision(connection, before, now)
    pass_protection_on(connection, before, now)


def _pass_on_decision(connection: Connection, before: int, now: int) -> None:
    """What was decided about the person holds for the entry that has the account now."""
    decided = select(decided_user.c.decision_id).where(decided_user.c.entry_id == before)
    if (number := connection.execute(decided).scalar()) is not None:
        upsert(connection, decided_user, [{"entry_id": now, "decision_id": number}])


def _change_places(connection: Connection, before: int, now: int) -> bool:
    """Give an entry whose account is deactivated the account in use of another. False: it is not so."""
    rows = {
        row.entry_id: dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
        for row in connection.execute(select(ledger_user).where(ledger_user.c.entry_id.in_((before, now))))
    }
    if len(rows) != 2 or not rows[before]["active"] or rows[now]["active"]:  # noqa: PLR2004 - one account each
        return False
    held = connection.execute(select(ledger_member).where(ledger_member.c.user_id.in_((before, now)))).all()
    other = {before: now, now: before}
    for table, column in ((ledger_member, ledger_member.c.user_id), (ledger_user, ledger_user.c.entry_id)):
        connection.execute(delete(table).where(column.in_((before, now))))
    connection.execute(insert(ledger_user), [{**row, "entry_id": other[number]} for number, row in rows.items()])
    upsert(connection, ledger_member, [{"group_id": row.group_id, "user_id": other[row.user_id]} for row in held])
    return True


def forget_account(connection: Connection, scim_id: str) -> None:
    """Let go of an account that was set aside."""
    connection.execute(delete(former_member).where(former_member.c.scim_id == scim_id))
    connection.execute(delete(former_account).where(former_account.c.scim_id == scim_id))


def note_account_numbers(connection: Connection, numbers: Mapping[str, str | None]) -> None:
    """Record the vendor's numbers of accounts, by SCIM id. One that was there and is not any more is noted as such."""
    rows = connection.execute(
        select(ledger_user.c.scim_id, ledger_user.c.account_number, ledger_user.c.unlinked_at).where(
            ledger_user.c.scim_id.in_(list(numbers))
        )
    ).all()
    for row in rows:
        number = numbers[row.scim_id]
        missing = number is None and row.account_number is not None
        unlinked_at = (row.unlinked_at or datetime.now(UTC)) if missing else None
        values = {"account_number": number or row.account_number, "unlinked_at": unlinked_at}
        if (values["account_number"], unlinked_at) != (row.account_number, row.unlinked_at):
            connection.execute(update(ledger_user).where(ledger_user.c.scim_id == row.scim_id).values(**values))


def account_number(profile: Profile, resource: Mapping[str, object]) -> str | None:
    """Return the vendor's own number of an account, from the extension whose URN begins as the profile says."""
    for schema, extension in resource.items():
        if profile.account_schema and schema.startswith(profile.account_schema) and isinstance(extension, dict):
            number = extension.get(profile.account_number)
            return str(number) if number else None
    return None
