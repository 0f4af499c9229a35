"""Two entries that claim the same userName, or two selected groups the same name.

An upstream would refuse one of them, or worse, mix them up. Whoever stands upstream under that name already keeps
it; nobody else with the name is pushed until the directory has been corrected.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlalchemy import Connection, Row, case, null, or_, select, update

from agent.directory.marks import mark
from agent.directory.unread import unread_in
from agent.state.database import batched
from agent.state.tables import desired_group, desired_user, entry, ledger_group, ledger_user

_BATCH = 500
_Rows = list[Row[tuple[object, ...]]]


def settle_user_conflicts(connection: Connection, keys: Collection[str]) -> None:
    """Work out again who may use each of these userNames (casefolded)."""
    for some in batched(sorted(keys), _BATCH):
        # Whose account it is may have been kept for one who claims it no longer.
        owners = select(ledger_user.c.entry_id).where(ledger_user.c.user_name_key.in_(some))
        mark(connection, connection.execute(owners).scalars().all(), references_too=False)
        rows = connection.execute(
            select(
                desired_user.c.entry_id,
                desired_user.c.user_name_key.label("key"),
                desired_user.c.problem,
                entry.c.dn,
                entry.c.source,
                (ledger_user.c.user_name_key == desired_user.c.user_name_key).label("stands"),
                null().label("another_problem"),  # who has one claims no name
            )
            .join(entry, entry.c.id == desired_user.c.entry_id)
            .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
            # A disabled account that was never pushed will not be: it is in nobody's way.
            .where(
                desired_user.c.user_name_key.in_(some),
                desired_user.c.provisioned,
                or_(desired_user.c.active, ledger_user.c.entry_id.is_not(None)),
            )
        ).all()
        _judge(
            connection,
            list(rows),
            desired_user,
            lambda dn, others, key: (
                f"{dn} has the same user name ({key}) as {others}. Two people cannot share one account: give each "
                "an address of its own in the directory."
            ),
        )


def settle_group_conflicts(connection: Connection, keys: Collection[str]) -> None:
    """Work out again who may use each of these group names (casefolded)."""
    rows = connection.execute(
        select(
            desired_group.c.entry_id,
            desired_group.c.display_name_key.label("key"),
            desired_group.c.problem,
            entry.c.dn,
            entry.c.source,
            (ledger_group.c.display_name == desired_group.c.display_name).label("stands"),
            case((unread_in(entry), desired_group.c.problem)).label("another_problem"),
        )
        .join(entry, entry.c.id == desired_group.c.entry_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(desired_group.c.display_name_key.in_(list(keys)), desired_group.c.display_name_key != "")
    ).all()
    _judge(
        connection,
        list(rows),
        desired_group,
        lambda dn, others, key: (
            f"{dn} has the same name ({key}) as {others}. Rename one of them, select only one in [scope] groups, or "
            "name an attribute that tells them apart in [mapping] group_name."
        ),
    )


def _judge(
    connection: Connection,
    rows: _Rows,
    table: type[object] | object,
    sentence: Callable[[str, str, str], str],
) -> None:
    by_key: dict[str, _Rows] = {}
    for row in rows:
        by_key.setdefault(row.key, []).append(row)
    for key, claimants in by_key.items():
        standing = [row.entry_id for row in claimants if row.stands]
        keeper = standing[0] if len(standing) == 1 else None
        for row in claimants:
            several_sources = len({other.source for other in claimants}) > 1
            names = {
                other.entry_id: f"{other.dn} (source {other.source})" if several_sources else other.dn
                for other in claimants
            }
            others = " and ".join(sorted(name for number, name in names.items() if number != row.entry_id))
            free = len(claimants) == 1 or row.entry_id == keeper
            problem = row.another_problem if free else sentence(names[row.entry_id], others, key)
            if problem != row.problem:
                _write(connection, table, row.entry_id, problem)


def _write(connection: Connection, table: object, entry_id: int, problem: str | None) -> None:
    target = desired_user if table is desired_user else desired_group
    connection.execute(update(target).where(target.c.entry_id == entry_id).values(problem=problem))
    mark(connection, [entry_id], references_too=False)
