"""An LDAP server whose answers a test writes: it plays what real servers cannot be made to do.

It holds a small directory and answers honestly, with paging (RFC 2696) and as far as content synchronisation
(RFC 4533) goes like an OpenLDAP where nothing changed. A script may take the place of any answer:

    def script(search, honest):
        if search.synchronises:
            return [found(dn, attributes, sync_state(ADD, uuid)), done(controls=sync_done(b"cookie"))]
        return honest

    server.script = script
"""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.ldif_text import SUFFIX, anchor_of, group_dn, person_dn
from tests.servers.ber import complete_size, element, elements, integer, text

PAGED_RESULTS = "1.2.840.113556.1.4.319"
SYNC_REQUEST, SYNC_STATE, SYNC_DONE, SYNC_INFO = (f"1.3.6.1.4.1.4203.1.9.1.{number}" for number in (1, 2, 3, 4))
PRESENT, ADD, MODIFY, DELETE = range(4)
ENTRY_CSN = b"20261125070000.000000Z#000000#000#000000"

_BIND, _BOUND, _UNBIND, _SEARCH, _ENTRY, _DONE, _REFERENCE, _EXTENDED, _ANSWERED, _INTERMEDIATE = (
    0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73, 0x77, 0x78, 0x79,
)  # fmt: skip
_BASE_SCOPE = 0
_UNWILLING = 53

Attributes = Mapping[str, Sequence[bytes]]
Controls = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Message:
    """What is sent, without its message id. `raw` bytes take the place of a whole message, however wrong."""

    operation: bytes = b""
    controls: Controls = ()
    raw: bytes = b""
    cuts: bool = False  # the connection is closed instead
    waits: float = 0.0  # seconds before it is sent

    @property
    def is_entry(self) -> bool:
        return self.operation[:1] == bytes([_ENTRY])

    @property
    def is_end(self) -> bool:
        return self.operation[:1] == bytes([_DONE])

    def encoded(self, message_id: int) -> bytes:
        if self.raw:
            return self.raw
        controls = b"".join(element(0x30, text(oid), text(value)) for oid, value in self.controls)
        parts = [integer(message_id), self.operation, element(0xA0, controls) if controls else b""]
        return element(0x30, *parts)


CUT = Message(cuts=True)


@dataclass(frozen=True)
class Search:
    """A search request, taken apart."""

    base: str
    scope: int
    filter: tuple[int, bytes]
    attributes: tuple[str, ...]
    controls: dict[str, bytes] = field(default_factory=dict)

    @property
    def synchronises(self) -> bool:
        """A content synchronisation that goes on from a cookie."""
        return self.sync_cookie is not None

    @property
    def sync_cookie(self) -> bytes | None:
        if SYNC_REQUEST not in self.controls:
            return None
        return next((content for tag, content in _inside(self.controls[SYNC_REQUEST]) if tag == 0x04), None)

    @property
    def reads(self) -> bool:
        """One page of people and groups with everything that is wanted of them."""
        return PAGED_RESULTS in self.controls and "memberuid" in self.attributes

    @property
    def page(self) -> int:
        """The number of the first entry of the page."""
        return int(self._paging[1] or b"0")

    @property
    def page_size(self) -> int:
        return int.from_bytes(self._paging[0], "big")

    @property
    def _paging(self) -> list[bytes]:
        return [content for _, content in _inside(self.controls[PAGED_RESULTS])]

    def finds(self, dn: str, attributes: Attributes) -> bool:
        wanted, name = self.base.lower(), dn.lower()
        if self.scope == _BASE_SCOPE:
            return name == wanted
        return (name == wanted or name.endswith("," + wanted)) and answers_to(self.filter, attributes)


Script = Callable[[Search, list[Message]], Iterable[Message]]


def found(dn: str | bytes, attributes: Attributes, controls: Controls = ()) -> Message:
    listed = (element(0x30, text(name), element(0x31, *map(text, values))) for name, values in attributes.items())
    return Message(element(_ENTRY, text(dn), element(0x30, *listed)), controls)


def reference(*urls: str) -> Message:
    return Message(element(_REFERENCE, *map(text, urls)))


def done(code: int = 0, controls: Controls = (), *, diagnostic: str = "", referral: str = "") -> Message:
    urls = element(0xA3, text(referral)) if referral else b""
    return Message(element(_DONE, integer(code, 0x0A), text(""), text(diagnostic), urls), controls)


def page_end(cookie: bytes = b"") -> Controls:
    return ((PAGED_RESULTS, element(0x30, integer(0), text(cookie))),)


