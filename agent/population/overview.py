"""Who is in scope, counted by domain and by group, and who waits for a decision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, select

from agent.population.opt_in import digest_of_list
from agent.state.database import batched
from agent.state.tables import desired_group, desired_member, desired_user, entry, ledger_user

COLUMNS = ("email", "domain", "standing", "provisioned", "active", "upstream", "held_back", "dn", "source", "groups")
_BATCH = 500


@dataclass(frozen=True, slots=True)
class ExternalList:
    """The external users that a decision is about.

    digest:   names exactly these people
    numbers:  of their entries
    """

    digest: str
    numbers: tuple[int, ...]


def waiting_list(reader: Connection) -> ExternalList:
    """Return whom an opt-in would let in now."""
    return _list(reader, desired_user.c.awaits)


def admitted_list(reader: Connection) -> ExternalList:
    """Return who is let in, and whom a withdrawal concerns."""
    return _list(reader, desired_user.c.external & desired_user.c.provisioned)


def _list(reader: Connection, who: ColumnElement[bool]) -> ExternalList:
    rows = reader.execute(
        select(entry.c.id, entry.c.source, entry.c.anchor)
        .join(desired_user, desired_user.c.entry_id == entry.c.id)
        .where(who, desired_user.c.active, desired_user.c.problem.is_(None))
        .order_by(entry.c.id)
    ).all()
    return ExternalList(digest_of_list((row.source, row.anchor) for row in rows), tuple(row.id for row in rows))


def totals(reader: Connection) -> dict[str, int]:
    """Count the users in scope, managed and external, and the external ones that would be added."""
    counts = {"managed": 0, "external": 0, "to_add": 0, "waiting": 0}
    for item in by_domain(reader):
        counts[item["standing"]] += item["users"]
        if item["standing"] == "external":
            counts["to_add"] += item["to_add"]
            counts["waiting"] += item["waiting"]
    return counts


def by_domain(reader: Connection) -> list[dict[str, Any]]:
    """Count the users in scope by the domain of the address that is sent."""
    rows = reader.execute(
        select(
            desired_user.c.domain,
            desired_user.c.external,
            desired_user.c.provisioned,
            func.max(desired_user.c.held_back).label("held_back"),
            func.count().label("users"),
            *_TO_COME,
        )
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(desired_user.c.problem.is_(None))
        .group_by(desired_user.c.domain, desired_user.c.external, desired_user.c.provisioned)
        .order_by(desired_user.c.external, func.count().desc(), desired_user.c.domain)
    )
    return [
        {
            "domain": row.domain,
            "standing": _standing(row.external),
            "provisioned": row.provisioned,
            "users": row.users,
            "to_add": row.to_add,
            "waiting": row.waiting,
            "held_back": row.held_back,
        }
        for row in rows
    ]


def by_group(reader: Connection) -> list[dict[str, Any]]:
    """Count managed and external users per selected group, and members that no source can name."""
    rows = reader.execute(
        select(
            desired_group.c.display_name,
            func.count(desired_user.c.entry_id).label("users"),
            func.coalesce(func.sum(case((desired_user.c.external, 1), else_=0)), 0).label("external"),
            desired_group.c.unresolved,
            *_TO_COME,
        )
        .outerjoin(desired_member, desired_member.c.group_id == desired_group.c.entry_id)
        # Of whom nobody knows the address, or who is who, nobody knows whether they are external.
        .outerjoin(
            desired_user,
            and_(desired_user.c.entry_id == desired_member.c.user_id, desired_user.c.problem.is_(None)),
        )
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .group_by(desired_group.c.entry_id, desired_group.c.display_name, desired_group.c.unresolved)
        .order_by(func.lower(desired_group.c.display_name))
    )
    return [
        {
            "group": row.display_name,
            "managed": row.users - row.external,
            "external": row.external,
            "to_add": row.to_add,
            "waiting": row.waiting,
            "unresolved": row.unresolved,
        }
        for row in rows
    ]


def external_users(reader: Connection) -> Iterator[tuple[object, ...]]:
    """Yield every external user in scope, in the order of COLUMNS."""
    query: Select[tuple[object, ...]] = (
        select(desired_user, entry.c.dn, entry.c.source, ledger_user.c.entry_id.is_not(None).label("upstream"))
        .join(entry, entry.c.id == desired_user.c.entry_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(desired_user.c.external, desired_user.c.problem.is_(None))
        .order_by(desired_user.c.domain, desired_user.c.email)
    )
    for some in batched(reader.execute(query).all(), _BATCH):
        groups = _groups_of(reader, [row.entry_id for row in some])
        for row in some:
            yield (
                row.email,
                row.domain,
                _standing(row.external),
                row.provisioned,
                row.active,
                row.upstream,
                row.held_back or "",
                row.dn,
                row.source,
                "; ".join(groups.get(row.entry_id, [])),
            )


def _groups_of(reader: Connection, numbers: list[int]) -> dict[int, list[str]]:
    rows = reader.execute(
        select(desired_member.c.user_id, desired_group.c.display_name)
        .join(desired_group, desired_group.c.entry_id == desired_member.c.group_id)
        .where(desired_member.c.user_id.in_(numbers))
        .order_by(desired_group.c.display_name)
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row.user_id, []).append(row.display_name)
    return found


def _standing(external: bool) -> str:  # noqa: FBT001 - it is the one thing this function is about
    return "external" if external else "managed"


_NEW = ledger_user.c.entry_id.is_(None) & desired_user.c.active & desired_user.c.problem.is_(None)
_TO_COME = (
    func.coalesce(func.sum(case((_NEW & desired_user.c.provisioned, 1), else_=0)), 0).label("to_add"),
    func.coalesce(func.sum(case((_NEW & desired_user.c.awaits, 1), else_=0)), 0).label("waiting"),
)
