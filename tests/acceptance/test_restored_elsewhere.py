"""After an older state was put back that knows another service: numbers of two services are not the same people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from agent.made_since import what_stands
from agent.plan.operations import RetireAccount
from tests.acceptance.test_restored_accounts import record
from tests.acceptance.test_restored_state import OPEN, mails, restore
from tests.agent_runner import Agent
from tests.ldif_text import anchor_of, group, person, uids
from tests.servers.scim_service import Fault, Request, ScimService


class Counting(ScimService):
    """Counts its users and its groups, each from 1."""

    def _create(self, store: Any, body: Any) -> Any:
        status, made = super()._create(store, body)
        if status == 201:
            del store[made["id"]]
            made["id"] = f"{'u' if store is self.users else 'g'}{len(store) + 1}"
            store[made["id"]] = made
        return status, made

    def numbers(self) -> dict[str, str]:
        return {user["userName"].partition("@")[0]: scim_id for scim_id, user in self.users.items()}


@pytest.fixture
def trial() -> Iterator[Counting]:
    with Counting() as service:
        yield service


@pytest.fixture
def production() -> Iterator[Counting]:
    with Counting() as service:
        yield service


def one_by_one(agent: Agent, service: ScimService, *names: str) -> None:
    """Each comes in a cycle of their own, with a group, so that it is certain which number each gets."""
    for number in range(1, len(names) + 1):
        holds(agent, *names[:number])
        agent.configure(service, guard=OPEN, upstream={"workers": 1})
        assert agent.sync()["exit_code"] == 0


def holds(agent: Agent, *names: str) -> None:
    groups = "".join(group(f"app-{name}", name) for name in names)
    agent.ldif.write_text("".join(person(name) for name in names) + group("app-all", *names) + groups)


def moved(agent: Agent, trial: Counting, production: Counting, *since: str) -> None:
    """The back-up is of the trial; at the production service they have come in another order."""
    one_by_one(agent, trial, *uids(4))
    shutil.copytree(agent.state, agent.directory / "backup")
    for name in since:
        holds(agent, *uids(4), name)
        agent.sync()
    one_by_one(agent, production, "u0", "u1", "u3", "u2", *since)
    assert trial.numbers()["u2"] == production.numbers()["u3"]
    assert trial.numbers()["u3"] == production.numbers()["u2"]


@pytest.mark.parametrize("since", [(), ("new",)])
def test_whoever_has_left_is_taken_out_though_the_other_s_number_was_theirs_there(
    agent: Agent, trial: Counting, production: Counting, since: tuple[str, ...]
) -> None:
    moved(agent, trial, production, *since)
    restore(agent)
    holds(agent, *uids(2))

    for _ in range(3):
        agent.sync()

    assert production.active() == mails(*uids(2))
    left = {name: mails(name.removeprefix("app-")) for name in ("app-u0", "app-u1")} | {"app-all": mails(*uids(2))}
    assert {name: members for name, members in production.membership().items() if members} == left


def test_whoever_is_there_keeps_what_is_theirs_at_the_new_service(
    agent: Agent, trial: Counting, production: Counting
) -> None:
    moved(agent, trial, production)
    standing, numbers = production.membership(), production.numbers()
    before = len(production.requests)
    restore(agent)

    reports = [agent.sync() for _ in range(3)]

    assert [report["exit_code"] for report in reports] == [0, 0, 0]
    assert (production.membership(), production.numbers()) == (standing, numbers)
    assert production.active() == mails(*uids(4))
    assert not [one for one in production.requests[before:] if one.method in {"POST", "DELETE"}]


def test_what_ended_at_one_service_stands_at_the_other_under_the_same_number() -> None:
    here, there = {"upstream": "https://here.example"}, {"upstream": "https://there.example"}
    made = record("create user", "7", **here)

    assert what_stands([made, record(RetireAccount.verb, "7", **there)]).made == [made]
    assert what_stands([record("create user", "7", **there), made, record("delete user", "7", **there)]).made == [made]
    assert what_stands([made, record(RetireAccount.verb, "7", **here)]).made == []


def test_whoever_was_only_begun_at_the_other_service_is_not_looked_for_here(
    agent: Agent, trial: Counting, production: Counting
) -> None:
    """Another connection may have made an account for the same person, and that one is its own."""
    one_by_one(agent, trial, "u0", "u1")
    shutil.copytree(agent.state, agent.directory / "backup")
    agent.ldif.write_text(agent.ldif.read_text() + person("new") + group("app-new", "new"))
    trial.faults.append(Fault(_makes_new, times=9, drop="before"))
    agent.sync()
    restore(agent)
    of_another = {"userName": "new@example.com", "externalId": anchor_of("new"), "active": True}
    production.users["another"] = {"id": "another", **of_another}
    holds(agent, "u0", "u1")
    agent.configure(production, guard=OPEN, upstream={"workers": 1})

    for _ in range(3):
        agent.sync()

    assert production.users["another"] == {"id": "another", **of_another}


def _makes_new(request: Request) -> bool:
    return request.method == "POST" and (request.body or {}).get("userName") == "new@example.com"
