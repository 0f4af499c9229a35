"""The `ldap` connector when the server, the network or its rights let it down: it says so, and never raises."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from connectors.base import (
    Completeness,
    Entry,
    EntryFound,
    EntryKind,
    EntryUnreadable,
    Finding,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    Wanted,
)
from connectors.ldap import LdapConnector, LdapSettings
from connectors.ldap.opening import open_session
from tests.connectors.conftest import plain
from tests.ldif_text import SUFFIX, group, people, person, uids
from tests.servers.ldap_fault_proxy import LdapFaultProxy
from tests.servers.openldap import READER_DN, READER_PASSWORD, OpenLdap

PAGE = 20


def events(table: dict[str, object]) -> list[ReadEvent]:
    connector = LdapConnector(LdapSettings(**table))  # type: ignore[arg-type]
    read = list(connector.read(Wanted(frozenset({"mail"})), None))
    assert isinstance(read[0], ReadStarted)
    return read


def end(read: list[ReadEvent]) -> ReadEnded:
    assert isinstance(read[-1], ReadEnded)
    return read[-1]


def entries(read: list[ReadEvent]) -> list[Entry]:
    return [event.entry for event in read if isinstance(event, EntryFound)]


def through(directory: OpenLdap, proxy: LdapFaultProxy, **changes: object) -> dict[str, object]:
    return directory.settings(urls=[proxy.url], starttls=False, page_size=PAGE, **changes)


@pytest.mark.parametrize(
    ("code", "name"),
    [(3, "timeLimitExceeded"), (4, "sizeLimitExceeded"), (51, "busy"), (52, "unavailable"), (1, "operationsError")],
)
@pytest.mark.parametrize(("search", "arrived"), [(1, 20), (2, 40)])
def test_an_error_on_any_page_is_partial_and_what_came_before_it_counts(
    fifty: OpenLdap, proxy: LdapFaultProxy, code: int, name: str, search: int, arrived: int
) -> None:
    proxy.result_code, proxy.at_search = code, search

    read = events(through(fifty, proxy))

    assert end(read).completeness is Completeness.PARTIAL
    assert f"ended with {name} ({code}) after {arrived} entries" in end(read).reason
    assert SUFFIX in end(read).reason
    # The account that reads is among the first page's entries and is no person.
    assert len(entries(read)) == arrived


def test_a_connection_cut_within_the_first_page_is_failed_and_within_the_second_partial(
    fifty: OpenLdap, proxy: LdapFaultProxy
) -> None:
    proxy.cut_after_entries = 5
    first = end(events(through(fifty, proxy)))
    proxy.cut_after_entries = 25
    second = end(events(through(fifty, proxy)))

    assert (first.completeness, second.completeness) == (Completeness.FAILED, Completeness.PARTIAL)
    assert "was lost after 0 entries" in first.reason
    assert "was lost after 20 entries" in second.reason


def test_an_answer_that_never_comes_ends_the_read_in_time(fifty: OpenLdap, proxy: LdapFaultProxy) -> None:
    proxy.swallow_search = 2

    read = events(through(fifty, proxy, connect_timeout=1, time_limit=1))

    assert end(read).completeness is Completeness.PARTIAL
    assert "timed out" in end(read).reason


@pytest.mark.parametrize("page_size", [5, 1000])
def test_the_server_s_own_size_limit_is_partial_with_what_it_let_through(tmp_path: Path, page_size: int) -> None:
    server = OpenLdap(tmp_path, limits="sizelimit size.soft=10 size.hard=10 size.prtotal=30")
    server.load(plain(people(50)))
    with server:
        read = events(server.settings(page_size=page_size, base_dn=f"ou=People,{SUFFIX}"))

    assert end(read).completeness is Completeness.PARTIAL
    assert "sizeLimitExceeded (4) after 30 entries" in end(read).reason


def test_a_member_list_sent_in_part_is_neither_a_complete_list_nor_a_complete_read(
    openldap: OpenLdap,
) -> None:
    marked = group("g", *uids(3)).replace("member:", "member;lang-abcdefg:")
    openldap.load(plain(people(5) + marked))
    openldap.start()
    with LdapFaultProxy(openldap.port) as proxy:
        proxy.swap = (b"member;lang-abcdefg", b"member;range=0-1499")
        read = events(through(openldap, proxy))

    groups = [entry for entry in entries(read) if entry.kind is EntryKind.GROUP]
    lists = {(len(entry.members.names), entry.members.complete) for entry in groups if entry.members}
    assert lists == {(3, False)}
    assert end(read).completeness is Completeness.PARTIAL
    assert f"the values of cn=g,ou=Groups,{SUFFIX} could not all be fetched" in end(read).reason
    assert "the values from number 0 on came under the range member;range=0-1499, 3 of them" in end(read).reason


def test_a_group_found_by_the_user_filter_comes_with_its_members(fifty: OpenLdap) -> None:
    missing = f"ou=Nowhere,{SUFFIX}"

    read = events(fifty.settings(user_filter="(cn=*)", group_base_dn=missing))

    groups = [entry for entry in entries(read) if entry.kind is EntryKind.GROUP]
    assert end(read).completeness is Completeness.PARTIAL
    assert missing in end(read).reason
    assert [len(found.members.names) for found in groups if found.members] == [50]


def test_entries_whose_object_class_may_not_be_read_are_not_taken_for_gone(tmp_path: Path) -> None:
    server = OpenLdap(tmp_path, access="access to attrs=objectClass by * search")
    server.load(plain(people(3)))
    with server:
        read = events(server.settings())

    unreadable = [event for event in read if isinstance(event, EntryUnreadable)]
    assert {event.dn for event in unreadable} == {f"uid={uid},ou=People,{SUFFIX}" for uid in uids(3)}
    assert all(event.anchor is not None and "objectClass cannot be read" in event.reason for event in unreadable)


def test_the_first_base_missing_is_failed_and_names_it(fifty: OpenLdap) -> None:
    read = end(events(fifty.settings(base_dn=[f"ou=Nowhere,{SUFFIX}", SUFFIX])))

    assert read.completeness is Completeness.FAILED
    assert f"there is no ou=Nowhere,{SUFFIX}" in read.reason
    assert "Correct base_dn" in read.reason


def test_a_busy_bind_asks_the_next_server_and_a_refused_one_does_not(fifty: OpenLdap) -> None:
    second = f"ldap://127.0.0.1:{fifty.port}"
    with _answering(_bind_response(51)) as busy:
        alone = end(events(fifty.settings(urls=[busy], starttls=False)))
        read = end(events(fifty.settings(urls=[busy, second], starttls=False)))
    with _answering(_bind_response(49)) as refusing:
        refused = end(events(fifty.settings(urls=[refusing, second], starttls=False)))

    assert alone.completeness is Completeness.FAILED
    assert "cannot serve the logon" in alone.reason
    assert "busy" in alone.reason
    assert read.completeness is Completeness.COMPLETE
    assert refused.completeness is Completeness.FAILED
    assert "refuses the name or password" in refused.reason
    assert READER_PASSWORD not in refused.reason


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (49, b"AcceptSecurityContext error, data 775, v4563", "The account is locked."),
        (49, b"AcceptSecurityContext error, data 52E, v4563", "The name or the password is wrong."),
        (49, b"data abc", "Check bind_dn"),
        (8, b"BindSimple: Transport encryption required.", "strongerAuthRequired"),
        (13, b"confidentiality required", "Use ldaps:// or StartTLS."),
    ],
)
def test_a_refused_logon_is_told_in_words(fifty: OpenLdap, code: int, said: bytes, told: str) -> None:
    with _answering(_bind_response(code, said)) as refusing:
        read = end(events(fifty.settings(urls=[refusing], starttls=False)))

    assert read.completeness is Completeness.FAILED
    assert told in read.reason
    assert READER_PASSWORD not in read.reason


@pytest.mark.parametrize(
    "answer",
    [
        b"\x30\x05\x02\x01\x01\x61\x00",  # a bind response without a result
        b"\x30\x03\x02\x01\x01",  # a message without an operation
        b"\x02\x01\x01",  # no message at all
        b"\x30\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("starttls", [True, False])
def test_a_server_that_speaks_something_else_is_unreachable(fifty: OpenLdap, answer: bytes, *, starttls: bool) -> None:
    with _answering(answer) as url:
        table = fifty.settings(urls=[url], starttls=starttls, connect_timeout=1, time_limit=1)
        read = end(events(table))
        findings = list(LdapConnector(LdapSettings(**table)).check())  # type: ignore[arg-type]

    assert read.completeness is Completeness.FAILED
    assert f"{url} cannot be reached" in read.reason
    assert [finding.ok for finding in findings] == [False]


def test_many_servers_that_never_answer_end_before_the_agent_is_taken_for_hanging(
    fifty: OpenLdap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.ldap.opening._LONGEST_OPENING", 6.0)
    with ExitStack() as dead:
        silent = [dead.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(8)]
        urls = [f"ldap://127.0.0.1:{server.getsockname()[1]}" for server in silent]
        began = time.monotonic()
        read = end(events(fifty.settings(urls=urls, connect_timeout=1, time_limit=3)))
        took = time.monotonic() - began

    assert read.completeness is Completeness.FAILED
    assert re.search(
        r"\b[1-7] servers were tried and did not let the agent in within 6 seconds, so no fur", read.reason
    )
    assert urls[0] in read.reason
    assert urls[-1] not in read.reason
    assert took < 6


def test_the_patience_of_opening_is_not_that_of_reading(fifty: OpenLdap) -> None:
    session = open_session(LdapSettings(**fifty.settings(connect_timeout=60, time_limit=230)))  # type: ignore[arg-type]
    with closing(session):
        assert session._connection.socket.gettimeout() == 290


@pytest.mark.parametrize(("setting", "longest"), [("connect_timeout", 60), ("time_limit", 230)])
def test_a_time_that_makes_the_agent_look_as_if_it_hung_is_refused(fifty: OpenLdap, setting: str, longest: int) -> None:
    assert LdapSettings(**fifty.settings(**{setting: longest}))  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=rf"write {longest} seconds at most: .* 300 seconds of silence"):
        LdapSettings(**fifty.settings(**{setting: longest + 1}))  # type: ignore[arg-type]


def test_ldaps_to_a_port_without_tls_says_what_to_change(fifty: OpenLdap) -> None:
    with _answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        read = end(events(fifty.settings(urls=[url.replace("ldap:", "ldaps:")])))

    assert "answers, and not in TLS. Correct the port" in read.reason


def test_a_host_name_no_resolver_takes_is_unreachable(fifty: OpenLdap) -> None:
    read = end(events(fifty.settings(urls=[f"ldaps://{'a' * 70}.example"])))

    assert read.completeness is Completeness.FAILED
    assert "cannot be reached" in read.reason


def test_an_authority_s_file_that_went_away_fails_the_read(fifty: OpenLdap, tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    file.write_text("soon gone")
    connector = LdapConnector(LdapSettings(**fifty.settings(ca_file=str(file))))  # type: ignore[arg-type]
    file.unlink()

    read = end(list(connector.read(Wanted(), None)))

    assert read.completeness is Completeness.FAILED
    assert f"ca_file {file}" in read.reason


def check(table: dict[str, object]) -> list[Finding]:
    return list(LdapConnector(LdapSettings(**table)).check())  # type: ignore[arg-type]


def test_check_says_what_can_be_read(fifty: OpenLdap) -> None:
    findings = check(fifty.settings(sentinel=f"uid=u1,ou=People,{SUFFIX}"))

    assert all(finding.ok for finding in findings)
    assert [finding.message for finding in findings] == [
        f"{fifty.url} answers and accepts {READER_DN}",
        f"{SUFFIX} can be read",
        f"the sentinel uid=u1,ou=People,{SUFFIX} can be read",
        "a user and its entryUUID can be read",
        "a group and its entryUUID can be read",
        "members of groups can be read",
        "changes are found by timestamps, if all show modifyTimestamp as the first people and groups do",
    ]


def test_check_names_every_missing_base_and_the_sentinel_with_a_remedy(fifty: OpenLdap) -> None:
    findings = check(
        fifty.settings(base_dn=[f"ou=A,{SUFFIX}", SUFFIX, f"ou=B,{SUFFIX}"], sentinel=f"uid=nobody,{SUFFIX}")
    )

    wrong = [finding for finding in findings if not finding.ok]
    assert [finding.message.partition(",")[0] for finding in wrong] == [
        "there is no ou=A",
        "there is no ou=B",
        "the sentinel uid=nobody",
    ]
    assert all(finding.remedy for finding in wrong)


def test_check_asks_for_one_entry_only(openldap: OpenLdap) -> None:
    openldap.load(plain(person("u1") + person("u2") + group("g", "u1")))
    openldap.start()
    with LdapFaultProxy(openldap.port) as proxy:
        # The base, a person, the root DSE and the schema, a group, one with a member; then the root DSE again, and
        # entryCSN of the base and of a person.
        proxy.cut_after_entries = 9
        findings = check(openldap.settings(urls=[proxy.url], starttls=False))

    assert [finding.ok for finding in findings] == [True] * 6


def _bind_response(code: int, said: bytes = b"") -> Callable[[bytes], bytes]:
    """Make the answer to a bind: the request's message id, the code, no DN, and what the server says of it."""

    def answer(request: bytes) -> bytes:
        start = 2 + (request[1] & 0x7F if request[1] & 0x80 else 0)
        message_id = request[start : start + 2 + request[start + 1]]
        operation = b"\x0a\x01" + bytes([code]) + b"\x04\x00\x04" + bytes([len(said)]) + said
        content = message_id + b"\x61" + bytes([len(operation)]) + operation
        return b"\x30" + bytes([len(content)]) + content

    return answer


@contextmanager
def _answering(answer: bytes | Callable[[bytes], bytes]) -> Iterator[str]:
    """Serve one answer to whatever is said first, on every connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with closing(client):
                request = client.recv(4096)
                if not request:
                    return
                client.sendall(answer if isinstance(answer, bytes) else answer(request))

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]
    try:
        yield f"ldap://127.0.0.1:{port}"
    finally:
        with socket.create_connection(("127.0.0.1", port)) as last:
            last.shutdown(socket.SHUT_WR)
            thread.join()
        listener.close()
