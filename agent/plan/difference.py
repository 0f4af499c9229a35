"""The difference between what should be and the ledger, for whatever is marked.

Each phase is one query. It is asked again when its turn comes, so that it sees what the phases before it have
achieved: a membership is sent only when both its ends stand upstream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby

import orjson
from sqlalchemy import Connection, Integer, Row, bindparam, select

from agent.plan.conditions import Query, Within, union_of
from agent.plan.emptied_groups import is_emptied
from agent.plan.leavers import NEVER, Grace, groups_to_delete, users_to_delete
from agent.plan.locks import UNLOCKED, Locks
from agent.plan.member_queries import members_to_add, members_to_remove
from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    DeleteGroup,
    DeleteUser,
    Member,
    Operation,
    Phase,
    ReadMembers,
    RemoveMembers,
    RetireAccount,
    Subject,
    UpdateGroup,
)
from agent.plan.queries import (
    accounts_to_retire,
    groups_in_doubt,
    groups_to_create,
    groups_to_create_for,
    groups_to_update,
    lists_are_known,
    users_to_deactivate,
    users_to_push,
)
from agent.plan.user_operations import user_operations
from agent.plan.waiting import Retry, Waiting
from agent.state.database import State, batched
from agent.state.tables import desired_group, ledger_group

_BATCH = 500
_GROUP = bindparam("one_group", type_=Integer)
_Row = Row[tuple[object, ...]]


class Difference:
    """The operations that would make the upstream equal to the desired state.

    retry:    what of that which was refused is tried
    sources:  the names of those that are configured
    about:    the number of the one user that is asked for: operations on that user, and on the members of groups that
              the user joins or leaves, as far as they concern the user
    """

    def __init__(
        self,
        state: State,
        *,
        retry: Retry = Retry.WHEN_DUE,
        locks: Locks = UNLOCKED,
        sources: Collection[str] = (),
        grace: Grace = NEVER,
        about: int | None = None,
    ) -> None:
        self._state = state
        self._about = about
        self._sources = sources
        self._locks = locks
        self._grace = grace
        self.waiting = Waiting(state, retry)

    def operations(self, phase: Phase, *, foresee: bool = False, waiting_too: bool = False) -> Iterator[Operation]:
        """Yield the operations of one phase; with `waiting_too`, also those whose next attempt is not due yet.

        With `foresee`, memberships whose ends do not stand upstream yet are included (with an empty SCIM id): that
        is what a plan shows. Rows are fetched before they are yielded, so the ledger may change meanwhile.
        """
        for operation in self._all(phase, foresee=foresee, waiting_too=waiting_too):
            if waiting_too or self.waiting.lets_through(operation):
                yield operation

    def _all(self, phase: Phase, *, foresee: bool, waiting_too: bool) -> Iterator[Operation]:
        match phase:
            case Phase.USERS:
                yield from user_operations(self._state, self._numbers(users_to_push(self._locks)), self._locks)
            case Phase.GROUPS:
                yield from self._groups()
            case Phase.ADD_MEMBERS:
                adding = set()
                for operation in self._members(
                    partial(members_to_add, foresee=foresee, locks=self._locks), AddMembers, waiting_too=waiting_too
                ):
                    adding.add(operation.subject.entry_id)
                    yield operation
                yield from self._doubts(but=adding)
            case Phase.REMOVE_MEMBERS:
                for removal in self._members(
                    partial(members_to_remove, locks=self._locks), RemoveMembers, waiting_too=waiting_too
                ):
                    if isinstance(removal, RemoveMembers):
                        yield replace(removal, empties=self._empties(removal, foresee=foresee))
            case Phase.DEACTIVATE_USERS:
                yield from self._deactivations(foresee=foresee)
                yield from self._retirements(foresee=foresee)
            case Phase.DELETE_GROUPS:
                groups = partial(groups_to_delete, in_doubt_too=foresee)
                yield from self._deletions(groups, DeleteGroup, "not selected since")
            case Phase.DELETE_USERS:
                # Somebody may be listed where nobody could look.
                if self._every_list_read(foresee=foresee):
                    yield from self._deletions(users_to_delete, DeleteUser, "inactive and in no group since")

    def _numbers(self, query: Query) -> list[int]:
        if self._about is not None:
            asked = query.subquery()
            query = select(asked).where(asked.c[0] == self._about)
        return self._sorted(query)

    def _sorted(self, query: Query) -> list[int]:
        with self._state.read() as connection:
            return sorted(connection.execute(query).scalars().all())  # type: ignore[arg-type]

    def _groups(self) -> Iterator[Operation]:
        numbers = self._sorted(union_of(groups_to_create(), groups_to_update()))
        if self._about is not None:
            numbers = self._sorted(groups_to_create_for(self._about))
        for some in batched(numbers, _BATCH):
            with self._state.read() as connection:
                rows = connection.execute(
                    select(desired_group, ledger_group.c.scim_id)
                    .outerjoin(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
                    .where(desired_group.c.entry_id.in_(some))
                    .order_by(desired_group.c.entry_id)
                ).all()
            for row in rows:
                subject = Subject(row.entry_id, row.display_name)
                payload: Mapping[str, object] = orjson.loads(row.payload)
                if row.scim_id is None:
                    yield CreateGroup(subject, payload, row.digest)
                else:
                    yield UpdateGroup(subject, row.scim_id, payload, row.digest)

    def _members(
        self,
        query: Callable[[Within], Query],
        operation: type[AddMembers | RemoveMembers],
        *,
        waiting_too: bool,
    ) -> Iterator[AddMembers | RemoveMembers]:
        for group_id, rows in self._member_rows(query, operation.verb):
            for (name, scim_id), same in groupby(rows, key=lambda row: (row.label, row.group_scim_id)):
                members = tuple(
                    Member(row.user_id, row.user_scim_id or "", getattr(row, "cause", ""))
                    for row in same
                    # Whose account waits for another attempt joins nothing before.
                    if waiting_too or row.user_scim_id or not self.waiting.holds(row.user_id, CreateUser.verb)
                )
                if not members:
                    continue
                listed = ",".join(str(member.entry_id) for member in members)
                digest = hashlib.sha256(f"{operation.verb}:{listed}".encode()).hexdigest()
                yield operation(Subject(group_id, name), scim_id or "", members, digest)

    def _member_rows(self, query: Callable[[Within], Query], verb: str) -> Iterator[tuple[int, Sequence[_Row]]]:
        every = query(None).subquery()
        if self._about is None:
            numbers = self._sorted(select(every.c.group_id).distinct())
            yield from zip(numbers, self._of_groups(query, numbers), strict=True)
            return
        with self._state.read() as connection:
            mine = connection.execute(select(every).where(every.c.user_id == self._about)).all()
        for group_id in sorted({row.group_id for row in mine}):
            if self.waiting.holds(group_id, verb):  # which depends on the whole
                yield group_id, next(self._of_groups(query, [group_id]))
            else:
                yield group_id, [row for row in mine if row.group_id == group_id]

    def _of_groups(self, query: Callable[[Within], Query], numbers: Iterable[int]) -> Iterator[Sequence[_Row]]:
        # One group is looked up by its number inside the query: a database asked for one group of the whole
        # answer would work out the whole answer once for every group.
        pairs = query(_GROUP).subquery()
        in_order = select(pairs).order_by(pairs.c.user_id)
        for number in numbers:
            with self._state.read() as connection:
                rows = connection.execute(in_order, {_GROUP.key: number}).all()
            yield rows

    def _empties(self, removal: RemoveMembers, *, foresee: bool) -> bool:
        group_id = removal.subject.entry_id
        with self._state.read() as connection:
            return is_emptied(connection, group_id, removal.members, locks=self._locks, foresee=foresee)

    def _doubts(self, but: set[int]) -> Iterator[Operation]:
        if self._about is not None:
            return
        with self._state.read() as connection:
            rows = connection.execute(
                select(ledger_group.c.entry_id, ledger_group.c.display_name, ledger_group.c.scim_id)
                .where(ledger_group.c.entry_id.in_(groups_in_doubt()))
                .order_by(ledger_group.c.entry_id)
            ).all()
        for row in rows:
            if row.entry_id not in but:  # who adds members reads the group anyway
                yield ReadMembers(Subject(row.entry_id, row.display_name), row.scim_id)

    def _deactivations(self, *, foresee: bool) -> Iterator[Operation]:
        unlisted_too = self._every_list_read(foresee=foresee)
        query = users_to_deactivate(self._locks, unlisted_too=unlisted_too).subquery()
        for some in batched(self._numbers(select(query.c.entry_id)), _BATCH):
            with self._state.read() as connection:
                rows = connection.execute(
                    select(query).where(query.c.entry_id.in_(some)).order_by(query.c.entry_id)
                ).all()
            for row in rows:
                yield DeactivateUser(
                    Subject(row.entry_id, row.label),
                    row.scim_id,
                    row.cause,
                    locked=bool(row.locked),
                    out_of_use=bool(row.out_of_use),
                )

    def _deletions(
        self,
        query: Callable[[Connection, Grace], list[_Row]],
        operation: type[DeleteUser | DeleteGroup],
        what: str,
    ) -> Iterator[Operation]:
        with self._state.read() as connection:
            rows = query(connection, self._grace)
        for row in rows:
            if self._about is None or self._about == row.entry_id:
                yield operation(
                    Subject(row.entry_id, row.label), row.scim_id, f"{what} {row.since:%Y-%m-%d} ([leavers])"
                )

    def _every_list_read(self, *, foresee: bool) -> bool:
        """Tell whether somebody who is listed nowhere, as far as is known, is listed nowhere indeed."""
        with self._state.read() as connection:
            return lists_are_known(connection, self._sources, foresee=foresee)

    def _retirements(self, *, foresee: bool) -> Iterator[Operation]:
        with self._state.read() as connection:
            rows = connection.execute(accounts_to_retire(foresee=foresee)).all()
        for row in rows:
            if self._about not in {None, row.entry_id}:
                continue
            cause = f"replaced: the address of this person is another one since {row.replaced_at:%Y-%m-%d}"
            yield RetireAccount(
                Subject(row.entry_id, row.user_name), row.scim_id, cause, self._locks.profile and row.external
            )
