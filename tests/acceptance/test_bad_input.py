"""Whatever is wrong, one clear sentence names the object and the remedy, and nothing is lost or removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent_runner import Agent
from tests.ldif_text import group, group_dn, people, person, person_dn, uids
from tests.servers.certificates import certificates
from tests.servers.openldap import READER_DN, OpenLdap
from tests.servers.ports import free_port
from tests.servers.scim_service import Fault, ScimService

SMALL = people(3) + group("app-all", *uids(3))


@pytest.fixture
def synced(agent: Agent, scim: ScimService) -> Agent:
    """An agent whose three people stand upstream."""
    agent.ldif.write_text(SMALL)
    agent.configure(scim)
    assert agent.sync()["exit_code"] == 0
    return agent


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("schedule", {"every": "5 minutes"}, ["schedule.every: write a whole number above zero and its unit"]),
        ("schedule", {"evry": "5m"}, ['schedule.evry: is not a setting; did you mean "every"?']),
        ("schedule", {"cron": "every day"}, []),
        ("guard", {"users_share": 5}, ['guard.users_share: write a share as a text like "5%"']),
        ("external", {"managed_domains": ["@example.com"]}, ['"@example.com" is not a domain', 'like "corp.example"']),
        ("external", {"policy": "maybe"}, ["external.policy", "'provision', 'skip' or 'review'"]),
        ("scope", {"groups": []}, ["scope.groups: is empty; name at least one"]),
        ("scope", {"groups": ["app-all"]}, ['"app-all" is not a distinguished name', '"name:app-*"']),
        ("mapping", {"email": "{mail"}, ["mapping.email", "is never closed"]),
        ("mapping", {"email": "{mail | shout}"}, ['there is no function "shout"', "lower"]),
        ("mapping", {"user": {"userName": "{uid}"}}, ['mapping.user: "userName" is set by Rollcall itself']),
        ("upstream", {"url": "http://scim.example.com/v2"}, ["would send the token unencrypted", "https://"]),
        ("upstream", {"token_file": "nowhere"}, ["upstream.token_file", "nowhere cannot be read", "Correct the path"]),
        ("upstream", {"profile": "nobody"}, ["upstream.profile"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_before_anything_is_contacted(
    synced: Agent, scim: ScimService, section: str, values: dict[str, object], said: list[str]
) -> None:
    before = len(scim.requests)
    synced.configure(scim, **{section: values})

    done = synced.run("run" if "cron" in values else "sync")

    assert done.code == 2
    assert len(scim.requests) == before
    for words in said or ['"every day" is not a cron line', '"*/15 6-20 * * 1-5"']:
        assert words in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_several_wrong_settings_are_told_in_one_go(synced: Agent, scim: ScimService) -> None:
    synced.configure(scim, schedule={"every": "soon"}, guard={"users": -1})

    lines = synced.run("check").err.strip().splitlines()

    assert ["schedule.every" in line for line in lines].count(True) == 1
    assert ["guard.users" in line for line in lines].count(True) == 1


def test_a_configuration_that_is_not_there_or_not_toml(synced: Agent) -> None:
    synced.configuration.write_text("[agent\n")
    broken = synced.run("sync")
    synced.configuration.unlink()
    missing = synced.run("sync")

    assert (broken.code, missing.code) == (2, 2)
    assert "is not valid TOML" in broken.err
    assert "does not exist" in missing.err
    assert "agent.example.toml" in missing.err


def test_an_unknown_connector_and_an_unknown_command(synced: Agent, scim: ScimService) -> None:
    synced.configure(scim, {"name": "corp", "connector": "carrier-pigeon"})

    done = synced.run("sync")

    assert done.code == 2
    assert 'there is no connector "carrier-pigeon". Installed: active-directory, ldap, ldif' in done.err
    assert synced.run("snyc").code == 2


def test_a_missing_ldif_file_fails_the_read_and_removes_nothing(synced: Agent, scim: ScimService) -> None:
    before = scim.membership()
    synced.ldif.unlink()

    report = synced.sync()

    assert report["exit_code"] == 4
    assert "directory.ldif cannot be read: No such file or directory" in report["sentences"][0]
    assert scim.membership() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bind_password": "wrong-Password"}, ["refuses the name or password of", "bind_password_file"]),
        ({"bind_dn": "cn=nobody,dc=example,dc=com"}, ["refuses the name or password of cn=nobody"]),
        ({"ca_file": "NO PEM"}, ["holds no certificates in PEM form"]),
        ({"ca_file": "OTHER"}, ["the certificate of ldaps://", "could not be verified", "ca_file"]),
        ({"urls": ["DEAD"]}, ["cannot be reached", "Connection refused"]),
    ],
    ids=["password", "name", "no certificate", "other certificate", "unreachable"],
)
def test_a_source_that_cannot_be_read_is_told_and_removes_nothing(
    openldap: OpenLdap, scim: ScimService, agent: Agent, change: dict[str, object], said: list[str]
) -> None:
    openldap.load(_plain(SMALL))
    openldap.start()
    agent.configure(scim, openldap.settings())
    agent.sync()
    before = scim.membership()
    (agent.directory / "nonsense.pem").write_text("nonsense")
    change = {
        key: str(agent.directory / "nonsense.pem")
        if value == "NO PEM"
        else str(certificates(which="other").authority)
        if value == "OTHER"
        else [f"ldaps://127.0.0.1:{free_port()}"]
        if value == ["DEAD"]
        else value
        for key, value in change.items()
    }

    agent.configure(scim, openldap.settings(**change))
    report, check = agent.sync(), agent.run("check")

    assert (report["exit_code"], check.code) == (4, 4)
    for words in said:
        assert words in report["sentences"][0]
        assert words in check.out
    assert scim.membership() == before


def _plain(ldif: str) -> str:
    return "".join(line + "\n" for line in ldif.splitlines() if not line.startswith("entryUUID:"))


def test_a_bind_name_without_a_password_is_refused_here(openldap: OpenLdap, scim: ScimService, agent: Agent) -> None:
    source = openldap.settings()
    del source["bind_password"]
    agent.configure(scim, source)

    done = agent.run("sync")

    assert done.code == 2
    assert "bind_dn is set and no password is" in done.err
    assert READER_DN not in done.err


def test_a_wrong_token(synced: Agent) -> None:
    synced.ldif.write_text(SMALL + person("late"))
    (synced.directory / "scim.token").write_text("wrong-token")
    synced.ldif.write_text(people(4) + group("app-all", *uids(4)))

    report, check = synced.sync(), synced.run("check")

    assert (report["exit_code"], check.code) == (5, 5)
    assert "refuses the token (401 Unauthorized)" in report["sentences"][0]
    assert "token_file" in report["sentences"][0]
    assert "wrong-token" not in str(report) + check.out + check.err


def test_an_upstream_that_is_not_there(synced: Agent, scim: ScimService) -> None:
    synced.configure(scim, upstream={"url": f"http://127.0.0.1:{free_port()}/scim", "attempts": 1})
    synced.ldif.write_text(people(4) + group("app-all", *uids(4)))

    report = synced.sync()

    assert report["exit_code"] == 5
    assert "cannot be reached" in report["sentences"][0]


def test_an_upstream_that_speaks_html(synced: Agent, scim: ScimService) -> None:
    page = Fault(lambda _request: True, times=1000, status=200, body=b"<html>", headers={"Content-Type": "text/html"})
    scim.faults.append(page)
    synced.ldif.write_text(people(4) + group("app-all", *uids(4)))

    report, check = synced.sync(), synced.run("check")

    assert (report["exit_code"], check.code) == (5, 5)
    assert "is not a SCIM service: it sent text/html instead of JSON" in report["sentences"][0]
    assert "is not a SCIM service" in check.out


def test_a_group_that_does_not_exist_is_named_and_the_others_go_on(agent: Agent, scim: ScimService) -> None:
    agent.ldif.write_text(SMALL)
    agent.configure(scim, scope={"groups": ["name:app-*", group_dn("Gone Fishing"), "name:crm-*"]})

    report, check = agent.sync(), agent.run("check")

    assert (report["exit_code"], check.code) == (1, 2)
    for written in (group_dn("Gone Fishing"), "name:crm-*"):
        assert f'no group answers to "{written}"' in " ".join(report["sentences"])
        assert f'no group answers to "{written}"' in check.out
    assert len(scim.membership()["app-all"]) == 3


def test_an_entry_without_an_address_is_named_and_stays_as_it_was(synced: Agent, scim: ScimService) -> None:
    ldif = person("u0") + person("u1", mail="") + person("u2") + person("nomail", mail="")
    synced.ldif.write_text(ldif + group("app-all", "u0", "u1", "u2", "nomail"))

    report = synced.sync()

    assert report["exit_code"] == 1
    assert sorted(report["sentences"]) == [
        f"{person_dn(uid)} has no e-mail address: {{mail, userPrincipalName, primaryProxyAddress}} is empty. Enter one "
        "in the directory, or name other attributes in [mapping] email."
        for uid in ("nomail", "u1")
    ]
    assert scim.active() == {f"{uid}@example.com" for uid in uids(3)}
    assert scim.membership()["app-all"] == {f"{uid}@example.com" for uid in uids(3)}


def test_two_people_with_one_address_whoever_stands_upstream_keeps_it(synced: Agent, scim: ScimService) -> None:
    twins = person("anna", mail="twin@example.com") + person("bert", mail="TWIN@example.com")
    synced.ldif.write_text(people(3) + person("late", mail="u1@example.com") + twins)
    with synced.ldif.open("a") as file:
        file.write(group("app-all", *uids(3), "late", "anna", "bert"))

    report = synced.sync()
    synced.ldif.write_text(people(3) + person("anna", mail="twin@example.com") + group("app-all", *uids(3), "anna"))
    after = synced.sync()

    assert report["exit_code"] == 1
    assert len(report["sentences"]) == 3
    assert f"{person_dn('late')} has the same user name (u1@example.com) as {person_dn('u1')}" in str(
        report["sentences"]
    )
    assert after["exit_code"] == 0
    assert scim.membership()["app-all"] == {*(f"{uid}@example.com" for uid in uids(3)), "twin@example.com"}


def test_two_selected_groups_with_one_name_are_not_mixed_up(agent: Agent, scim: ScimService) -> None:
    other = group("app-all", "u2", anchor="other").replace("ou=Groups", "ou=Other", 1)
    agent.ldif.write_text(SMALL + other)
    agent.configure(scim)

    report = agent.sync()

    assert report["exit_code"] == 1
    assert len(report["sentences"]) == 2
    assert "has the same name (app-all)" in report["sentences"][0]
    assert scim.groups == {}


def test_a_state_directory_that_cannot_be_made(synced: Agent, scim: ScimService, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    synced.configure(scim, agent={"state_dir": str(tmp_path / "file" / "state")})

    done = synced.run("sync")

    assert done.code == 2
    assert "cannot be created" in done.err


def test_a_damaged_state_is_told(synced: Agent) -> None:
    for file in synced.state.glob("rollcall.sqlite3*"):
        file.write_bytes(b"this is no database" * 100)

    done = synced.run("sync")

    assert done.code == 2
    assert "cannot be used" in done.err


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ROLLCALL_SCOPE__GROUPS", "name:app-all"), ("ROLLCALL_SOURCES", "corp"), ("ROLLCALL_UPSTREAM", "a-t0ken")],
)
def test_an_environment_variable_that_cannot_be_understood_is_named_and_not_shown(
    synced: Agent, variable: str, value: str
) -> None:
    done = synced.run("sync", **{variable: value})

    assert done.code == 2
    assert f"The environment variable {variable} cannot be understood" in done.err
    assert value not in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("rollcall.lock", "Run as the service account"), ("audit.jsonl", "Put the file there again as it was")],
)
def test_a_file_beside_the_state_that_cannot_be_opened_is_told(synced: Agent, name: str, remedy: str) -> None:
    (synced.state / name).unlink()
    (synced.state / name).mkdir()
    synced.ldif.write_text(people(4) + group("app-all", *uids(4)))

    done = synced.run("sync")

    assert done.code == 2
    assert f"{synced.state / name} cannot be opened" in done.err
    assert remedy in done.err


def test_a_state_that_may_not_be_read_is_told_by_plan(synced: Agent) -> None:
    (synced.state / "rollcall.sqlite3").rename(synced.state / "moved")
    (synced.state / "rollcall.sqlite3").mkdir()

    done = synced.run("plan")

    assert done.code == 2
    assert "rollcall.sqlite3 cannot be read: " in done.err
    assert "Run as the service account" in done.err
