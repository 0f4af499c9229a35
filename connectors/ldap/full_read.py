"""The full read: every user and every group below the bases, page by page, and an honest word at its end."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.base import Completeness, EntryFound, EntryUnreadable, ReadEnded, ReadEvent
from connectors.entries import MEMBER_ATTRIBUTES, EntryReader, cut_lists
from connectors.errors import ReadInterrupted
from connectors.ldap.session import ContinuationReference, Session
from connectors.ldap.settings import LdapSettings


def full_read(session: Session, settings: LdapSettings, reader: EntryReader) -> Iterator[ReadEvent]:
    """Yield every entry, then the end of the read.

    COMPLETE needs success on every page of every search, every base found, the sentinel readable, no part of the
    tree on another server, no member list cut short, and an anchor on every entry. Otherwise the read is PARTIAL, or
    FAILED when it brought nothing.
    """
    doubts: list[str] = []
    yielded = False
    # Members are asked for in both searches: a user_filter like (mail=*) finds groups too, and a group that comes
    # without its members looks like one that has lost them all.
    attributes = sorted({*reader.needed, *MEMBER_ATTRIBUTES})
    searches = [(base, settings.user_filter) for base in settings.user_bases]
    searches += [(base, settings.group_filter) for base in settings.group_bases]
    try:
        for base, search_filter in searches:
            for found in session.search(base, search_filter, attributes):
                if isinstance(found, ContinuationReference):
                    if settings.continuation_references == "partial":
                        doubts.append(
                            f"part of {base} is held by another server ({', '.join(found.urls)}) and was not read. Add "
                            'it as a source, or set continuation_references = "ignore" if nobody is there.'
                        )
                    continue
                event = reader.understand(found.dn, found.attributes) or reader.unknown(found.dn, found.attributes)
                if cut := cut_lists(found.attributes):
                    doubts.append(
                        f"{session.url} sent only a part of the members of {found.dn} ({cut[0]}). Raise the server's "
                        "limit of values in one answer."
                    )
                if isinstance(event, EntryUnreadable) and event.anchor is None:
                    doubts.append(f"{event.dn}: {event.reason}")
                yielded = yielded or isinstance(event, EntryFound)
                yield event
        if settings.sentinel is not None and not session.exists(settings.sentinel):
            doubts.append(
                f"the sentinel {settings.sentinel} cannot be read at {session.url}, so the account seems to have lost "
                "rights. Restore them, or correct sentinel."
            )
    except ReadInterrupted as error:
        yield ReadEnded(Completeness.PARTIAL if yielded else Completeness.FAILED, str(error))
        return
    if doubts:
        more = f" And {len(doubts) - 1} more of this kind." if len(doubts) > 1 else ""
        yield ReadEnded(Completeness.PARTIAL, f"source {settings.name}: {doubts[0]}{more} Nothing is removed.")
    else:
        yield ReadEnded(Completeness.COMPLETE)
