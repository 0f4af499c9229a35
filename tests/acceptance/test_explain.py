"""`rollcall explain WHO`: why somebody is, or is not, provisioned, word by word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.prepared_people import OPEN, OTTO, PreparedPeople, prepared_people
from tests.acceptance.test_daemon import running, wait_for
from tests.agent_runner import Agent
from tests.ldif_text import anchor_of, group, group_dn, people, person, person_dn, uids
from tests.servers.scim_service import Fault, ScimService
from tests.servers.scripted_active_directory import sid_of

EXPECTED = Path(__file__).parent / "explanations"
KEYS = {
    "who", "found", "verdict", "as_of", "read_at", "settings_changed", "sources", "matched_by", "candidates", "entries",
    "listed_by", "paths", "more_paths", "memberships", "policy", "mapping", "upstream", "former_accounts", "attempts",
    "attempts_complete", "refusals", "next", "group", "unknown_members", "state",
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedPeople]:
    """Neither the directories nor the service answer any more."""
    with prepared_people(tmp_path_factory.mktemp("prepared")) as people:
        yield people


@pytest.mark.parametrize(
    ("who", "case", "code"),
    [
        ("Nina@Example.COM", "in_by_nesting", 0),
        ("priya@example.com", "in_by_primary_group", 0),
        ("tom", "in_by_two_paths", 0),
        ("dora@example.com", "out_by_disabled", 0),
        ("filip@example.com", "out_by_filter", 1),
        ("paula@partner.example", "out_by_policy", 0),
        ("mia", "out_by_no_mail", 0),
        ("ada@example.com", "out_by_ambiguous", 0),
        ("rita@example.com", "out_by_rejected", 0),
        (OTTO, "out_by_unknown_domain", 1),
        ("bea@board.example", "out_by_protected", 0),
        ("greg@example.com", "out_by_grace", 0),
        ("zoe@example.com", "out_by_not_found", 1),
    ],
)
def test_the_prepared_people_are_explained_word_by_word(
    prepared: PreparedPeople, who: str, case: str, code: int
) -> None:
    done = prepared.explain(who)

    assert done.out == (EXPECTED / f"{case}.txt").read_text(encoding="utf-8")
    assert (done.code, done.err) == (code, "")


@pytest.mark.parametrize(
    "who", ["nina", "dora", "filip", OTTO, "bea@board.example", "app-a", "u0@example.com", "nobody"]
)
def test_the_document_has_the_same_keys_whatever_was_found(prepared: PreparedPeople, who: str) -> None:
    done = prepared.explain(who, "--json")

    assert done.document.keys() == KEYS
    assert done.document["verdict"].keys() == {"provisioned", "sentence", "remedy"}
    assert prepared.explain(who).out.startswith(done.document["verdict"]["sentence"] + "\n")


def test_the_document_holds_what_the_text_says(prepared: PreparedPeople) -> None:
    tom = prepared.explain("tom@example.com", "--json").document
    rita = prepared.explain("rita@example.com", "--json").document

    assert (tom["found"], tom["verdict"]["provisioned"], tom["upstream"]["scim_id"]) == ("person", True, "<id of tom>")
    assert [path["groups"] for path in tom["paths"]] == [["app-a"], ["app-a", "team"], ["app-b"]]
    assert [path["dns"] for path in tom["paths"]][1] == [group_dn("app-a"), group_dn("team")]
    assert {item["attribute"]: item["result"] for item in tom["mapping"]["attributes"]}["displayName"] == "Tom Example"
    assert tom["next"] == []
    assert [step["verb"] for step in rita["next"]] == ["create user", "add to group"]
    assert rita["refusals"][0].keys() == {
        "operation", "object", "reason", "attempts", "first_at", "next_attempt_at", "final",
    }  # fmt: skip


@pytest.mark.parametrize(
    "who",
    [
        "uid=NINA , OU=People,dc=example,DC=com",
        anchor_of("nina").upper(),
        "{" + anchor_of("nina") + "}",
        "NINA",
        "nina example",
        " nina@EXAMPLE.com ",
    ],
)
def test_somebody_is_found_by_whatever_is_known_without_regard_to_case(prepared: PreparedPeople, who: str) -> None:
    assert prepared.explain(who).out.startswith("nina@example.com is provisioned")


def test_somebody_is_found_by_scim_id_sid_and_account_name(prepared: PreparedPeople) -> None:
    nina = next(scim_id for scim_id, name in prepared.scim_ids.items() if name == "nina")

    assert prepared.explain(nina.upper()).out.startswith("nina@example.com is provisioned")
    assert prepared.explain(sid_of("priya")).out.startswith("priya@example.com is provisioned")
    assert prepared.explain("PRIYA").out.startswith("priya@example.com is provisioned")


def test_of_several_that_answer_all_are_listed_and_the_exit_code_asks_for_a_more_exact_one(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim)
    twins = person("b", mail="b@example.com") + person("a", mail="a@example.com")
    agent.ldif.write_text(twins.replace("cn: B Example", "cn: A Example") + group("app-a", "a", "b"))
    agent.sync()

    done, document = agent.run("explain", "a example"), agent.run("explain", "a example", "--json").document

    assert done.code == 2
    assert done.out.startswith("a example may be any of 2 entries.\nAsk for one of them by its DN or anchor.\n")
    for uid in ("a", "b"):
        assert f"  {person_dn(uid)} (user of source corp), by name; anchor {anchor_of(uid)}\n" in done.out
    assert [item["dn"] for item in document["candidates"]] == [person_dn("a"), person_dn("b")]
    assert agent.run("explain", anchor_of("a")).code == 0


def test_an_exact_way_to_be_known_goes_before_a_name(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    namesake = person("b", extra="displayName: a@example.com\n").replace("cn: B Example", f"cn: {anchor_of('a')}")
    agent.ldif.write_text(person("a") + namesake + group("app-a", "a", "b"))
    agent.sync()

    for who in ("a@example.com", anchor_of("a"), "a"):
        assert agent.run("explain", who).out.startswith("a@example.com is provisioned"), who


def test_who_was_deleted_and_made_again_is_one_and_who_is_gone_is_told_with_the_evidence(
    agent: Agent, scim: ScimService
) -> None:
    agent.configure(scim, guard=OPEN)
    agent.ldif.write_text(person("a") + person("b") + person("c") + group("app-a", "a", "b", "c"))
    agent.sync()
    agent.ldif.write_text(person("a", anchor=anchor_of("again")) + person("c") + group("app-a", "a", "c"))
    agent.sync()

    for who in ("a@example.com", person_dn("a"), "a"):
        done = agent.run("explain", who)
        assert done.out.startswith("a@example.com is provisioned"), who
        assert f"anchor {anchor_of('again')}" in done.out
    evidence = "it is gone from source corp (absent from the complete read 2 of source corp "
    for who in ("b@example.com", person_dn("b"), anchor_of("b")):
        assert agent.run("explain", who).out.startswith(f"b@example.com is not provisioned: {evidence}"), who


def test_an_address_is_the_same_in_every_spelling_and_may_be_the_one_upstream(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, scope={"groups": ["name:app-*"]})
    everybody = person("anna", mail="Anna@Bücher.example") + person("outsider", mail=" Zoë@käse.example")
    agent.ldif.write_text(everybody + group("app-a", "anna"), encoding="utf-8")
    agent.sync()
    scim.faults.append(Fault(lambda request: request.method == "PUT", times=99, status=400))
    agent.ldif.write_text(everybody.replace("Anna@Bücher", "anna@neu") + group("app-a", "anna"), encoding="utf-8")
    agent.sync()

    assert "differs from what the upstream acknowledged" in agent.run("explain", "anna").out
    for who in ("anna@xn--bcher-kva.example", "ANNA@BÜCHER.EXAMPLE", "anna@neu.example"):
        assert person_dn("anna") in agent.run("explain", who).out, who
    for who in ("ZOË@KÄSE.example", "zoë@xn--kse-qla.example"):
        assert "not provisioned: no group lists it" in agent.run("explain", who).out, who


HOSTILE = {
    "": "WHO is empty",
    "   ": "WHO is empty",
    "anna\x1b[2J": "control characters",
    "anna\nben": "control characters",
    "x" * 2000: "longer than 1000 characters",
}


@pytest.mark.parametrize("who", HOSTILE)
def test_what_nobody_can_be_called_is_refused(prepared: PreparedPeople, who: str) -> None:
    done = prepared.explain(who)

    assert (done.code, done.out) == (2, "")
    assert HOSTILE[who] in done.err
    assert "\x1b" not in done.err


LITERAL = ["%", "_", "n%na@example.com", "n_na", "[bold]nina[/bold]", "' or 1=1 --", '"', "\\", "*", "=", "cn=", "@"]


@pytest.mark.parametrize("who", [*LITERAL, "\u00e9" * 300, "\u00e9e" * 300], ids=ascii)
def test_wildcards_markup_and_quotes_are_only_themselves(prepared: PreparedPeople, who: str) -> None:
    done = prepared.explain(who)

    assert done.code == 1
    assert done.out.startswith(f"{who} is not provisioned: it is in no source.\n")


def test_nothing_in_a_directory_controls_the_terminal(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    evil = person("eve", extra="displayName:: " + "G1syShtdMDt4Bw==" + "\n")  # ESC[2J and the like
    marked = person("mark", extra="displayName: [bold red]x[/bold red] :smile:\n")
    agent.ldif.write_text(evil + marked + group("app-a", "eve", "mark"))
    agent.sync()

    out = agent.run("explain", "eve").out

    assert not set(out) & {"\x1b", "\x07"}
    assert "displayname = \\x1b" in out
    assert "[bold red]x[/bold red] :smile:" in agent.run("explain", "mark").out


def test_without_a_state_it_says_so_and_makes_none(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))

    done, document = agent.run("explain", "u0"), agent.run("explain", "u0", "--json")

    assert (done.code, document.code) == (1, 1)
    sync = f"rollcall sync --config {agent.configuration}"
    assert done.out == f"Nothing is known yet: there is no state in {agent.state}. Run {sync}.\n"
    assert document.document == {"who": "u0", "found": "nobody", "state": None}
    assert not agent.state.exists()


def test_changed_settings_are_said(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim)
    agent.ldif.write_text(people(1) + group("app-a", "u0"))
    agent.sync()
    assert "settings have changed" not in agent.run("explain", "u0").out
    agent.configure(scim, scope={"groups": ["name:other-*"]})

    done = agent.run("explain", "u0")

    assert "The settings have changed since: rules and mapping are those of today" in done.out
    assert agent.run("explain", "u0", "--json").document["settings_changed"] is True


def test_it_looks_on_while_the_daemon_works_and_changes_nothing(agent: Agent, scim: ScimService) -> None:
    agent.configure(scim, schedule={"every": "1s"})
    agent.ldif.write_text(people(40) + group("app-a", *uids(40)))
    with running(agent):
        wait_for(lambda: len(scim.membership().get("app-a", ())) == 40)
        for number in range(12):
            agent.ldif.write_text(people(40 + number) + group("app-a", *uids(40 + number)))
            done = agent.run("explain", f"u{number}@example.com")
            assert (done.code, done.err) == (0, "")
            assert done.out.startswith(f"u{number}@example.com is provisioned: active upstream as SCIM id ")
    requests = len(scim.requests)
    before = {path.name: path.read_bytes() for path in agent.state.iterdir() if path.suffix == ".jsonl"}

    assert agent.run("explain", "u1").code == 0

    assert len(scim.requests) == requests
    assert {path.name: path.read_bytes() for path in agent.state.iterdir() if path.suffix == ".jsonl"} == before
