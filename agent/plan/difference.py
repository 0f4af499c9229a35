"""The difference between what should be and the ledger, for whatever is marked.

Each phase is one query. It is asked again when its turn comes, so that it sees what the phases before it have
achieved: a membership is sent only when both its ends stand upstream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import groupby

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    false,
    func,
    or_,
    select,
    true,
    union,
)

from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    Member,
    Operation,
    Phase,
    ReadMembers,
    RemoveMembers,
    Subject,
    UpdateGroup,
    UpdateUser,
)
from agent.state.database import State, batched
from agent.state.tables import (
    create_attempt,
    desired_group,
    desired_member,
    desired_user,
    entry,
    ledger_group,
    ledger_member,
    ledger_user,
    mark,
    rejected,
    same_person,
)

_BATCH = 500
_Query = Select[tuple[object, ...]]
_Row = Row[tuple[object, ...]]
_Within = int | None  # the number of the one group that is asked for

# A user that can be pushed as it is. One with a problem stays upstream as it stands: a missing address is no proof
# that somebody left.
_PUSHABLE = and_(desired_user.c.problem.is_(None), desired_user.c.provisioned, desired_user.c.active)


class Difference:
    """The operations that would make the upstream equal to the desired state.

    retry_at_once: also what was rejected and whose next attempt is not due yet.
    """

    def __init__(self, state: State, *, retry_at_once: bool) -> None:
        self._state = state
        self._waiting = {} if retry_at_once else _rejected_and_not_due(state)

    def operations(self, phase: Phase, *, foresee: bool = False, waiting_too: bool = False) -> Iterator[Operation]:
        """Yield the operations of one phase; with `waiting_too`, also those whose next attempt is not due yet.

        With `foresee`, memberships whose ends do not stand upstream yet are included (with an empty SCIM id): that
        is what a plan shows. Rows are fetched before they are yielded, so the ledger may change meanwhile.
        """
        for operation in self._all(phase, foresee=foresee):
            if waiting_too or self.due(operation):
                yield operation

    def due(self, operation: Operation) -> bool:
        """Tell whether an operation may be tried now: it was not refused, or long enough ago, or is another now."""
        waiting = self._waiting.get(operation.subject.entry_id)
        return waiting is None or waiting != getattr(operation, "digest", "")

    def _all(self, phase: Phase, *, foresee: bool) -> Iterator[Operation]:
        match phase:
            case Phase.USERS:
                yield from self._users()
            case Phase.GROUPS:
                yield from self._groups()
            case Phase.ADD_MEMBERS:
                adding = set()
                for operation in self._members(partial(members_to_add, foresee=foresee), AddMembers):
                    adding.add(operation.subject.entry_id)
                    yield operation
                yield from self._doubts(but=adding)
            case Phase.REMOVE_MEMBERS:
                yield from self._members(members_to_remove, RemoveMembers)
            case Phase.DEACTIVATE_USERS:
                yield from self._deactivations()

    def _numbers(self, query: _Query) -> list[int]:
        with self._state.read() as connection:
            return sorted(connection.execute(query).scalars().all())  # type: ignore[arg-type]

    def _users(self) -> Iterator[Operation]:
        numbers = self._numbers(union_of(users_to_create(), users_to_update()))
        for some in batched(numbers, _BATCH):
            with self._state.read() as connection:
                rows = connection.execute(
                    select(desired_user, ledger_user.c.scim_id, create_attempt.c.started_at)
                    .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
                    .outerjoin(create_attempt, create_attempt.c.entry_id == desired_user.c.entry_id)
                    .where(desired_user.c.entry_id.in_(some))
                    .order_by(desired_user.c.entry_id)
                ).all()
            for row in rows:
                subject = Subject(row.entry_id, row.user_name)
                payload: Mapping[str, object] = orjson.loads(row.payload)
                if row.scim_id is None:
                    yield CreateUser(subject, payload, row.digest, attempted=row.started_at is not None)
                else:
                    yield UpdateUser(subject, row.scim_id, payload, row.digest)

    def _groups(self) -> Iterator[Operation]:
        for some in batched(self._numbers(union_of(groups_to_create(), groups_to_update())), _BATCH):
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
        self, query: Callable[[_Within], _Query], operation: type[AddMembers | RemoveMembers]
    ) -> Iterator[AddMembers | RemoveMembers]:
        for group_id in self._numbers(select(query(None).subquery().c.group_id).distinct()):
            # One group is looked up by its number inside the query: a database asked for one group of the whole
            # answer would work out the whole answer once for every group.
            pairs = query(group_id).subquery()
            with self._state.read() as connection:
                rows = connection.execute(select(pairs).order_by(pairs.c.user_id)).all()
            for (name, scim_id), same in groupby(rows, key=lambda row: (row.label, row.group_scim_id)):
                members = tuple(Member(row.user_id, row.user_scim_id or "") for row in same)
                listed = ",".join(str(member.entry_id) for member in members)
                digest = hashlib.sha256(f"{operation.verb}:{listed}".encode()).hexdigest()
                yield operation(Subject(group_id, name), scim_id or "", members, digest)

    def _doubts(self, but: set[int]) -> Iterator[Operation]:
        with self._state.read() as connection:
            rows = connection.execute(
                select(ledger_group.c.entry_id, ledger_group.c.display_name, ledger_group.c.scim_id)
                .where(ledger_group.c.entry_id.in_(groups_in_doubt()))
                .order_by(ledger_group.c.entry_id)
            ).all()
        for row in rows:
            if row.entry_id not in but:  # who adds members reads the group anyway
                yield ReadMembers(Subject(row.entry_id, row.display_name), row.scim_id)

    def _deactivations(self) -> Iterator[Operation]:
        query = users_to_deactivate().subquery()
        for some in batched(self._numbers(select(query.c.entry_id)), _BATCH):
            with self._state.read() as connection:
                rows = connection.execute(
                    select(query).where(query.c.entry_id.in_(some)).order_by(query.c.entry_id)
                ).all()
            for row in rows:
                yield DeactivateUser(Subject(row.entry_id, row.label), row.scim_id, row.cause)


def users_to_create() -> _Query:
    """Select the users that should stand upstream and do not."""
    return (
        select(desired_user.c.entry_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(_marked(desired_user.c.entry_id), ledger_user.c.entry_id.is_(None), _PUSHABLE)
    )


def users_to_update() -> _Query:
    """Select the users that stand upstream otherwise than they should, the inactive who return among them."""
    return (
        select(desired_user.c.entry_id)
        .join(ledger_user, ledger_user.c.entry_id == desired_user.c.entry_id)
        .where(
            _marked(desired_user.c.entry_id),
            _PUSHABLE,
            or_(ledger_user.c.digest != desired_user.c.digest, ledger_user.c.active.is_(false())),
        )
    )


def groups_to_create() -> _Query:
    """Select the selected groups that do not stand upstream."""
    return (
        select(desired_group.c.entry_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(_marked(desired_group.c.entry_id), ledger_group.c.entry_id.is_(None), desired_group.c.problem.is_(None))
    )


def groups_to_update() -> _Query:
    """Select the groups whose name changed."""
    return (
        select(desired_group.c.entry_id)
        .join(ledger_group, ledger_group.c.entry_id == desired_group.c.entry_id)
        .where(
            _marked(desired_group.c.entry_id),
            ledger_group.c.digest != desired_group.c.digest,
            desired_group.c.problem.is_(None),
        )
    )


def groups_in_doubt() -> _Query:
    """Select the groups whose members upstream are not known: a change was begun and its outcome is not recorded."""
    return select(ledger_group.c.entry_id).where(_marked(ledger_group.c.entry_id), ledger_group.c.in_doubt)


def members_to_add(within: _Within = None, *, foresee: bool) -> _Query:
    """Select the memberships that are missing upstream, of one group or of all, with the SCIM ids of both ends."""
    both_ends = and_(ledger_group.c.entry_id.is_not(None), ledger_user.c.active)
    query = (
        select(
            desired_member.c.group_id,
            desired_member.c.user_id,
            desired_group.c.display_name.label("label"),
            ledger_group.c.scim_id.label("group_scim_id"),
            ledger_user.c.scim_id.label("user_scim_id"),
        )
        .join(desired_group, desired_group.c.entry_id == desired_member.c.group_id)
        .join(desired_user, desired_user.c.entry_id == desired_member.c.user_id)
        .outerjoin(ledger_group, ledger_group.c.entry_id == desired_member.c.group_id)
        .outerjoin(ledger_user, ledger_user.c.entry_id == desired_member.c.user_id)
        .outerjoin(
            ledger_member,
            and_(
                ledger_member.c.group_id == desired_member.c.group_id,
                ledger_member.c.user_id == desired_member.c.user_id,
            ),
        )
        .where(
            ledger_member.c.group_id.is_(None),
            desired_group.c.problem.is_(None),
            _PUSHABLE,
            true() if foresee else both_ends,
            true() if within is None else desired_member.c.group_id == within,
        )
    )
    return union_of(
        query.where(_marked(desired_member.c.group_id)),
        query.where(_marked(desired_member.c.user_id)),
    )


def members_to_remove(within: _Within = None) -> _Query:
    """Select the memberships upstream that the directory proves to be over, of one group or of all.

    A group that is still selected loses members only when its own list and every nested one is complete
    (invariant 2); one that is gone or no longer selected loses them all.
    """
    listed = and_(
        desired_member.c.group_id == ledger_member.c.group_id, desired_member.c.user_id == ledger_member.c.user_id
    )
    left = and_(
        desired_member.c.group_id.is_(None),
        or_(desired_group.c.entry_id.is_(None), desired_group.c.members_complete),
        ~_claimed(ledger_member.c.group_id),
    )
    skipped = and_(desired_member.c.group_id.is_not(None), desired_user.c.provisioned.is_(false()))
    query = (
        select(
            ledger_member.c.group_id,
            ledger_member.c.user_id,
            ledger_group.c.display_name.label("label"),
            ledger_group.c.scim_id.label("group_scim_id"),
            ledger_user.c.scim_id.label("user_scim_id"),
        )
        .join(ledger_group, ledger_group.c.entry_id == ledger_member.c.group_id)
        .join(ledger_user, ledger_user.c.entry_id == ledger_member.c.user_id)
        .outerjoin(desired_member, listed)
        .outerjoin(desired_group, desired_group.c.entry_id == ledger_member.c.group_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_member.c.user_id)
        .where(or_(left, skipped), true() if within is None else ledger_member.c.group_id == within)
    )
    return union_of(
        query.where(_marked(ledger_member.c.group_id)),
        query.where(_marked(ledger_member.c.user_id)),
    )


def users_to_deactivate() -> _Query:
    """Select the active users upstream who should not be, with the cause in words."""
    leader = entry.alias("leader")
    cause = case(
        (entry.c.present.is_(false()), entry.c.gone_evidence),
        (leader.c.id.is_not(None), "the same person as " + leader.c.dn + " ([same_person] by), whose account stays"),
        (desired_user.c.entry_id.is_(None), "no longer a member of any selected group"),
        (desired_user.c.active.is_(false()), "disabled in the directory"),
        else_="external, and the policy is to skip external users",
    )
    return (
        select(
            ledger_user.c.entry_id,
            ledger_user.c.scim_id,
            ledger_user.c.user_name.label("label"),
            cause.label("cause"),
        )
        .join(entry, entry.c.id == ledger_user.c.entry_id)
        .outerjoin(desired_user, desired_user.c.entry_id == ledger_user.c.entry_id)
        .outerjoin(same_person, same_person.c.entry_id == ledger_user.c.entry_id)
        .outerjoin(leader, and_(leader.c.id == same_person.c.leader_id, leader.c.id != ledger_user.c.entry_id))
        .where(
            _marked(ledger_user.c.entry_id),
            ledger_user.c.active,
            or_(
                and_(desired_user.c.entry_id.is_(None), or_(entry.c.present.is_(false()), ~_claimed())),
                desired_user.c.provisioned.is_(false()),
                desired_user.c.active.is_(false()),
            ),
        )
    )


def _claimed(group_id: Column[int] | None = None) -> ColumnElement[bool]:
    """Ask whether an entry of another source claims this account by its user name: in that group, or in any.

    It is not pushed, because the account belongs to an entry that is there; but both may be one person, whom
    [same_person] does not connect (any more). So that nobody is listed under this name is not proven.
    """
    claim, led = desired_user.alias("claim"), same_person.alias("led")
    claimant, owner = entry.alias("claimant"), entry.alias("owner")
    listed = select(desired_member.c.group_id).where(
        desired_member.c.group_id == group_id, desired_member.c.user_id == claim.c.entry_id
    )
    return (
        select(claim.c.entry_id)
        .join(claimant, claimant.c.id == claim.c.entry_id)
        .join(owner, owner.c.source != claimant.c.source)
        .where(
            claim.c.user_name_key == func.lower(ledger_user.c.user_name),
            owner.c.id == ledger_user.c.entry_id,
            # Who leads the owner has an account of its own.
            claim.c.entry_id.not_in(select(led.c.leader_id).where(led.c.entry_id == ledger_user.c.entry_id)),
            true() if group_id is None else listed.correlate(claim, ledger_member).exists(),
        )
        .correlate(ledger_user, ledger_member)
        .exists()
    )


def settle_marks(connection: Connection) -> None:
    """Take the mark off everything that agrees with the ledger now, and forget rejections that are overcome."""
    adds, removes = members_to_add(foresee=True).subquery(), members_to_remove().subquery()
    open_ends = union(
        users_to_create(),
        users_to_update(),
        groups_to_create(),
        groups_to_update(),
        groups_in_doubt(),
        select(users_to_deactivate().subquery().c.entry_id),
        select(adds.c.group_id),
        select(removes.c.group_id),
    )
    still_open = set(connection.execute(open_ends).scalars())
    for table in (mark, rejected):
        held = connection.execute(select(table.c.entry_id)).scalars().all()
        for some in batched((number for number in held if number not in still_open), _BATCH):
            connection.execute(delete(table).where(table.c.entry_id.in_(some)))


def _marked(number: Column[int]) -> ColumnElement[bool]:
    """Restrict a query to what is marked.

    Not a join: a database that does not know how few marks there are would rather look through everything and ask of
    each row whether it is marked. A list of values it looks up.
    """
    return number.in_(select(mark.c.entry_id))


def union_of(first: _Query, second: _Query) -> _Query:
    """Return one query for the rows of both, each row once."""
    return select(union(first, second).subquery())


def _rejected_and_not_due(state: State) -> dict[int, str]:
    with state.read() as connection:
        rows = connection.execute(
            select(rejected.c.entry_id, rejected.c.digest).where(rejected.c.next_attempt_at > datetime.now(UTC))
        ).all()
    return {row.entry_id: row.digest for row in rows}
