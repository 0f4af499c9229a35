"""Pushing the members of groups, and looking at accounts: in chunks, refusal by refusal, within bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from agent.errors import UpstreamRefusedToken
from agent.plan.operations import (
    AddMembers,
    CreateGroup,
    Member,
    Phase,
    RemoveMembers,
    Subject,
)
from agent.state.database import State, open_state
from agent.state.tables import entry, ledger_user, rejected
from agent.upstream import lost_accounts
from agent.upstream import members as members_module
from agent.upstream.ledger import Ledger
from agent.upstream.push import Push
from tests.servers.scim_service import Fault, ScimService
from tests.upstream.pushing import create, posts, push, recorded, service_of


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path)
    with opened.write() as connection:
        row = {"source": "s", "kind": "user", "dn": "d", "active": True, "attributes": "{}", "members_complete": True}
        row |= {"digest": "", "present": True, "last_seen": 1, "gone_evidence": None}
        connection.execute(insert(entry), [row | {"anchor": f"a{number}"} for number in range(1, 400)])
    yield opened
    opened.close()


def _group_of(state: State, scim: ScimService, count: int) -> tuple[CreateGroup, list[Member]]:
    push(state, service_of(scim), {Phase.USERS: [create(number) for number in range(1, count + 1)]})
    with state.read() as connection:
        rows = connection.execute(select(ledger_user.c.entry_id, ledger_user.c.scim_id)).all()
    group = CreateGroup(Subject(399, "staff"), {"displayName": "staff", "externalId": "a399"}, "d")
    push(state, service_of(scim), {Phase.GROUPS: [group]})
    return group, [Member(row.entry_id, row.scim_id) for row in rows]


def test_one_member_the_service_refuses_does_not_hold_back_the_others(state: State, scim: ScimService) -> None:
    group, members = _group_of(state, scim, 250)
    (scim_id,) = scim.groups
    with_a_ghost = (*members[:120], Member(398, "ghost"), *members[120:])

    report = push(state, service_of(scim), {Phase.ADD_MEMBERS: [AddMembers(group.subject, scim_id, with_a_ghost, "d")]})

    assert len(scim.membership()["staff"]) == 250
    assert [rejection.reason for rejection in report.rejected] == [
        "1 of 251 members were refused, among them ghost: 400 Bad Request, invalidValue: there is no member ghost"
    ]


def test_members_are_sent_in_chunks_and_the_group_is_read_back_once(state: State, scim: ScimService) -> None:
    group, members = _group_of(state, scim, 25)
    (scim_id,) = scim.groups
    del scim.requests[:]

    push(
        state,
        service_of(scim, members_per_patch=10),
        {Phase.ADD_MEMBERS: [AddMembers(group.subject, scim_id, tuple(members), "d")]},
    )

    assert [request.method for request in scim.requests] == ["PATCH", "PATCH", "PATCH", "GET"]


def test_a_refused_addition_stays_on_record_when_a_removal_from_the_group_succeeds(
    state: State, scim: ScimService
) -> None:
    group, members = _group_of(state, scim, 3)
    (scim_id,) = scim.groups
    push(state, service_of(scim), {Phase.ADD_MEMBERS: [AddMembers(group.subject, scim_id, tuple(members), "d")]})
    addition = AddMembers(group.subject, scim_id, (Member(398, "ghost"),), "ghost")
    removal = RemoveMembers(group.subject, scim_id, tuple(members[:1]), "left")

    push(state, service_of(scim), {Phase.ADD_MEMBERS: [addition], Phase.REMOVE_MEMBERS: [removal]})

    with state.read() as connection:
        assert connection.execute(select(rejected.c.operation)).scalars().all() == ["add members"]
    assert len(scim.membership()["staff"]) == 2


def test_removing_members_from_a_group_that_is_gone_upstream_is_done(state: State, scim: ScimService) -> None:
    group, members = _group_of(state, scim, 3)
    (scim_id,) = scim.groups
    scim.groups.clear()
    removal = RemoveMembers(group.subject, scim_id, tuple(members), "left")

    report = push(state, service_of(scim), {Phase.REMOVE_MEMBERS: [removal]})

    assert (report.done, report.rejections) == ({"remove members": 1}, 0)


@pytest.mark.parametrize("looks", [20, 100])
def test_a_service_that_lists_nobody_is_asked_for_a_bounded_number_of_accounts(
    state: State, scim: ScimService, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    push(state, service_of(scim), {Phase.USERS: [create(number) for number in range(1, 51)]})
    del scim.requests[:]
    scim.users.clear()
    monkeypatch.setattr(lost_accounts, "SINGLE_LOOKS", looks)

    Push(service_of(scim), Ledger(state), threading.Event(), lambda _outcome: None).look_at_accounts(asked=False)

    # Of each that is gone it is also asked whether it stands there under another id.
    assert len(scim.requests) == 1 + 2 * min(looks, 50)
    assert len(recorded(state)) == 50 - min(looks, 50)


def test_a_token_that_is_refused_while_accounts_are_looked_at_stops_the_push(state: State, scim: ScimService) -> None:
    push(state, service_of(scim), {Phase.USERS: [create(1)]})
    scim.faults.append(Fault(lambda _r: True, times=1000, status=401))
    pushing = Push(service_of(scim), Ledger(state), threading.Event(), lambda _outcome: None)

    pushing.look_at_accounts(asked=False)
    report = pushing.run(lambda _phase: iter([create(2)]), removals_allowed=True)

    assert isinstance(report.trouble, UpstreamRefusedToken)
    assert len(posts(scim)) == 1
    assert recorded(state) == {1}


def test_of_many_refused_members_some_are_looked_up(
    state: State, scim: ScimService, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, members = _group_of(state, scim, 50)
    (scim_id,) = scim.groups
    scim.users.clear()
    del scim.requests[:]
    monkeypatch.setattr(members_module, "_LOOKS", 10)

    push(state, service_of(scim), {Phase.ADD_MEMBERS: [AddMembers(group.subject, scim_id, tuple(members), "d")]})

    assert len([request for request in scim.requests if "/Users" in request.path]) == 10
    assert len(recorded(state)) == 40
