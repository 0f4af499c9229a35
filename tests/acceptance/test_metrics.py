"""/metrics of a running daemon: the same figures that `rollcall status` shows, and what the daemon has counted."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.acceptance.outside import Outside
from tests.acceptance.test_daemon import running, wait_for
from tests.acceptance.test_leavers import ALL, OPEN, WITHOUT, months_pass
from tests.acceptance.test_secrets import JWT
from tests.agent_runner import Agent
from tests.ldif_text import group, people, person, uids
from tests.servers.scim_service import Fault, ScimService

GUEST = person("guest", mail="guest@partner.example")


@pytest.fixture
def outside(agent: Agent, scim: ScimService) -> Outside:
    agent.ldif.write_text(people(20) + GUEST + group("app-a", *uids(20), "guest"))
    return Outside(agent, scim)


def test_the_figures_are_those_of_status(outside: Outside, agent: Agent, scim: ScimService) -> None:
    scim.refuses = lambda user: "no such cost centre" if user["userName"].startswith("u1@") else None
    with running(agent):
        wait_for(lambda: outside.answers("/readyz"))
        members = ("u0", "u1", "guest", "cn=ann,dc=elsewhere")
        agent.ldif.write_text(people(20) + GUEST + group("app-a", *members))
        wait_for(lambda: outside.metric("removals_held") > 0)
        seen = outside.metrics()
        status = agent.run("status", "--json").document

    def figure(name: str, **labels: str) -> float:
        return seen[f"rollcall_{name}", tuple(sorted(labels.items()))]

    last, upstream = status["cycles"][0], status["upstream"]
    standing = {
        (standing, state): figure("upstream_users", standing=standing, state=state)
        for standing in ("managed", "external")
        for state in ("active", "inactive")
    }
    assert standing == {("managed", "active"): 19, ("managed", "inactive"): 0, ("external", "active"): 1,
                        ("external", "inactive"): 0}  # fmt: skip
    assert sum(standing.values()) == upstream["users"]
    assert figure("upstream_groups") == upstream["groups"]
    assert figure("upstream_memberships") == upstream["memberships"]
    assert figure("rejected_objects") == last["counts"]["rejected"] == 1
    assert figure("removals_held") == last["counts"]["removals held"] == 18 + 1  # the people, and the group they leave
    assert "18 memberships and 18 users" in " ".join(last["sentences"])
    assert figure("last_cycle_exit_code") == last["exit_code"] == 3
    assert figure("unknown_members") == status["unresolved"][0]["members"] == 1
    assert figure("source_fresh", source="corp") == figure("ready") == figure("alive") == 1
    assert 0 <= figure("source_lag_seconds", source="corp") < 60
    assert 0 <= figure("cycle_lag_seconds") < 60


def test_what_follows_from_the_state_is_known_after_a_restart_and_counters_begin_anew(outside: Outside) -> None:
    with running(outside.agent) as daemon:
        wait_for(lambda: outside.answers("/readyz"))
        wait_for(lambda: outside.metric("upstream_users", standing="managed", state="active") == 20)
        before = outside.metric("operations_total", verb="create user", outcome="done")
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=20)
    with running(outside.agent):
        wait_for(outside.answers)
        after = outside.metrics()

    assert before == 21
    assert after["rollcall_operations_total", (("outcome", "done"), ("verb", "create user"))] == 0
    assert after["rollcall_upstream_users", (("standing", "managed"), ("state", "active"))] == 20


def test_cycles_operations_and_requests_are_counted(outside: Outside, agent: Agent, scim: ScimService) -> None:
    scim.refuses = lambda user: "no such cost centre" if user["userName"].startswith("u1@") else None
    outside.configure(schedule={"every": "1h"})
    with running(agent):
        wait_for(lambda: outside.answers() and outside.metric("cycles_total", exit_code="1") == 1)
        seen = outside.metrics()
        counts = agent.run("status", "--json").document["cycles"][0]["counts"]

    def figure(name: str, **labels: str) -> float:
        return seen[f"rollcall_{name}", tuple(sorted(labels.items()))]

    assert figure("operations_total", verb="create user", outcome="done") == counts["create user"] == 20
    assert figure("operations_total", verb="create user", outcome="rejected") == 1
    reads, writes = (figure("upstream_requests_total", kind=kind) for kind in ("read", "write"))
    assert (reads + writes, writes) == (counts["requests"], counts["writes"])
    assert figure("cycle_duration_seconds_count") == 1
    assert [figure("cycles_total", exit_code=code) for code in ("0", "2", "3", "4", "5", "defect")] == [0] * 6


def test_one_leaver_whom_the_upstream_does_not_let_go_shows_among_few_rejected_objects(
    outside: Outside, agent: Agent, scim: ScimService
) -> None:
    scim.refuses = lambda user: "no such cost centre" if user["userName"].startswith("u1@") else None
    with running(agent):
        wait_for(lambda: outside.answers("/readyz") and outside.metric("rejected_objects") == 1)
        before = outside.metric("rejected_removals")
        scim.faults.append(Fault(lambda r: r.method == "PATCH" and "/Users/" in r.path, times=1000, status=400))
        agent.ldif.write_text(people(20) + GUEST + group("app-a", *uids(19), "guest"))
        wait_for(lambda: outside.metric("rejected_objects") == 2)
        refused = outside.metric("rejected_removals")
        agent.ldif.write_text(people(20) + GUEST + group("app-a", *uids(20), "guest"))
        wait_for(lambda: outside.metric("rejected_removals") == 0)

    assert (before, refused) == (0, 1)


def test_refused_removals_from_a_group_and_deletions_show_too(agent: Agent, scim: ScimService) -> None:
    outside = Outside(agent, scim)
    agent.configure(scim, guard=OPEN, leavers={"delete_after": "30d", "delete_groups_after": "30d"})
    agent.ldif.write_text(ALL + group("app-b", "u0", "u1"))
    agent.sync()
    agent.ldif.write_text(WITHOUT + group("app-b", "u0", "u1"))
    agent.sync()
    months_pass(agent)
    scim.faults.append(Fault(lambda r: r.method == "DELETE", times=1000, status=403))
    scim.faults.append(Fault(lambda r: r.method == "PATCH" and "/Groups/" in r.path, times=1000, status=400))
    agent.ldif.write_text(WITHOUT + group("app-b", "u0"))
    outside.configure(guard=OPEN, leavers={"delete_after": "30d", "delete_groups_after": "30d"})
    with running(agent):
        wait_for(lambda: outside.answers() and outside.metric("rejected_objects") == 2)
        removals = outside.metric("rejected_removals")
    operations = {row["operation"] for row in agent.run("status", "--json").document["rejected"]}

    assert operations == {"remove members", "delete user"}
    assert removals == 2


def test_cycles_that_push_nothing_are_counted_in_a_row_until_one_does(outside: Outside, scim: ScimService) -> None:
    scim.faults.append(Fault(lambda _request: True, times=100_000, status=401))
    with running(outside.agent):
        wait_for(lambda: outside.answers() and outside.metric("cycles_failed_in_a_row") >= 2)
        scim.faults.clear()
        wait_for(lambda: outside.metric("cycles_failed_in_a_row") == 0)
        assert outside.metric("cycles_total", exit_code="5") >= 2


def test_throttling_is_counted_once_however_many_workers_wait(outside: Outside, scim: ScimService) -> None:
    outside.configure(upstream={"workers": 8}, schedule={"every": "1h"})
    scim.faults.append(Fault(lambda r: r.method == "POST", status=429, headers={"Retry-After": "2"}))
    with running(outside.agent):
        wait_for(lambda: outside.answers() and outside.metric("cycles_total", exit_code="0") == 1)
        seen = outside.metrics()

    assert seen["rollcall_upstream_throttled_total", ()] == 1
    assert 1.5 < seen["rollcall_upstream_throttled_seconds_total", ()] < 6


def test_the_expiry_of_the_token_and_the_limits_of_the_settings_are_there_for_alerts(
    outside: Outside, scim: ScimService
) -> None:
    scim.token = JWT
    outside.configure(notice={"rejected_over": 7, "token_warning": "2d"})
    with running(outside.agent):
        wait_for(outside.answers)
        seen = outside.metrics()

    assert seen["rollcall_token_expires_timestamp_seconds", ()] == 4102444800
    assert seen["rollcall_token_warning_seconds", ()] == 2 * 86_400
    assert seen["rollcall_rejected_objects_limit", ()] == 7


def test_no_secret_and_no_name_of_anybody_is_answered(outside: Outside, scim: ScimService) -> None:
    scim.token = JWT
    scim.refuses = lambda user: f"{user['userName']} is not welcome, and {JWT} neither"
    outside.agent.ldif.write_text(people(2) + group("app-secret-project", *uids(2), "cn=ann,dc=elsewhere"))
    outside.configure()
    with running(outside.agent):
        wait_for(lambda: outside.answers() and outside.metric("rejected_objects") == 2)
        answered = "".join(
            f"{answer.headers}{answer.text}"
            for path in ("/healthz", "/readyz", "/metrics", "/", "/agent.toml", f"/{JWT}", "/../state/audit.jsonl")
            for accept in ("text/plain", "application/json")
            for answer in (outside.get(path, Accept=accept),)
        )

    hidden = [JWT, "u0", "u1", "example.com", "secret-project", "ann", str(outside.agent.directory), scim.url]
    assert [word for word in hidden if word in answered] == []


def test_whoever_asks_without_pause_delays_no_cycle_and_breaks_none(outside: Outside, scim: ScimService) -> None:
    end = threading.Event()

    def ask() -> None:
        while not end.is_set():
            outside.answers("/metrics")

    with running(outside.agent):
        wait_for(outside.answers)
        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        for number in (5, 6, 7):
            outside.agent.ldif.write_text(
                people(20) + group("app-a", *uids(20), "guest") + group("app-b", *uids(number))
            )
            wait_for(lambda number=number: len(scim.membership().get("app-b", ())) == number, seconds=15)
        end.set()
        for thread in asking:
            thread.join()
        seen = outside.metrics()

    assert sum(seen["rollcall_cycles_total", (("exit_code", code),)] for code in ("2", "defect")) == 0
