"""What `plan` announces, `sync` and `status` report, the audit trail records and the service counts is the same."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import ScimService

GUEST = person("guest", mail="guest@p.example")
OPEN = {"users": 1000, "groups": 1000, "members": 1000, "may_become_empty": True}


def trail(agent: Agent, cycle_id: str) -> list[dict[str, Any]]:
    lines = (agent.state / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["cycle_id"] == cycle_id]


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
        planned = agent.run("plan", "--json").document
        before = len(scim.requests)
        report = agent.sync()
        sent = scim.requests[before:]
        writes = sum(1 for request in sent if request.method != "GET")
        records = trail(agent, report["cycle_id"])
        status = agent.run("status", "--json").document["cycles"][0]

        counts = report["counts"]
        assert status["counts"] == counts
        assert counts["requests"] == len(sent)
        assert counts["writes"] == writes
        assert sum(record["writes"] for record in records) == writes
        recorded = Counter(record["verb"] for record in records if record["result"] == "done")
        assert recorded == {verb: counts[verb] for verb in recorded}
        attempted = Counter(record["verb"] for record in records)
        assert attempted == planned["operations"]
        assert counts["planned"] == sum(planned["operations"].values())
        members = Counter[str]()
        for record in records:
            members[record["verb"]] += len(record["members"])
        # Whoever was refused, and is a member of one group, joins none.
        refused = sum(1 for record in records if record["verb"] == "create user" and record["result"] == "rejected")
        assert planned["memberships"] == {
            "add": members["add members"] + refused,
            "remove": members["remove members"],
        }
        scim.refuses = lambda _user: None
