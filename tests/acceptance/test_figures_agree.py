"""What `plan` announces, `sync` and `status` report, the audit trail records and the service counts is the same."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Request, ScimService

OPEN = {"users": 1000, "groups": 1000, "members": 1000, "may_become_empty": True}
NOTHING_HELD = {"memberships": 0, "users": 0, "groups": 0}


@dataclass(frozen=True)
class Run:
    """One cycle as everybody tells it. `held`: what the guard holds, in people, memberships and groups."""

    planned: dict[str, Any]
    report: dict[str, Any]
    records: list[dict[str, Any]]
    sent: list[Request]
    held: dict[str, int]

    @property
    def digest(self) -> str:
        return str(self.report["plan_digest"])

    def members(self, verb: str) -> int:
        return sum(len(record["members"]) for record in self.records if record["verb"] == verb)


def trail(agent: Agent, cycle_id: str) -> list[dict[str, Any]]:
    lines = (agent.state / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["cycle_id"] == cycle_id]


def amounts(text: str) -> dict[str, int]:
    """Read "18 memberships and 1 user" out of a sentence."""
    found = {f"{what}s": int(number) for number, what in re.findall(r"(\d+) (membership|user|group)s?\b", text)}
    return NOTHING_HELD | found


def sentence(text: str, before: str, after: str) -> dict[str, int]:
    """Read the amounts out of the words between two others; where those are not said, nothing is."""
    found = re.search(f"{re.escape(before)}([^.\n]*?){re.escape(after)}", text)
    return amounts(found.group(1) if found else "")


def writes_of(requests: list[Request]) -> int:
    return sum(1 for request in requests if request.method != "GET")


def run(agent: Agent, scim: ScimService) -> Run:
    """Plan and run a cycle, and compare all that is told of it."""
    planned, plan_text = agent.run("plan", "--json").document, agent.run("plan").out
    before = len(scim.requests)
    report = agent.sync()
    sent = scim.requests[before:]
    records = trail(agent, report["cycle_id"])
    document, status_text = agent.run("status", "--json").document, agent.run("status").out
    counts = report["counts"]

    # The cycle as status has it, and the trail as audit has it.
    assert document["cycles"][0]["counts"] == counts
    assert agent.run("audit", "--cycle", report["cycle_id"], "--json").document == records
    # Requests: the service counted them.
    assert counts["requests"] == len(sent)
    assert counts["writes"] == writes_of(sent) == sum(record["writes"] for record in records)
    # Operations: whatever was planned was tried, but for what is held.
    assert counts["planned"] == sum(planned["operations"].values())
    attempted = Counter(record["verb"] for record in records)
    assert attempted <= Counter(planned["operations"])
    assert attempted.total() + planned["held"] == counts["planned"]
    assert counts["removals held"] == planned["held"]
    recorded = Counter(record["verb"] for record in records if record["result"] == "done")
    assert recorded == {verb: counts[verb] for verb in recorded}
    # What is held is as much in every sentence, and has one digest.
    held = sentence(plan_text, "", " would be held")
    assert sentence("\n".join(report["sentences"]), "Stopped by the guard: ", " held back") == held
    assert sentence(status_text, "Stopped by the guard: ", " held back") == held
    if held != NOTHING_HELD:
        assert report["plan_digest"] == planned["digest"]
    # What stands upstream is what the ledger has.
    assert document["upstream"]["active"] == len(scim.active())
    assert document["upstream"]["groups"] == len(scim.groups)
    assert document["upstream"]["memberships"] == sum(len(item["members"]) for item in scim.groups.values())
    return Run(planned, report, records, sent, held)


def test_all_of_them_agree(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, guard=OPEN, upstream={"members_per_patch": 7})
    scim.add_user(userName="u3@example.com")
    scim.refuses = lambda user: "no licence" if user["userName"] == "u9@example.com" else None
    contents = [
        people(40) + group("app-a", *uids(40)) + group("app-b", *uids(9)),
        people(40) + group("app-a", *uids(40)) + group("app-b", *uids(9)),
        people(38)
        + person("guest", mail="guest@p.example")
        + group("app-a", *uids(38), "guest")
        + group("app-c", "u1"),
        people(30).replace("U5 Example", "Renamed") + group("app-a", *uids(30)),
        people(30) + group("app-a", "u1"),
    ]
    for content in contents:
        agent.ldif.write_text(content)
        done = run(agent, scim)
        # Whoever was refused, and is a member of one group, joins none.
        refused = sum(
            1 for record in done.records if record["verb"] == "create user" and record["result"] == "rejected"
        )
        assert done.planned["memberships"] == {
            "add": done.members("add members") + refused,
            "remove": done.members("remove members"),
        }
        assert done.held == NOTHING_HELD
        scim.refuses = lambda _user: None


BEFORE = people(60) + group("app-a", *uids(60)) + group("app-b", *uids(40)) + group("app-c", *uids(20))
# By the limits of one group: nearly half of app-b is held; who leaves app-c goes, and whoever joins comes.
OF_A_GROUP = (
    people(60)
    + person("new")
    + group("app-a", *uids(60), "new")
    + group("app-b", *uids(21))
    + group("app-c", *uids(18))
)
# By the limits of all: with so many who leave, nobody does.
OF_EVERYBODY = people(40) + person("new") + group("app-a", *uids(40), "new") + group("app-b", *uids(40))


@pytest.mark.parametrize(
    ("after", "held", "taken"),
    [(OF_A_GROUP, NOTHING_HELD | {"memberships": 19}, 2), (OF_EVERYBODY, {}, 0)],
    ids=["of a group", "of everybody"],
)
def test_they_agree_while_removals_are_held_and_when_they_are_approved(
    agent: Agent, scim: ScimService, after: str, held: dict[str, int], taken: int
) -> None:
    agent.configure(scim, upstream={"members_per_patch": 7})
    agent.ldif.write_text(BEFORE)
    run(agent, scim)
    agent.ldif.write_text(after)

    stopped = run(agent, scim)
    again = run(agent, scim)
    approved = agent.run("approve", stopped.digest).out
    let_through = run(agent, scim)
    quiet = run(agent, scim)

    assert stopped.report["exit_code"] == again.report["exit_code"] == 3
    held = held or {"memberships": 40, "users": 20, "groups": 0}
    assert stopped.held == again.held == sentence(approved, "Approved: ", ", once") == held
    assert stopped.members("remove members") == taken
    assert stopped.planned["memberships"]["remove"] == taken + held["memberships"]
    assert stopped.members("add members") == stopped.planned["memberships"]["add"] == 1
    assert again.digest == stopped.digest
    assert (again.sent, again.records) == ([], [])
    # What was held is what is carried out, and the trail has who approved it.
    assert let_through.members("remove members") == let_through.planned["memberships"]["remove"] == held["memberships"]
    gone = [record for record in let_through.records if record["verb"] == "deactivate user"]
    assert len(gone) == held["users"]
    assert all(record["approved_by"] for record in let_through.records)
    assert len(let_through.records) == stopped.report["counts"]["removals held"]
    assert let_through.held == NOTHING_HELD
    assert (quiet.sent, quiet.report["counts"]["planned"]) == ([], 0)


def test_they_agree_of_one_person_provisioned(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, upstream={"members_per_patch": 7})
    agent.ldif.write_text(BEFORE)
    run(agent, scim)
    agent.ldif.write_text(
        people(58) + person("new") + group("app-a", *uids(58), "new") + group("app-b", *uids(38), "new")
        + group("app-d", "new")
    )  # fmt: skip
    whole = agent.run("plan", "--json").document

    for who, verbs in (
        ("new", {"create user": 1, "create group": 1, "add members": 3}),
        ("u59", {"remove members": 1, "deactivate user": 1}),
        ("u5", {"remove members": 1}),
        ("u1", {"remove members": 1}),
    ):
        before = len(scim.requests)
        done = agent.run("provision", f"{who}@example.com", "--json").document
        sent = scim.requests[before:]
        records = trail(agent, done["cycle_id"])
        document = agent.run("status", "--json").document
        counts = document["provisioned"][0]["counts"]

        assert document["provisioned"][0]["cycle_id"] == done["cycle_id"]
        assert counts == done["counts"]
        assert Counter(record["verb"] for record in records) == Counter(item["verb"] for item in done["done"]) == verbs
        assert {verb: counts[verb] for verb in verbs} == verbs
        assert counts["planned"] == sum(verbs.values())
        assert counts["removals held"] == 0
        assert counts["requests"] == len(sent)
        assert counts["writes"] == writes_of(sent) == sum(record["writes"] for record in records)
        assert document["upstream"]["memberships"] == sum(len(item["members"]) for item in scim.groups.values())
        assert document["upstream"]["active"] == len(scim.active())

    agent.sections["guard"] = {"users": 0, "users_share": "0%"}
    agent.write()
    before = len(scim.requests)
    held = agent.run("provision", "u58@example.com", "--json").document
    assert (held["exit_code"], held["done"], trail(agent, held["cycle_id"])) == (3, [], [])
    assert held["counts"] == agent.run("status", "--json").document["provisioned"][0]["counts"]
    assert held["counts"]["planned"] == held["counts"]["removals held"] == 2
    assert held["counts"]["requests"] == len(scim.requests) - before

    rest = run(agent, scim)
    assert rest.report["counts"]["planned"] < sum(whole["operations"].values())
