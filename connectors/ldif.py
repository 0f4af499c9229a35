"""The `ldif` connector: a source that is a file of content records (RFC 2849)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from connectors.base import (
    Checkpoint,
    Completeness,
    EntryFound,
    EntryUnreadable,
    Extent,
    Finding,
    ReadEnded,
    ReadEvent,
    ReadStarted,
    SourceSettings,
    Wanted,
)
from connectors.entries import EntrySettings, cut_lists, reader_of

Record = tuple[str, dict[str, list[bytes]]]


class LdifSettings(EntrySettings):
    """[[sources]] with connector = "ldif"."""

    file: Path

    @property
    def reads(self) -> tuple[str, ...]:
        """The file comes first."""
        return (f"the file {self.file}", *super().reads)


class LdifError(ValueError):
    """A line that is not LDIF as this connector reads it; the text names the line and the remedy."""


class LdifConnector:
    """Reads the whole file each time; every read is FULL."""

    settings_type: ClassVar[type[SourceSettings]] = LdifSettings

    def __init__(self, settings: SourceSettings) -> None:
        if not isinstance(settings, LdifSettings):
            raise TypeError("LdifConnector takes LdifSettings")
        self._settings = settings

    def fingerprint(self, wanted: Wanted) -> str:
        """Everything that decides what a read brings; the place of the file does not."""
        described = self._settings.model_dump_json(exclude={"file", "name", "connector"})
        return hashlib.sha256(f"{described}{sorted(wanted.attributes)}".encode()).hexdigest()

    def read(self, wanted: Wanted, since: Checkpoint | None) -> Iterator[ReadEvent]:
        """Yield the entries of the file."""
        del since
        yield ReadStarted(Extent.FULL, str(self._settings.file))
        reader = reader_of(self._settings, wanted)
        anchors: dict[str, str] = {}
        doubts: list[str] = []
        where = f"source {self._settings.name}"
        try:
            for dn, attributes in records(self._settings.file):
                event = reader.understand(dn, attributes)
                if isinstance(event, EntryUnreadable) and event.anchor is None:
                    doubts.append(f"{dn}: {event.reason}")
                if isinstance(event, EntryFound):
                    other = anchors.get(event.entry.anchor)
                    if other is not None:
                        doubts.append(
                            f"{dn} stands in the file twice; remove one of the two records."
                            if other == dn
                            else f"{dn} and {other} have the same {self._settings.anchor}; correct one of them."
                        )
                        continue
                    anchors[event.entry.anchor] = dn
                    if cut := cut_lists(attributes):
                        doubts.append(f"{dn}: {cut[0]} is a part of the members only. Export the whole list.")
                if event is not None:
                    yield event
        except LdifError as error:
            completeness = Completeness.PARTIAL if anchors else Completeness.FAILED
            yield ReadEnded(completeness, f"{where}: {error} Nothing is removed.")
            return
        except OSError as error:
            yield ReadEnded(
                Completeness.FAILED,
                f"{where}: the file {self._settings.file} cannot be read: {error.strerror}. Correct the path or its "
                "rights. Nothing is removed.",
            )
            return
        if doubts:
            yield ReadEnded(Completeness.PARTIAL, f"{where}: {doubts[0]} What was not read stays as it was.")
        else:
            yield ReadEnded(Completeness.COMPLETE)

    def check(self) -> Iterator[Finding]:
        """Read the file once."""
        subject = f"source {self._settings.name}"
        users = groups = 0
        for event in self.read(Wanted(), None):
            if isinstance(event, EntryFound):
                groups += event.entry.members is not None
                users += event.entry.members is None
            elif isinstance(event, EntryUnreadable):
                yield Finding(subject, ok=False, message=f"{event.dn}: {event.reason}")
            elif isinstance(event, ReadEnded):
                if event.completeness is Completeness.COMPLETE:
                    message = f"{self._settings.file} holds {users} people and {groups} groups"
                    yield Finding(subject, ok=True, message=message)
                else:
                    yield Finding(subject, ok=False, message=event.reason)

    def close(self) -> None:
        """There is nothing to let go of."""


def records(path: Path) -> Iterator[Record]:
    """Yield (DN, attributes) of each content record, lower-case types with their options.

    Raises LdifError with the number of the line, and OSError.
    """
    record: list[tuple[int, str]] = []
    for number, line in _unfolded(path):
        if line:
            record.append((number, line))
        elif record:
            yield from _record(record, path)
            record = []
    if record:
        yield from _record(record, path)


def _unfolded(path: Path) -> Iterator[tuple[int, str]]:
    """Yield whole lines with the number of their first line; comments are dropped with their continuations."""
    first, parts = 0, list[str]()
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                # RFC 2849: every line ends in a separator. A member's name cut in the middle may still be a name.
                raise LdifError(
                    f"{path}, line {number}: the file ends in the middle of a line, as if its copy had been cut short. "
                    "Copy it again, or end its last line with a line break."
                )
            try:
                # RFC 2849 wants base64 for anything beyond ASCII; people write UTF-8 all the same.
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                raise LdifError(f"{path}, line {number}: it is not UTF-8. Save the file as UTF-8.") from None
            if line.startswith(" "):
                if not parts:
                    raise LdifError(f"{path}, line {number}: it continues nothing. Remove the blank at its start.")
                parts.append(line[1:])
                continue
            if parts and not parts[0].startswith("#"):
                yield first, "".join(parts)
            first, parts = number, [line]
    if parts and not parts[0].startswith("#"):
        yield first, "".join(parts)


def _record(lines: list[tuple[int, str]], path: Path) -> Iterator[Record]:
    dn: str | None = None
    attributes: dict[str, list[bytes]] = {}
    for number, line in lines:
        key, value = _attribute(line, number, path)
        if dn is None and key == "version":
            continue
        if dn is None:
            if key != "dn":
                raise LdifError(f'{path}, line {number}: a record begins with "dn:", found "{key}:". Correct it.')
            try:
                dn = value.decode("utf-8")
            except UnicodeDecodeError:
                raise LdifError(f"{path}, line {number}: the DN is not UTF-8. Correct it.") from None
        elif key == "changetype":
            raise LdifError(
                f"{path}, line {number}: this is a change record, and a source holds entries. Export the entries "
                "themselves."
            )
        else:
            attributes.setdefault(key, []).append(value)
    if dn is not None:
        yield dn, attributes


def _attribute(line: str, number: int, path: Path) -> tuple[str, bytes]:
    key, colon, rest = line.partition(":")
    if not colon or not key.strip():
        raise LdifError(f'{path}, line {number}: it is not "attribute: value". Correct it.')
    if rest.startswith("<"):
        raise LdifError(f"{path}, line {number}: values from other files (:<) are not read. Write the value itself.")
    if rest.startswith(":"):
        try:
            return key.lower(), base64.b64decode(rest[1:].strip(), validate=True)
        except binascii.Error:
            raise LdifError(f"{path}, line {number}: the value after :: is not base64. Correct it.") from None
    return key.lower(), rest.lstrip(" ").encode()  # RFC 2849: FILL is any number of blanks
