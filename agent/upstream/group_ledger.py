"""The part of the ledger that is about groups and their members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, select, update

from agent.plan.operations import Member, Operation, Subject
from agent.state.database import State, upsert
from agent.state.tables import create_attempt, former_member, ledger_group, ledger_member, ledger_user, rejected
from agent.upstream.ledger_rows import UNKNOWN, Origin, now
from agent.upstream.observed_members import observe_members
from agent.upstream.protected import keep_guarded


@dataclass(frozen=True, slots=True)
class LedgerGroup:
    """What the ledger says of one group."""

    scim_id: str
    in_doubt: bool


class GroupLedger:
    """Writes acknowledgements. Its methods may be called from any push worker."""

    def __init__(self, state: State) -> None:
        self._state = state

    def acknowledged(self, subject: Subject, *, scim_id: str, display_name: str, digest: str, origin: Origin) -> None:
        """The upstream holds this group. An adopted one is in doubt until its members have been read."""
        row = {
            "entry_id": subject.entry_id,
            "scim_id": scim_id,
            "display_name": display_name,
            "digest": digest,
            "in_doubt": origin is Origin.ADOPTED,
            "origin": origin.value,
            "acknowledged_at": now(),
        }
        with self._state.write() as connection:
            upsert(connection, ledger_group, [row])
            keep_guarded(connection, subject.entry_id)
            connection.execute(delete(create_attempt).where(create_attempt.c.entry_id == subject.entry_id))
            connection.execute(delete(rejected).where(rejected.c.entry_id == subject.entry_id))

    def change_begins(self, subject: Subject) -> None:
        """A change of a group's name is about to be sent: its digest is void until the change is acknowledged."""
        with self._state.write() as connection:
            connection.execute(
                update(ledger_group).where(ledger_group.c.entry_id == subject.entry_id).values(digest=UNKNOWN)
            )

    def updated(self, operation: Operation, *, display_name: str, digest: str) -> None:
        """The upstream took a new name."""
        with self._state.write() as connection:
            connection.execute(
                update(ledger_group)
                .where(ledger_group.c.entry_id == operation.subject.entry_id)
                .values(display_name=display_name, digest=digest, acknowledged_at=now())
            )
        self._overcome(operation)

    def lost(self, subject: Subject) -> None:
        """The upstream no longer has this group (404)."""
        with self._state.write() as connection:
            for table in (ledger_member, former_member):
                connection.execute(delete(table).where(table.c.group_id == subject.entry_id))
            connection.execute(delete(ledger_group).where(ledger_group.c.entry_id == subject.entry_id))

    def deleted(self, subject: Subject) -> None:
        """The upstream has deleted this group, because the agent asked for it."""
        self.lost(subject)
        with self._state.write() as connection:
            connection.execute(delete(rejected).where(rejected.c.entry_id == subject.entry_id))

    def standing(self, subject: Subject) -> LedgerGroup | None:
        """Return what the ledger says of one group."""
        with self._state.read() as connection:
            row = connection.execute(
                select(ledger_group.c.scim_id, ledger_group.c.in_doubt).where(
                    ledger_group.c.entry_id == subject.entry_id
                )
            ).first()
        return None if row is None else LedgerGroup(row.scim_id, row.in_doubt)

    def members_begin(self, subject: Subject) -> None:
        """A change of members is about to be sent: until it is confirmed, the ledger's list is in doubt."""
        self._set_doubt(subject, in_doubt=True)

    def members_confirmed(self, operation: Operation) -> None:
        """The members upstream have been read back and the ledger agrees with them."""
        self._set_doubt(operation.subject, in_doubt=False)
        self._overcome(operation)

    def members_added(self, subject: Subject, members: Iterable[Member]) -> None:
        """The upstream acknowledged these additions."""
        rows = [{"group_id": subject.entry_id, "user_id": member.entry_id} for member in members]
        with self._state.write() as connection:
            upsert(connection, ledger_member, rows)

    def members_removed(self, subject: Subject, members: Iterable[Member]) -> None:
        """The upstream acknowledged these removals."""
        with self._state.write() as connection:
            for member in members:
                # By the SCIM id: a person whose account was replaced has two of them for a while.
                held = select(ledger_user.c.entry_id).where(ledger_user.c.scim_id == member.scim_id)
                connection.execute(
                    delete(ledger_member).where(
                        ledger_member.c.group_id == subject.entry_id, ledger_member.c.user_id.in_(held)
                    )
                )
                connection.execute(
                    delete(former_member).where(
                        former_member.c.group_id == subject.entry_id, former_member.c.scim_id == member.scim_id
                    )
                )

    def members_observed(self, subject: Subject, scim_ids: frozenset[str]) -> None:
        """Set the ledger's list to what was read upstream. Ids of users that are not the agent's are left out."""
        with self._state.write() as connection:
            observe_members(connection, subject.entry_id, scim_ids)

    def _overcome(self, operation: Operation) -> None:
        """Forget a refusal of the same kind. Another of the same group stays: it has not been tried again."""
        with self._state.write() as connection:
            connection.execute(
                delete(rejected).where(
                    rejected.c.entry_id == operation.subject.entry_id, rejected.c.operation == operation.verb
                )
            )

    def _set_doubt(self, subject: Subject, *, in_doubt: bool) -> None:
        with self._state.write() as connection:
            connection.execute(
                update(ledger_group).where(ledger_group.c.entry_id == subject.entry_id).values(in_doubt=in_doubt)
            )
