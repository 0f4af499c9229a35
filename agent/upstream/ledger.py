"""The ledger: what the upstream holds as far as the agent knows.

A row is written as soon as the upstream has acknowledged, never before. Written beforehand is only that something is
about to be sent. If the answer to a create is lost, the next attempt looks before it creates again; if that to a change
is lost, what stands upstream is not known any more, and differs from whatever is wanted next.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update

from agent.directory.marks import mark
from agent.plan.conditions import PUSHABLE
from agent.plan.operations import Address, Operation, Subject
from agent.state.database import State, batched, upsert
from agent.state.facts import write_fact
from agent.state.tables import (
    create_attempt,
    desired_user,
    entry,
    former_account,
    ledger_group,
    ledger_member,
    ledger_user,
    rejected,
)
from agent.upstream.accounts import forget_account, note_account_numbers, pass_on, take_the_place
from agent.upstream.create_attempts import CreateAttempts
from agent.upstream.group_ledger import GroupLedger
from agent.upstream.ledger_rows import UNKNOWN, Origin, naming, now
from agent.upstream.protected import keep_guarded
from agent.upstream.rejections import forget_refusals_of_user, reject

SWITCHED_ON = "in use upstream though deactivated"  # a fact: JSON, user names
_BATCH = 500
_ACCOUNTS = ((ledger_user, False), (former_account, True))


@dataclass(frozen=True, slots=True)
class Account:
    """An account upstream that the ledger knows. `set_aside`: another has taken its place."""

    subject: Subject
    scim_id: str
    external: bool
    anchor: str = ""
    set_aside: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A user or group the ledger holds, with what it is known by: the entry's anchor, and the name upstream."""

    subject: Subject
    scim_id: str
    anchor: str
    name: str
    is_user: bool
    set_aside: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """The entry an object upstream belongs to. `present`: the directory still has it."""

    entry_id: int
    present: bool
    dn: str = ""
    source: str = ""