def sync_state(state: int, identity: str | bytes) -> Controls:
    raw = uuid.UUID(identity).bytes if isinstance(identity, str) else identity
    return ((SYNC_STATE, element(0x30, integer(state, 0x0A), text(raw))),)


def sync_done(cookie: bytes | None = None, *, deletes: bool = False) -> Controls:
    parts = [] if cookie is None else [text(cookie)]
    return ((SYNC_DONE, element(0x30, *parts, element(0x01, b"\xff") if deletes else b"")),)


def sync_ids(*identities: str, deleted: bool = False) -> Message:
    uuids = element(0x31, *(text(uuid.UUID(identity).bytes) for identity in identities))
    return sync_info(element(0xA3, element(0x01, b"\xff") if deleted else b"", uuids))


def phase_ended(*, deletes: bool) -> Message:
    return sync_info(element(0xA1 if deletes else 0xA2))


def sync_info(value: bytes) -> Message:
    return Message(element(_INTERMEDIATE, text(SYNC_INFO, 0x80), text(value, 0x81)))


NOTICE_OF_DISCONNECTION = Message(
    raw=element(
        0x30,
        integer(0),
        element(_ANSWERED, integer(52, 0x0A), text(""), text("closing"), text("1.3.6.1.4.1.1466.20036", 0x8A)),
    )
)


class ScriptedLdap:
    """Use as a context manager. Plain LDAP on loopback: the agent needs starttls = false.

    people:   how many there are, as in tests.ldif_text; all are members of the group app-all
    vendor:   attributes of the root DSE that tell the make; OpenLDAP's, unless told otherwise
    """

    def __init__(self, people: int = 30, vendor: Attributes | None = None) -> None:
        self.script: Script = lambda _search, honest: honest
        self.searches: list[Search] = []
        self.root: dict[str, Sequence[bytes]] = {
            "supportedcontrol": [SYNC_REQUEST.encode(), PAGED_RESULTS.encode()],
            **(vendor if vendor is not None else {"objectclass": [b"top", b"OpenLDAProotDSE"]}),
        }
        self.entries: dict[str, dict[str, Sequence[bytes]]] = {
            SUFFIX: {
                "objectclass": [b"organization", b"dcObject"],
                "entryuuid": [anchor_of(SUFFIX).encode()],
                "entrycsn": [ENTRY_CSN],
            }
        }
        self.csn(1)
        for number in range(people):
            self.entries[person_dn(f"u{number}")] = person(f"u{number}")
        self.entries[group_dn("app-all")] = group("app-all", *(f"u{number}" for number in range(people)))

    @property
    def cookie(self) -> bytes:
        return b"rid=000,csn=" + self.entries[SUFFIX]["contextcsn"][0]

    def csn(self, number: int) -> None:
        """Let so many changes have happened: the agent then asks what they were."""
        self.entries[SUFFIX]["contextcsn"] = [f"20261125070000.{number:06}Z#000000#000#000000".encode()]

    def settings(self, **changes: object) -> dict[str, object]:
        """A [[sources]] table for the `ldap` connector."""
        table: dict[str, object] = {
            "name": "corp",
            "connector": "ldap",
            "urls": [f"ldap://127.0.0.1:{self._listener.getsockname()[1]}"],
            "starttls": False,
            "base_dn": SUFFIX,
            "page_size": 10,
            "connect_timeout": 2,
            "time_limit": 2,
        }
        return table | changes

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._stopping = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping = True
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join(timeout=10)
        self._listener.close()

    def honest(self, search: Search) -> list[Message]:
        """The answer of a server without fault."""
        if not search.base:
            return [found("", _some(self.root, search.attributes)), done()]
        shown = self.shown(search)
        if search.base.lower() not in (dn.lower() for dn in shown):
            return [done(32)]
        matches = {dn: held for dn, held in shown.items() if search.finds(dn, held)}
        if SYNC_REQUEST in search.controls:
            if search.synchronises:
                return [done(controls=sync_done())]
            entries = [self._entry(search, dn, sync_state(ADD, _identity(held))) for dn, held in matches.items()]
            return [*entries, done(controls=sync_done(self.cookie, deletes=True))]
        if PAGED_RESULTS not in search.controls:
            return [*(self._entry(search, dn) for dn in matches), done()]
        end = search.page + search.page_size
        page = [self._entry(search, dn) for dn in list(matches)[search.page : end]]
        return [*page, done(controls=page_end(str(end).encode() if end < len(matches) else b""))]

    def shown(self, search: Search) -> Mapping[str, Attributes]:
        """The entries that this search is shown."""
        del search
        return self.entries

    def _entry(self, search: Search, dn: str, controls: Controls = ()) -> Message:
        return found(dn, _some(self.entries[dn], search.attributes), controls)

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._stopping:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        held = b""
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                held += data
                while 0 < (size := complete_size(held)) <= len(held):
                    if not self._answer(connection, held[:size]):
                        return
                    held = held[size:]

    def _answer(self, connection: socket.socket, request: bytes) -> bool:
        (_, identity), (kind, content), *controls = _inside(request)
        message_id = int.from_bytes(identity, "big")
        if kind == _UNBIND:
            return False
        if kind == _BIND:
            success = element(_BOUND, integer(0, 0x0A), text(""), text(""))
            connection.sendall(Message(success).encoded(message_id))
        elif kind == _EXTENDED:
            refused = element(_ANSWERED, integer(_UNWILLING, 0x0A), text(""), text(""))
            connection.sendall(Message(refused).encoded(message_id))
        elif kind == _SEARCH:
            search = _search(content, controls)
            self.searches.append(search)
            for message in self.script(search, self.honest(search)):
                if message.waits:
                    threading.Event().wait(message.waits)
                if message.cuts:
                    return False
                connection.sendall(message.encoded(message_id))
        return True


