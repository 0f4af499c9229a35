"""A 403 may be about one object or about the token: one object is refused and named, and the rest goes on."""

from __future__ import annotations

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, uids
from tests.servers.scim_service import Fault, Request, ScimService

OPEN = {"users_share": "100%", "groups_share": "100%", "members_share": "100%", "members_from": 0}


@pytest.fixture
def three(agent: Agent, scim: ScimService) -> Agent:
    """Three people in a group, and all of them upstream."""
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(3) + group("app-a", *uids(3)))
    assert agent.sync()["exit_code"] == 0
    return agent


def mails(*names: str) -> set[str]:
    return {f"{name}@example.com" for name in names}


def id_of(service: ScimService, user_name: str) -> str:
    return next(scim_id for scim_id, user in service.users.items() if user["userName"] == user_name)


def forbid(service: ScimService, method: str, *texts: str) -> None:
    """The service forbids every such request whose path or body holds all of these."""

    def matches(request: Request) -> bool:
        return request.method == method and all(text in f"{request.path} {request.body}" for text in texts)

    service.faults.append(Fault(matches, times=10_000, status=403, body=b'{"detail": "not this one"}'))


def test_a_member_whom_the_service_forbids_is_named_and_the_others_are_added(three: Agent, scim: ScimService) -> None:
    forbidden = id_of(scim, "u1@example.com")
    forbid(scim, "PATCH", "/Groups/", forbidden)
    three.ldif.write_text(people(5) + group("app-a", *uids(5)) + group("app-b", *uids(5)) + group("app-c", "u0", "u4"))

    report = three.sync()

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if forbidden in text and "403 Forbidden, not this one" in text]
    assert scim.membership() == {
        "app-a": mails(*uids(5)),
        "app-b": mails("u0", "u2", "u3", "u4"),
        "app-c": mails("u0", "u4"),
    }


def test_a_member_whom_the_service_does_not_let_go_holds_no_other_removal_up(three: Agent, scim: ScimService) -> None:
    forbidden = id_of(scim, "u1@example.com")
    forbid(scim, "PATCH", "/Groups/", "remove", forbidden)
    three.ldif.write_text(people(3) + group("app-a", "u0"))

    report = three.sync()

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if forbidden in text and "403 Forbidden" in text]
    assert scim.membership() == {"app-a": mails("u0", "u1")}
    assert "u2@example.com" not in scim.active()


def test_a_group_that_the_service_forbids_is_refused_and_the_others_are_made(three: Agent, scim: ScimService) -> None:
    forbid(scim, "POST", "app-b")
    three.ldif.write_text(people(3) + group("app-a", *uids(3)) + group("app-b", "u0") + group("app-c", "u1"))

    report = three.sync()

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if "create group app-b: 403 Forbidden, not this one" in text]
    assert scim.membership() == {"app-a": mails(*uids(3)), "app-c": mails("u1")}


def test_a_group_whose_name_the_service_forbids_keeps_it_and_its_members_are_kept_up(
    three: Agent, scim: ScimService
) -> None:
    forbid(scim, "PATCH", "app-z")
    renamed = group("app-z", "u0", "u3", anchor="g")
    three.ldif.write_text(people(4) + group("app-b", "u0", anchor="g"))
    three.sync()
    three.ldif.write_text(people(4) + renamed)

    report = three.sync()

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if "rename group app-z: 403 Forbidden" in text]
    assert scim.membership()["app-b"] == mails("u0", "u3")


def test_a_group_that_may_not_be_read_back_holds_no_other_up(three: Agent, scim: ScimService) -> None:
    (first,) = scim.groups
    forbid(scim, "GET", f"/Groups/{first}")
    three.ldif.write_text(people(5) + group("app-a", *uids(5)) + group("app-b", "u4"))

    report = three.sync()

    assert report["exit_code"] == 1
    assert [text for text in report["sentences"] if "cannot be read back: 403 Forbidden" in text]
    assert scim.membership()["app-b"] == mails("u4")


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_token_that_is_refused_while_groups_are_changed_stops_the_push(
    three: Agent, scim: ScimService, method: str
) -> None:
    """It worked for the users before."""

    def from_now_on(request: Request) -> bool:
        refused.append(True) if request.method == method and "/Groups" in request.path else None
        return bool(refused)

    refused: list[bool] = []
    scim.faults.append(Fault(from_now_on, times=10_000, status=403))
    new = group("app-b", *uids(3)) if method == "POST" else group("app-a", *uids(40))
    three.ldif.write_text(people(40) + (new if method == "PATCH" else group("app-a", *uids(3)) + new))

    report = three.sync()

    assert report["exit_code"] == 5
    assert "refuses the token" in report["sentences"][0]
    assert sum(1 for request in scim.requests if request.method == "PATCH" and "/Users" in request.path) == 0
