"""An audit trail that is not of this state, or not as the agent writes it, moves nobody upstream."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.test_restored_state import OPEN, mails, ready, restore
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService

__all__ = ["ready"]


def without_state(agent: Agent) -> None:
    for path in agent.state.glob("rollcall.sqlite3*"):
        path.unlink()


def test_after_a_trial_with_another_service_nobody_with_the_same_id_is_touched(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(people(3) + person("gone") + group("app-a", *uids(3), "gone"))
    agent.sync()
    with ScimService() as production:
        # The ids of the trial, on accounts of quite other people.
        for number, scim_id in enumerate(scim.users):
            production.users[scim_id] = {"id": scim_id, "userName": f"stranger{number}@example.com", "active": True}
        strangers = json.dumps(production.users, sort_keys=True)
        without_state(agent)
        agent.configure(production, guard=OPEN)
        agent.ldif.write_text(people(3) + group("app-a", *uids(3)))

        for _ in range(2):
            agent.sync()

        touched = {scim_id: user for scim_id, user in production.users.items() if scim_id in scim.users}
        assert json.dumps(touched, sort_keys=True) == strangers
        assert production.membership() == {"app-a": mails(*uids(3))}


@pytest.mark.parametrize("new", [True, False])
def test_the_trail_of_another_connection_takes_nobody_from_this_one(
    agent: Agent, scim: ScimService, tmp_path: Path, *, new: bool
) -> None:
    other = Agent(tmp_path / "other")
    other.directory.mkdir()
    for one, name in ((agent, "app-b"), (other, "app-a")):
        one.configure(scim, guard=OPEN, scope={"groups": [f"name:{name}"]})
        one.ldif.write_text(people(6) + group("app-a", *uids(3)) + group("app-b", *uids(6)[3:]))
    other.sync()
    if not new:
        agent.sync()
    agent.state.mkdir(exist_ok=True)
    shutil.copy(other.state / "audit.jsonl", agent.state / "audit.jsonl")

    for _ in range(3):
        agent.sync()

    assert scim.membership() == {"app-a": mails(*uids(3)), "app-b": mails(*uids(6)[3:])}
    assert scim.active() == mails(*uids(6))


def test_the_trail_of_another_connection_does_not_become_one_s_own_by_and_by(
    agent: Agent, scim: ScimService, tmp_path: Path
) -> None:
    """A job copies it again and again, and at first the service refuses the token."""
    other = Agent(tmp_path / "other")
    other.directory.mkdir()
    for one, name in ((agent, "app-b"), (other, "app-a")):
        one.configure(scim, guard=OPEN, scope={"groups": [f"name:{name}"]})
        one.ldif.write_text(people(6) + group("app-a", *uids(3)) + group("app-b", *uids(6)[3:]))
        one.sync()
    for new in ("one", "two"):
        other.ldif.write_text(other.ldif.read_text() + person(new) + group(f"app-a-{new}", new))
        other.configure(scim, guard=OPEN, scope={"groups": ["name:app-a*"]})
        other.sync()
        shutil.copy(other.state / "audit.jsonl", agent.state / "audit.jsonl")
        if new == "one":
            scim.faults.append(Fault(lambda _request: True, times=1_000, status=401))
        for _ in range(3):
            agent.sync()
        scim.faults.clear()

    assert scim.active() == mails(*uids(6), "one", "two")
    assert scim.membership()["app-a-two"] == mails("two")


@pytest.mark.parametrize(
    "changed",
    [{"scim_id": 7}, {"verb": ["create user"]}, {"anchor": {}}, {"label": None}, {"source": 1}, {"dn": None}],
    ids="-".join,
)
def test_a_record_of_another_form_stops_nothing(ready: Agent, scim: ScimService, changed: dict[str, object]) -> None:
    ready.ldif.write_text(people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6)))
    ready.sync()
    trail = ready.state / "audit.jsonl"
    records = [json.loads(line) | changed for line in trail.read_text().splitlines()]
    restore(ready)
    trail.write_text("".join(json.dumps(record) + "\n" for record in records))

    assert [ready.sync()["exit_code"] for _ in range(2)] == [0, 0]
    assert scim.membership()["app-a"] == mails(*uids(4), "new")


def test_one_account_that_never_answers_does_not_keep_the_state_a_restored_one(ready: Agent, scim: ScimService) -> None:
    ready.ldif.write_text(people(6) + person("new") + group("app-a", *uids(4), "new") + group("app-b", *uids(6)))
    ready.sync()
    restore(ready)
    mute = next(scim_id for scim_id, user in scim.users.items() if user["userName"] == "u5@example.com")
    scim.unlisted.add(mute)
    scim.faults.append(Fault(lambda request: request.path.endswith(f"/Users/{mute}"), times=1_000, status=500))

    ready.sync()

    assert ready.run("provision", "new@example.com").code == 0
    assert scim.users[mute]["active"] is True
    assert not any("restored from a back-up" in notice for notice in ready.sync()["notices"])


def test_an_approval_that_is_given_after_the_restore_is_for_once(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(60) + group("app-a", *uids(60)))
    agent.sync()
    shutil.copytree(agent.state, agent.directory / "backup")
    agent.ldif.write_text(people(60) + person("new") + group("app-a", *uids(60), "new"))
    agent.sync()
    restore(agent)
    agent.ldif.write_text(people(30) + person("new") + group("app-a", *uids(30), "new"))
    digest = agent.sync()["plan_digest"]

    assert agent.run("approve", digest).code == 0
    assert agent.sync()["exit_code"] == 0

    assert scim.active() == mails(*uids(30), "new")