def person(uid: str) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"inetOrgPerson", b"organizationalPerson", b"person", b"top"],
        "entryuuid": [anchor_of(uid).encode()],
        "entrycsn": [ENTRY_CSN],
        "modifytimestamp": [b"20261125070000Z"],
        "uid": [uid.encode()],
        "cn": [uid.title().encode()],
        "sn": [b"Example"],
        "mail": [f"{uid}@example.com".encode()],
    }


def group(name: str, *uids: str) -> dict[str, Sequence[bytes]]:
    return {
        "objectclass": [b"groupOfNames", b"top"],
        "entryuuid": [anchor_of("group " + name).encode()],
        "entrycsn": [ENTRY_CSN],
        "modifytimestamp": [b"20261125070000Z"],
        "cn": [name.encode()],
        "member": [person_dn(uid).encode() for uid in uids],
    }


def _identity(attributes: Attributes) -> str:
    return attributes["entryuuid"][0].decode()


def _some(attributes: Attributes, wanted: Sequence[str]) -> Attributes:
    return {name: values for name, values in attributes.items() if name.partition(";")[0] in wanted}


def _inside(encoded: bytes) -> list[tuple[int, bytes]]:
    return elements(elements(encoded)[0][1])


def _search(content: bytes, controls: list[tuple[int, bytes]]) -> Search:
    base, scope, _deref, _size, _time, _types_only, wanted, attributes = elements(content)
    return Search(
        base=base[1].decode(),
        scope=int.from_bytes(scope[1], "big"),
        filter=wanted,
        attributes=tuple(name.decode().lower() for _, name in elements(attributes[1])),
        controls=dict(_control(control) for _, listed in controls for _, control in elements(listed)),
    )


def _control(content: bytes) -> tuple[str, bytes]:
    # controlType, then perhaps the criticality, then perhaps the value
    (_, oid), *rest = elements(content)
    return oid.decode(), next((value for tag, value in rest if tag == 0x04), b"")


def answers_to(wanted: tuple[int, bytes], attributes: Attributes) -> bool:
    """Evaluate a filter (RFC 4511, 4.5.1.7): and, or, not, equality, at least, at most, presence."""
    kind, content = wanted
    if kind == 0x87:
        return content.decode().lower() in attributes
    parts = elements(content)
    if kind == 0xA0:
        return all(answers_to(part, attributes) for part in parts)
    if kind == 0xA1:
        return any(answers_to(part, attributes) for part in parts)
    if kind == 0xA2:
        return not answers_to(parts[0], attributes)
    (_, name), (_, value) = parts
    held = attributes.get(name.decode().lower(), ())
    return any(_compares(kind, item.lower(), value.lower()) for item in held)


def _compares(kind: int, held: bytes, value: bytes) -> bool:
    assert kind in {0xA3, 0xA5, 0xA6}, f"the filter {kind:#x} is not played"
    if kind == 0xA3:
        return held == value
    return _at_least(held, value) if kind == 0xA5 else _at_least(value, held)


def _at_least(held: bytes, value: bytes) -> bool:
    return int(held) >= int(value) if held.isdigit() and value.isdigit() else held >= value
