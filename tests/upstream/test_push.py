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
from sqlalchemy import insert

from agent.errors import UpstreamRefusedToken, UpstreamUnreachable, UsageProblem
from agent.plan.operations import (
    Address,
    CreateGroup,
    CreateUser,
    DeactivateUser,
    Operation,
    Phase,
    Subject,
)
from agent.state.database import State, open_state
from agent.state.tables import entry
from agent.upstream.service import Service
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


def test_a_date_that_no_calendar_has_is_none(state: State, scim: ScimService) -> None:
    absurd = "Mon, 30 Nov 99999999999999 20:46:00 GMT"
    scim.faults.append(Fault(lambda r: r.method == "POST", status=503, headers={"Retry-After": absurd}))

    assert push(state, service_of(scim), {Phase.USERS: [create(1)]}).done == {"create user": 1}


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
