"""Pushing: refusals of one object, trouble of the whole service, and patience."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select

from agent.errors import UpstreamRefusedToken, UpstreamUnreachable, UsageProblem
from agent.plan.operations import (
    AddMembers,
    Address,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    Member,
    Operation,
    Phase,
    RemoveMembers,
    Subject,
)
from agent.state.database import State, open_state
from agent.state.tables import entry, ledger_user, rejected
from agent.upstream import lost_accounts
from agent.upstream import members as members_module
from agent.upstream.ledger import Ledger
from agent.upstream.push import Outcome, Push, PushReport
from agent.upstream.service import Service
from tests.servers.scim_service import Fault, Request, ScimService


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_state(tmp_path)
    with opened.write() as connection:
        row = {"source": "s", "kind": "user", "dn": "d", "active": True, "attributes": "{}", "members_complete": True}
        row |= {"digest": "", "present": True, "last_seen": 1, "gone_evidence": None}
        connection.execute(insert(entry), [row | {"anchor": f"a{number}"} for number in range(1, 400)])
    yield opened
    opened.close()


def service_of(scim: ScimService, **changes: object) -> Service:
    values: dict[str, object] = {"url": scim.url, "token": SecretStr(scim.token), "attempts": 4, "workers": 4}
    return Service(**(values | changes))  # type: ignore[arg-type]


def create(number: int, *, attempted: bool = False) -> CreateUser:
    payload = {"userName": f"u{number}@example.com", "externalId": f"a{number}", "active": True}
    address = Address(f"u{number}@example.com", "example.com")
    return CreateUser(Subject(number, f"u{number}"), payload, f"digest {number}", attempted, address)


def push(
    state: State,
    service: Service,
    phases: dict[Phase, list[Operation]],
    *,
    stop: threading.Event | None = None,
    outcomes: list[Outcome] | None = None,
) -> PushReport:
    collected = [] if outcomes is None else outcomes
    pushing = Push(service, Ledger(state), stop or threading.Event(), collected.append)
    return pushing.run(lambda phase: iter(phases.get(phase, [])), removals_allowed=True)


def recorded(state: State) -> set[int]:
    with state.read() as connection:
        return set(connection.execute(select(ledger_user.c.entry_id)).scalars())


def posts(scim: ScimService) -> list[Request]:
    return [request for request in scim.requests if request.method == "POST"]


def test_nothing_to_do_sends_nothing(state: State, scim: ScimService) -> None:
    report = push(state, service_of(scim), {})

    assert scim.requests == []
    assert (report.requests, report.writes, report.trouble) == (0, 0, None)


def test_every_acknowledged_user_is_in_the_ledger(state: State, scim: ScimService) -> None:
    report = push(state, service_of(scim), {Phase.USERS: [create(number) for number in range(1, 101)]})

    assert report.done == {"create user": 100}
    assert recorded(state) == set(range(1, 101))
    assert len(scim.users) == 100


def test_a_429_holds_every_worker_for_as_long_as_it_asks(state: State, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST", status=429, headers={"Retry-After": "2"}))

    report = push(state, service_of(scim), {Phase.USERS: [create(number) for number in range(1, 41)]})

    times = [request.at for request in posts(scim)]
    longest_silence = max(later - earlier for earlier, later in pairwise(times))
    assert report.done == {"create user": 40}
    assert longest_silence > 1.8
    assert len(scim.users) == 40


def test_retry_after_may_be_a_date(state: State, scim: ScimService) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    scim.faults.append(Fault(lambda r: r.method == "POST", status=503, headers={"Retry-After": when}))
    began = time.monotonic()

    report = push(state, service_of(scim), {Phase.USERS: [create(1)]})

    assert report.done == {"create user": 1}
    assert time.monotonic() - began > 1.5


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_stops_the_whole_push_at_once(state: State, scim: ScimService, status: int) -> None:
    scim.faults.append(Fault(lambda _r: True, times=1000, status=status))

    report = push(state, service_of(scim), {Phase.USERS: [create(number) for number in range(1, 101)]})

    assert isinstance(report.trouble, UpstreamRefusedToken)
    assert "token_file" in str(report.trouble)
    assert len(scim.requests) <= 4
    assert recorded(state) == set()


def test_a_service_that_fails_most_of_the_time_stops_the_push_and_the_removals(state: State, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST", times=10_000, status=500))
    removal = DeactivateUser(Subject(300, "u300"), scim.add_user(userName="x@example.com", active=True), "left")

    report = push(
        state,
        service_of(scim),
        {Phase.USERS: [create(number) for number in range(1, 201)], Phase.DEACTIVATE_USERS: [removal]},
    )

    assert isinstance(report.trouble, UpstreamUnreachable)
    assert scim.active() == {"x@example.com"}
    assert report.rejections < 40


def test_an_answer_lost_after_the_create_is_looked_up_and_not_repeated(state: State, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST", times=1, drop="after"))

    report = push(state, service_of(scim, workers=1), {Phase.USERS: [create(1)]})

    assert report.done == {"create user": 1}
    assert len(posts(scim)) == 1
    assert len(scim.users) == 1


def test_a_request_lost_before_the_create_is_looked_up_and_sent_again(state: State, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda r: r.method == "POST", times=1, drop="before"))

    push(state, service_of(scim, workers=1), {Phase.USERS: [create(1)]})

    assert len(posts(scim)) == 2
    assert len(scim.users) == 1


def test_a_create_attempted_by_a_process_that_died_is_looked_up_first(state: State, scim: ScimService) -> None:
    scim.add_user(userName="u1@example.com", externalId="a1", active=True)

    report = push(state, service_of(scim), {Phase.USERS: [create(1, attempted=True)]})

    assert report.done == {"create user": 1}
    assert posts(scim) == []


def test_a_service_that_ignores_filters_does_not_make_us_adopt_the_wrong_one(state: State, scim: ScimService) -> None:
    scim.ignores_filters = True
    others = [scim.add_user(userName=f"other{number}@example.com", active=True) for number in range(250)]
    mine = scim.add_user(userName="U1@example.com", active=True)

    report = push(state, service_of(scim), {Phase.USERS: [create(1)]})

    assert report.done == {"create user": 1}
    assert scim.users[mine]["externalId"] == "a1"
    assert [scim_id for scim_id in others if "externalId" in scim.users[scim_id]] == []


def test_two_upstream_groups_of_one_name_are_reported_and_none_is_chosen(state: State, scim: ScimService) -> None:
    scim.add_group(displayName="staff")
    scim.add_group(displayName="staff")
    operation = CreateGroup(Subject(1, "staff"), {"displayName": "staff", "externalId": "a1"}, "d")

    report = push(state, service_of(scim), {Phase.GROUPS: [operation]})

    assert [rejection.reason.partition(" (")[0] for rejection in report.rejected] == [
        "the upstream holds 2 objects with displayName staff"
    ]
    assert len(scim.groups) == 2


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


def test_a_stop_finishes_what_is_in_flight_and_begins_nothing_more(state: State, scim: ScimService) -> None:
    stop = threading.Event()
    scim.faults.append(Fault(lambda r: r.method == "POST" and len(scim.requests) >= 10 and not stop.set(), delay=0.2))

    report = push(state, service_of(scim), {Phase.USERS: [create(number) for number in range(1, 201)]}, stop=stop)

    assert report.stopped
    assert len(scim.users) < 30
    assert len(recorded(state)) == len(scim.users)


def test_a_defect_of_ours_is_raised_and_hangs_nothing(state: State, scim: ScimService) -> None:
    broken = CreateUser(Subject(1, "u1"), {"externalId": "a1"}, "d", attempted=False, address=Address("", ""))

    with pytest.raises(KeyError, match="userName"):
        push(state, service_of(scim), {Phase.USERS: [broken, *(create(number) for number in range(2, 200))]})


def test_a_redirect_is_not_followed(state: State, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda _r: True, status=307, headers={"Location": "http://127.0.0.1:1/elsewhere"}))

    report = push(state, service_of(scim), {Phase.USERS: [create(1)]})

    assert "answers with a redirect (307)" in str(report.trouble)
    assert len(scim.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://scim.example.com",
        "http://10.0.0.1/scim",
        "ftp://localhost",
        "https://",
        "https://user:pw@x.example",
        "htps://user:pw@x.example",
        "user:pw@x.example",
        "x",
    ],
)
def test_an_address_the_token_must_not_go_to_is_refused(url: str) -> None:
    with pytest.raises(UsageProblem) as problem:
        Service(url=url, token=SecretStr("t"))

    assert "pw" not in str(problem.value)


def test_the_token_is_in_no_representation(scim: ScimService) -> None:
    assert scim.token not in repr(service_of(scim))


def test_a_token_that_the_service_repeats_is_in_no_message(state: State, scim: ScimService) -> None:
    detail = f'{{"detail": "unexpected header Authorization: Bearer {scim.token}"}}'.encode()
    scim.faults.append(Fault(lambda r: r.method == "POST", status=400, body=detail))

    report = push(state, service_of(scim), {Phase.USERS: [create(1)]})

    assert [rejection.reason for rejection in report.rejected] == [
        "400 Bad Request, unexpected header Authorization: Bearer ********"
    ]


@pytest.mark.parametrize("collection", ["Users", "Groups"])
def test_an_id_that_belongs_to_another_is_refused_and_the_others_go_on(
    state: State, scim: ScimService, collection: str
) -> None:
    taken: list[Operation] = [create(1)]
    wrong: list[Operation] = [create(2), create(3)]
    if collection == "Groups":
        taken, *wrong = (
            [CreateGroup(Subject(number, "g"), {"displayName": f"g{number}", "externalId": f"a{number}"}, "d")]
            for number in (4, 5, 6)
        )
        wrong = [operation for some in wrong for operation in some]
    phase = Phase[collection.upper()]
    push(state, service_of(scim, workers=1), {phase: taken})
    (scim_id,) = scim.users or scim.groups
    answer = f'{{"id": "{scim_id}"}}'.encode()
    scim.faults.append(Fault(lambda r: r.method == "POST", status=201, body=answer))

    report = push(state, service_of(scim, workers=1), {phase: wrong})

    assert sum(report.done.values()) == 1
    assert [rejection.reason.partition(";")[0] for rejection in report.rejected] == [
        f"the upstream answered with the id {scim_id}, which belongs to another directory entry"
    ]


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


def test_a_service_that_fails_to_look_a_group_up_is_not_taken_for_one_that_has_none(
    state: State, scim: ScimService
) -> None:
    scim.add_group(displayName="its old name", externalId="a1")
    scim.faults.append(Fault(lambda r: "externalId" in r.path, times=100, status=503))
    operation = CreateGroup(Subject(1, "staff"), {"displayName": "staff", "externalId": "a1"}, "d")

    report = push(state, service_of(scim, attempts=2), {Phase.GROUPS: [operation]})

    assert len(scim.groups) == 1
    assert [rejection.reason for rejection in report.rejected] == [
        'looking it up with externalId eq "a1" failed: 503 Service Unavailable'
    ]


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
