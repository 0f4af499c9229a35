"""What an administrator has to know although nothing failed: who is held back, and what is left as it is upstream."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection, Row, func, select

from agent.connection import Connection as Settled
from agent.directory.unread import UNSEEN
from agent.idle_lines import idle_lines
from agent.plan.locks import Locks
from agent.plan.queries import active_and_unlisted, lists_are_known, profiles_that_differ, protected_from_removal
from agent.restored_sources import left_as_they_stand
from agent.restored_state import ELSEWHERE
from agent.state.facts import fact_of
from agent.state.tables import desired_user, ledger_user
from agent.upstream.ledger import SWITCHED_ON

CANNOT_BE_ASKED = "why the daemon cannot be asked"  # a fact that the daemon writes
_SHOWN = 20
_FEW = 5
_KEPT_AS_IT_IS = "The profile is the person's own there, and is left as it is; memberships are kept up"


def notices_now(reader: Connection, connection: Settled) -> list[str]:
    """Return every notice, in sentences, with some examples of each kind."""
    return [
        *(sentence for sentence in (fact_of(reader, CANNOT_BE_ASKED),) if sentence),
        *held_back(reader),
        *differing_profiles(reader, connection.locks),
        *_unlinked(reader),
        *_protected(reader),
        *_kept_active(reader, connection.source_names),
        *_switched_on(reader),
        *_about_the_back_up(reader, connection),
        *idle_lines(reader, connection),
    ]


def notices_of_cycle(reader: Connection, connection: Settled) -> list[str]:
    """Return the notices of a cycle, before its marks are settled. Of profiles that differ, only what is new."""
    return [
        *held_back(reader),
        *differing_profiles(reader, connection.locks, marked_only=True),
        *_unlinked(reader),
        *_protected(reader),
        *_kept_active(reader, connection.source_names),
        *_switched_on(reader),
        *_about_the_back_up(reader, connection),
        *idle_lines(reader, connection),
    ]


def held_back(connection: Connection) -> list[str]:
    """Tell how many users the policy holds back, by reason."""
    rows = connection.execute(
        select(desired_user.c.held_back, func.count())
        .where(desired_user.c.held_back.is_not(None), desired_user.c.active, desired_user.c.problem.is_(None))
        .group_by(desired_user.c.held_back)
        .order_by(func.count().desc(), desired_user.c.held_back)
    )
    return [f"{_users(number)} not provisioned: {reason}." for reason, number in rows]


def differing_profiles(connection: Connection, locks: Locks, *, marked_only: bool = False) -> list[str]:
    """Tell whose locked profile upstream is not what the directory says."""
    if not locks.address:
        return []
    rows = connection.execute(profiles_that_differ(locks, marked_only=marked_only).limit(_SHOWN + 1)).all()
    return _examples([_differs(row) for row in rows], "more locked profiles differ from the directory")


def _differs(row: Row[tuple[object, ...]]) -> str:
    if str(row.held).casefold() != str(row.email).casefold():
        return (
            f"{row.user_name} has another address in the directory ({row.email}) than upstream ({row.held}). The "
            "account belongs to the address it has, and is kept. If it is to be another account, set [external] "
            'changed_address = "replace"; else the person changes the address there.'
        )
    return f"{row.user_name} was changed in the directory. {_KEPT_AS_IT_IS}."


def _unlinked(connection: Connection) -> list[str]:
    rows = connection.execute(
        select(ledger_user.c.user_name, ledger_user.c.scim_id, ledger_user.c.unlinked_at)
        .where(ledger_user.c.unlinked_at.is_not(None))
        .order_by(ledger_user.c.user_name)
        .limit(_SHOWN + 1)
    ).all()
    sentences = [
        f"{row.user_name} is probably unlinked upstream: {row.scim_id} had an account there and shows none since "
        f"{row.unlinked_at:%Y-%m-%d}. Its memberships give no access any more. Look the person up in the vendor's "
        "console; after deleting the user there, rollcall sync --full creates it anew."
        for row in rows
    ]
    return _examples(sentences, "more are probably unlinked")


def _protected(connection: Connection) -> list[str]:
    """Tell how many users only their protection keeps, for each kind of it."""
    sentences = []
    for by_name, protection in (
        (False, "their domain is protected ([external] protected_domains)"),
        (True, "they are protected by name ([guard] protected)"),
    ):
        kept = protected_from_removal(by_name=by_name).subquery()
        number = connection.execute(select(func.count()).select_from(kept)).scalar_one()
        if number:
            sentences.append(
                f"{_users(number)} kept upstream although the directory or the policy does not have them there any "
                f"more: {protection}."
            )
    return sentences


def _switched_on(reader: Connection) -> list[str]:
    names = json.loads(fact_of(reader, SWITCHED_ON) or "[]")
    if not names:
        return []
    few = ", ".join(names[:_FEW]) + (", …" if len(names) > _FEW else "")
    sentence = (
        f"{_users(len(names))} in use upstream though Rollcall has deactivated them ({few}): somebody has switched "
        "them on there, or the service does not heed it. Whoever is to be out has to be deactivated there; this is "
        "looked at again when everything is compared (rollcall sync --full)."
    )
    return [sentence]


def _about_the_back_up(reader: Connection, connection: Settled) -> list[str]:
    sentence = (
        "The state knows less than the audit trail, so it was restored from a back-up or made anew (then see "
        '"Everything is lost" in keeping.md of the guide). The upstream has not shown yet what stands there: '
        "everything is compared in every cycle until it does. See the log for what it answers."
    )
    unseen = [sentence] if fact_of(reader, UNSEEN) else []
    asks = any(source.settings.asks_second_hand for source in connection.sources)
    unread = left_as_they_stand(reader, connection.source_names, asks_catalogue=asks)
    return [*unseen, *(told for told in (fact_of(reader, ELSEWHERE),) if told), *unread]


def _kept_active(connection: Connection, sources: Collection[str]) -> list[str]:
    """Tell of those who would be deactivated if it were known that no group lists them."""
    if lists_are_known(connection, sources):
        return []
    number = connection.execute(select(func.count()).select_from(active_and_unlisted().subquery())).scalar_one()
    sentence = (
        f"{_users(number)} in no selected group as far as is known. Until every source and every list has been read to "
        "its end, nobody is deactivated for that."
    )
    return [sentence] if number else []


def _examples(sentences: list[str], more: str) -> list[str]:
    return sentences if len(sentences) <= _SHOWN else [*sentences[:_SHOWN], f"And {more}."]


def _users(number: int) -> str:
    return "1 user is" if number == 1 else f"{number} users are"
