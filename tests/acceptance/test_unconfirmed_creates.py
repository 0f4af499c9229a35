"""A create whose answer was lost, of somebody who is not wanted any more: what it made is found, and taken out."""

from __future__ import annotations

import pytest

from tests.acceptance.guests import APP_A, GUEST, MOVED, NEW, OLD, STAFF, STAFF_NAME, cycle, settles
from tests.acceptance.test_leavers import months_pass
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, Request, ScimService
from tests.servers.vendor_service import VendorService

PRESENT = people(5) + person("x") + group("app-a", *uids(5))
JOINED = people(5) + person("x") + group("app-a", *uids(5), "x")
GONE = people(5) + group("app-a", *uids(5))
DISABLED = people(5) + person("x", extra="nsAccountLock: TRUE\n") + group("app-a", *uids(5), "x")
JOINER = "x@example.com"


def lose(scim: ScimService, collection: str, *, drop: str = "after") -> None:
    """The answer to the next create is lost, and then the service is away for whoever looks it up."""

    def creates(request: Request) -> bool:
        return request.method == "POST" and request.path.endswith(f"/{collection}")

    def looks(request: Request) -> bool:
        return request.method == "GET" and f"/{collection}?" in request.path and sent(request)

    def sent(request: Request) -> bool:
        return any(creates(earlier) for earlier in scim.requests[before:] if earlier is not request)

    before = len(scim.requests)
    scim.faults.append(Fault(creates, times=1, drop=drop))
    scim.faults.append(Fault(looks, times=1000, status=503))


@pytest.fixture
def synced(agent: Agent, scim: ScimService) -> Agent:
    agent.configure(scim, upstream={"attempts": 1})
    agent.ldif.write_text(PRESENT)
    agent.sync()
    return agent


@pytest.fixture
def lost(synced: Agent, scim: ScimService) -> Agent:
    """Somebody was created upstream, and the agent does not know it."""
    lose(scim, "Users")
    synced.ldif.write_text(JOINED)
    assert synced.sync()["exit_code"] != 0
    scim.faults.clear()
    assert JOINER in scim.active()
    return synced


@pytest.mark.parametrize("directory", [GONE, PRESENT, DISABLED], ids=["gone", "in no group", "disabled"])
def test_who_is_not_wanted_any_more_is_deactivated(lost: Agent, scim: ScimService, directory: str) -> None:
    lost.ldif.write_text(directory)

    lost.sync()
    report = lost.sync()

    assert report["counts"]["deactivate user"] == 1
    assert JOINER not in scim.active()
    last = lost.sync()["counts"]
    assert (last["requests"], last["planned"]) == (0, 0)


def test_that_is_a_matter_of_the_guard(lost: Agent, scim: ScimService) -> None:
    lost.sections["guard"] = {"users": 0, "users_share": "0%"}
    lost.write()
    lost.ldif.write_text(GONE)

    lost.sync()
    report = lost.sync()

    assert report["exit_code"] == 3
    assert JOINER in scim.active()


def test_who_is_wanted_again_keeps_the_account(lost: Agent, scim: ScimService) -> None:
    lost.ldif.write_text(GONE)
    lost.sync()
    lost.ldif.write_text(JOINED)

    lost.sync()

    assert scim.membership()["app-a"] == {f"{name}@example.com" for name in (*uids(5), "x")}
    assert [user["userName"] for user in scim.users.values()].count(JOINER) == 1


def test_it_is_asked_once_about_one_who_was_not_created(synced: Agent, scim: ScimService) -> None:
    lose(scim, "Users", drop="before")
    synced.ldif.write_text(JOINED)
    synced.sync()
    scim.faults.clear()
    synced.ldif.write_text(GONE)

    first, second = synced.sync(), synced.sync()

    assert first["exit_code"] == 0
    assert first["counts"]["requests"] > 0
    assert second["counts"]["requests"] == 0
    assert first["counts"]["writes"] == 0


def test_as_long_as_nobody_can_look_it_is_told_and_looked_at_again(lost: Agent, scim: ScimService) -> None:
    lost.ldif.write_text(GONE)
    away = Fault(lambda request: request.method == "GET", times=1000, status=503)
    scim.faults.append(away)

    reports = [lost.sync(), lost.sync()]

    assert [report["exit_code"] for report in reports] == [1, 1]
    assert all(f"create user {JOINER}: its answer was lost" in str(report["sentences"]) for report in reports)
    scim.faults.clear()
    lost.sync()
    lost.sync()
    assert JOINER not in scim.active()


def test_a_service_that_cannot_filter_by_the_anchor_is_asked_by_the_name(lost: Agent, scim: ScimService) -> None:
    lost.ldif.write_text(GONE)
    scim.faults.append(Fault(lambda request: "externalId" in request.path, times=1000, status=400))

    lost.sync()
    lost.sync()

    assert JOINER not in scim.active()


@pytest.mark.parametrize("external_id", ["somebody-else", None])
def test_what_is_not_surely_our_own_is_left_alone(lost: Agent, scim: ScimService, external_id: str | None) -> None:
    made = next(user for user in scim.users.values() if user["userName"] == JOINER)
    made["externalId"] = external_id
    lost.ldif.write_text(GONE)

    first, second = lost.sync(), lost.sync()

    assert JOINER in scim.active()
    told = f"create user {JOINER}: " in str(first["sentences"])
    assert told is (external_id is None)
    assert (second["exit_code"], second["counts"]["requests"]) == (0, 0)


def test_a_group_that_is_not_wanted_any_more_comes_to_be_known_and_goes_when_its_time_is_over(
    synced: Agent, scim: ScimService
) -> None:
    synced.sections["leavers"] = {"delete_groups_after": "30d"}
    synced.write()
    lose(scim, "Groups")
    synced.ldif.write_text(PRESENT + group("app-b", "u0"))
    synced.sync()
    scim.faults.clear()
    assert "app-b" in scim.membership()
    synced.ldif.write_text(PRESENT)
    reports = [synced.sync() for _ in range(3)]
    months_pass(synced)

    synced.sync()

    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    assert list(scim.membership()) == ["app-a"]


def test_an_account_that_was_to_replace_another_is_let_go_with_it(agent: Agent, invite: VendorService) -> None:
    rules = {"changed_address": "replace"}
    cycle(agent, invite, GUEST + STAFF + APP_A, upstream={"attempts": 1}, **rules)
    for user in invite.users.values():
        user["active"] = True
    lose(invite, "Users")
    cycle(agent, invite, MOVED + STAFF + APP_A, upstream={"attempts": 1}, **rules)
    invite.faults.clear()
    made = next(user for user in invite.users.values() if user["userName"] == NEW)
    made["active"] = True
    assert made["externalId"] == next(user["externalId"] for user in invite.users.values() if user["userName"] == OLD)

    for _ in range(3):
        cycle(agent, invite, STAFF + group("app-a", "staff"), upstream={"attempts": 1}, **rules)

    assert invite.active() == {STAFF_NAME}
    settles(agent)