class Ledger:
    """Writes acknowledgements; of groups, `groups` does, and `creates` knows what was begun.

    Its methods may be called from any push worker.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.groups = GroupLedger(state)
        self.creates = CreateAttempts(state)

    def user_acknowledged(
        self,
        subject: Subject,
        *,
        scim_id: str,
        user_name: str,
        digest: str,
        active: bool,
        origin: Origin,
        address: Address,
        account_number: str | None = None,
    ) -> None:
        """The upstream holds this user with this payload under this id, which may take the place of another."""
        row = {
            "entry_id": subject.entry_id,
            "scim_id": scim_id,
            "digest": digest,
            "active": active,
            "origin": origin.value,
            "acknowledged_at": now(),
            "account_number": account_number,
            "unlinked_at": None,
            "deactivated_at": None if active else now(),
            **naming(user_name, address),
        }
        with self._state.write() as connection:
            take_the_place(connection, subject.entry_id, scim_id)
            upsert(connection, ledger_user, [row])
            keep_guarded(connection, subject.entry_id)
            connection.execute(delete(create_attempt).where(create_attempt.c.entry_id == subject.entry_id))
            forget_refusals_of_user(connection, subject.entry_id)

    def user_change_begins(self, subject: Subject) -> None:
        """A change of a user is about to be sent: its digest is void until the change is acknowledged."""
        with self._state.write() as connection:
            connection.execute(
                update(ledger_user).where(ledger_user.c.entry_id == subject.entry_id).values(digest=UNKNOWN)
            )

    def user_updated(self, subject: Subject, *, user_name: str, digest: str, active: bool, address: Address) -> None:
        """The upstream took an update of a user the ledger knows."""
        since = None if active else now()
        self._user_changed(subject, digest=digest, active=active, deactivated_at=since, **naming(user_name, address))

    def user_deactivated(self, subject: Subject, told: datetime | None = None) -> None:
        """The upstream holds this user as inactive. The digest is void: a return is always an update.

        told:  the upstream's time
        """
        self._user_changed(subject, digest=UNKNOWN, active=False, deactivated_at=now(told))

    def user_let_go(self, subject: Subject) -> None:
        """A user whose account is not ours to deactivate has lost every membership."""
        self._user_changed(subject, active=False)

    def user_returned(self, subject: Subject) -> None:
        """A user whose account is not ours is to have memberships again."""
        self._user_changed(subject, active=True, deactivated_at=None)

    def user_in_use_again(self, subject: Subject) -> None:
        """Somebody else has put the account of a user back into use: the next difference takes it out again."""
        values = {"active": True, "digest": UNKNOWN, "deactivated_at": None}
        with self._state.write() as connection:
            connection.execute(update(ledger_user).where(ledger_user.c.entry_id == subject.entry_id).values(**values))
            mark(connection, [subject.entry_id], references_too=False)

    def user_deleted(self, subject: Subject) -> None:
        """The upstream has deleted this user, because the agent asked for it."""
        with self._state.write() as connection:
            for table in (ledger_member.c.user_id, ledger_user.c.entry_id, rejected.c.entry_id):
                connection.execute(delete(table.table).where(table == subject.entry_id))

    def account_numbers_seen(self, numbers: Mapping[str, str | None]) -> None:
        """The upstream showed these accounts, by SCIM id, with the vendor's own number or without one."""
        with self._state.write() as connection:
            note_account_numbers(connection, numbers)

    @property
    def has_users(self) -> bool:
        """Whether the upstream holds any user of ours."""
        with self._state.read() as connection:
            return connection.execute(select(ledger_user.c.entry_id).limit(1)).first() is not None

    def account_retired(self, scim_id: str) -> None:
        """An account whose place another has taken is not the agent's any more."""
        with self._state.write() as connection:
            forget_account(connection, scim_id)

    def accounts_but(self, scim_ids: AbstractSet[str]) -> list[Account]:
        """Return the accounts of the ledger that are not among these, deactivated ones and those set aside too."""
        with self._state.read() as connection:
            return [
                Account(
                    Subject(row.entry_id, row.user_name), row.scim_id, row.external, row.anchor, set_aside=set_aside
                )
                for table, set_aside in ((ledger_user, False), (former_account, True))
                for row in connection.execute(
                    select(table.c.entry_id, table.c.user_name, table.c.scim_id, table.c.external, entry.c.anchor).join(
                        entry, entry.c.id == table.c.entry_id
                    )
                )
                if row.scim_id not in scim_ids
            ]

    def accounts_in_use(self, active: Mapping[str, bool], *, but_external: bool, restored: bool) -> list[str]:
        """The upstream shows these accounts, by SCIM id, in use or not.

        but_external:  what external users have upstream is theirs, and an invitation is not in use before it is taken
        restored:      the ledger is older than what stands there, so that what was deactivated may be in use rightly

        Who is out of use and is to be in has an account that differs from what is wanted. Returns the user names of
        those whom the ledger has deactivated and who are in use all the same: somebody has switched them on again, or
        the service does not know what `active` means.
        """
        shown = []
        with self._state.write() as connection:
            for some in batched(active, _BATCH):
                held = connection.execute(select(ledger_user).where(ledger_user.c.scim_id.in_(some))).all()
                for row in held:
                    in_use, this = active[row.scim_id], ledger_user.c.scim_id == row.scim_id
                    if row.active and not in_use and not (but_external and row.external):
                        values = {"active": False, "digest": UNKNOWN, "deactivated_at": now()}
                        connection.execute(update(ledger_user).where(this).values(**values))
                    elif in_use and not row.active and row.deactivated_at is not None:
                        if restored:
                            values = {"active": True, "digest": UNKNOWN, "deactivated_at": None}
                            connection.execute(update(ledger_user).where(this).values(**values))
                        else:
                            shown.append(str(row.user_name))
        return shown

    def switched_on(self, user_names: Iterable[str]) -> None:
        """Keep who is in use though deactivated, for whoever is to be told."""
        with self._state.write() as connection:
            write_fact(connection, SWITCHED_ON, json.dumps(sorted(user_names)))

    def account_found_again(self, subject: Subject, scim_id: str, *, active: bool) -> None:
        """The account of a user has another id by now: it was made anew while this state was put aside."""
        self._user_changed(subject, scim_id=scim_id, digest=UNKNOWN, active=active)

    def account(self, scim_id: str) -> Account | None:
        """Return the account of this SCIM id, if it is the agent's."""
        with self._state.read() as connection:
            for table, set_aside in _ACCOUNTS:
                row = connection.execute(
                    select(table.c.entry_id, table.c.user_name, table.c.external).where(table.c.scim_id == scim_id)
                ).first()
                if row is not None:
                    return Account(Subject(row.entry_id, row.user_name), scim_id, row.external, set_aside=set_aside)
        return None

    def user_lost(self, subject: Subject, *, verb: str = "", until_asked: str = "") -> bool:
        """The upstream no longer has this user (404): the next difference creates it again where it is wanted.

        until_asked:  why it is not to be created again before somebody asks for it, as a refusal of `verb`

        Returns whether that is on record now: whom nobody wants waits for nothing.
        """
        with self._state.write() as connection:
            connection.execute(delete(ledger_member).where(ledger_member.c.user_id == subject.entry_id))
            connection.execute(delete(ledger_user).where(ledger_user.c.entry_id == subject.entry_id))
            # It may have been noticed by chance, when nothing of this user was to be changed.
            mark(connection, [subject.entry_id], references_too=False)
            wanted = select(desired_user.c.entry_id).where(desired_user.c.entry_id == subject.entry_id, PUSHABLE)
            waits = bool(until_asked) and connection.execute(wanted).first() is not None
            if waits:
                reject(connection, subject.entry_id, verb, until_asked, until_asked=True)
        return waits

    def user_name_of(self, subject: Subject) -> str | None:
        """Return the user name that this user has upstream."""
        with self._state.read() as connection:
            held = select(ledger_user.c.user_name).where(ledger_user.c.entry_id == subject.entry_id)
            return connection.execute(held).scalar()

    def everything_known(self, *, of_users: bool) -> list[Known]:
        """Return every account of the ledger, those set aside too; or else every group."""
        tables = (ledger_user, former_account) if of_users else (ledger_group,)
        with self._state.read() as connection:
            return [
                Known(
                    Subject(row.entry_id, row.name),
                    row.scim_id,
                    row.anchor,
                    row.name,
                    of_users,
                    table is former_account,
                )
                for table in tables
                for row in connection.execute(
                    select(
                        table.c.entry_id,
                        table.c.scim_id,
                        entry.c.anchor,
                        (table.c.user_name if of_users else table.c.display_name).label("name"),
                    ).join(entry, entry.c.id == table.c.entry_id)
                )
            ]

    def forget(self, known: Known) -> None:
        """This user or group does not stand at this service: it is none of the agent's."""
        if known.set_aside:
            self.account_retired(known.scim_id)
        elif known.is_user:
            self.user_lost(known.subject)
        else:
            self.groups.lost(known.subject)
        with self._state.write() as connection:
            connection.execute(delete(rejected).where(rejected.c.entry_id == known.subject.entry_id))
            mark(connection, [known.subject.entry_id], references_too=False)

    def object_rejected(self, operation: Operation, reason: str, *, final: bool = False) -> datetime:
        """Remember a refusal with its reason. Returns when the next attempt is due."""
        with self._state.write() as connection:
            return reject(
                connection,
                operation.subject.entry_id,
                operation.verb,
                reason,
                digest=getattr(operation, "digest", ""),
                final=final,
            )

    def owner_of(self, scim_id: str) -> Owner | None:
        """Return the entry under which the ledger holds this SCIM id, for a user or a group."""
        with self._state.read() as connection:
            for table in (ledger_user, ledger_group):
                row = connection.execute(
                    select(table.c.entry_id, entry.c.present, entry.c.dn, entry.c.source)
                    .join(entry, entry.c.id == table.c.entry_id)
                    .where(table.c.scim_id == scim_id)
                ).first()
                if row is not None:
                    return Owner(row.entry_id, row.present, row.dn, row.source)
        return None

    def hand_over(self, owner: Owner, subject: Subject) -> None:
        """Let an object whose entry is gone belong to another entry."""
        with self._state.write() as connection:
            theirs = connection.execute(
                select(ledger_user.c.scim_id).where(ledger_user.c.entry_id == owner.entry_id)
            ).scalar()
            if theirs is not None:
                take_the_place(connection, subject.entry_id, theirs)
            pass_on(connection, owner.entry_id, subject.entry_id)

    def _user_changed(self, subject: Subject, **values: object) -> None:
        with self._state.write() as connection:
            connection.execute(
                update(ledger_user)
                .where(ledger_user.c.entry_id == subject.entry_id)
                .values(acknowledged_at=now(), **values)
            )
            forget_refusals_of_user(connection, subject.entry_id)
