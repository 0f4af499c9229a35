"""What stands upstream for entries of sources that are not read any more, as a state that was restored knows them.

Of a source that was taken out of the settings nobody has left, and what stands upstream stays as it is: the lists of
the back-up are older than that, so they are not gone by. A source that got another name is the same directory: whoever
is read under that name goes on with what stands there (agent/directory/former_sources.py), and whoever is listed
nowhere any more, neither by what was read nor by a group upstream of which nothing was read, has left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select, union

from agent.directory.resolution import opened_groups
from agent.directory.second_hand import CATALOGUE
from agent.directory.unread import any_unread, not_read_in, unread_in
from agent.state.tables import create_attempt, desired_group, entry, former_account, ledger_group, ledger_user

_FEW = 5


def left_as_they_stand(reader: Connection, configured: Collection[str], *, asks_catalogue: bool) -> list[str]:
    """Tell of what stands upstream, and nothing was read of since the state was restored.

    asks_catalogue:  a source looks people of other domains up
    """
    if not any_unread(reader):
        return []
    standing = union(
        select(ledger_user.c.entry_id).where(ledger_user.c.active),
        *(select(table.c.entry_id) for table in (ledger_group, create_attempt, former_account)),
    ).subquery()
    of = reader.execute(
        select(entry.c.source)
        .where(entry.c.id.in_(select(standing.c.entry_id)), unread_in(entry))
        .order_by(entry.c.source)
    ).scalars()
    # Of the catalogue it is told by the lists whom it is asked for.
    unread = [name for name in of if name != CATALOGUE or not asks_catalogue]
    return [
        *_sentence(
            [name for name in unread if name in configured],
            "of which nothing was read since the state was restored. Nothing there is changed, or taken away, until "
            "the source shows them or tells that they are gone",
        ),
        *_sentence(
            [name for name in unread if name not in configured],
            "which is not read any more, and was not since the state was restored, so nobody knows who has left. Put "
            "the source back into the settings, or look there for accounts of people who have left; nothing takes "
            "those away",
        ),
        *_groups_that_lose_nobody(reader),
    ]


def _groups_that_lose_nobody(reader: Connection) -> list[str]:
    """Tell of selected groups that are read, with one inside of which nothing was."""
    incomplete = select(desired_group.c.entry_id, desired_group.c.display_name).where(
        desired_group.c.members_complete.is_(False), desired_group.c.problem.is_(None)
    )
    held: list[str] = []
    inside: set[str] = set()
    for group_id, display_name in reader.execute(incomplete.order_by(desired_group.c.display_name)).all():
        opened = opened_groups(group_id)
        unread = select(entry.c.dn, entry.c.source).join(opened, opened.c.id == entry.c.id).where(not_read_in(entry))
        found = {f"{row.dn} of source {row.source}" for row in reader.execute(unread)}
        if found:
            held.append(display_name)
            inside |= found
    if not held:
        return []
    sentence = (
        f"Nobody is taken out of {_few(held)}: {_few(sorted(inside))} is inside, and was not read since the state was "
        "restored, so it may list them. Put the source back into the settings, or take that group out."
    )
    return [sentence]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _sentence(sources: Sequence[str], what: str) -> list[str]:
    if not sources:
        return []
    number = "1 user or group" if len(sources) == 1 else f"{len(sources)} users and groups"
    of = " and ".join(sorted({f"source {name}" for name in sources}))
    return [f"Left as it stands upstream: {number} of {of}, {what}."]
