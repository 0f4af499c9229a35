"""What a cycle does before anything is sent: read the sources, settle the desired state, plan, and ask the guard."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection as Transaction

from agent.connection import Connection
from agent.directory.former_sources import let_go_of_doubles
from agent.directory.marks import mark_everything
from agent.directory.mirror import SourceOutcome, owes_full_read
from agent.directory.second_hand import forget_unlisted
from agent.observe.progress import Progress
from agent.plan.approvals import approved, void_approvals
from agent.plan.difference import Difference
from agent.plan.guard import Verdict, judge
from agent.plan.leavers import note_groups_that_left
from agent.plan.operations import Operation
from agent.plan.plan import Plan, draw_up
from agent.plan.waiting import Retry
from agent.population.desired import settle
from agent.population.keys_due import sources_with_old_keys
from agent.population.persons import heirs_of_the_gone
from agent.restored_state import installation_of, is_older, is_to_be_looked_at, note_the_end, take_up_what_was_made
from agent.source_read import read_source
from agent.state.database import State
from agent.state.facts import read_fact, write_fact
from agent.upstream.accounts import judge_addresses, pass_on
from agent.upstream.observed_members import doubt_every_group
from agent.upstream.protected import note_guarded
from agent.upstream.rejections import try_the_refused_again

FINGERPRINT = "connection fingerprint"
_RECONCILED = "reconciled fingerprint"
_RECONCILED_AT = "full reconciliation begun at"
_RESTORED = "restored"  # in the place of the fingerprint


@dataclass(frozen=True, slots=True)
class Resolved:
    """What stands before the push: how the reads went, the plan, and what the guard makes of it.

    everything:  all was compared, not only what changed
    restored:    the state is older than what was done with it
    """

    outcomes: tuple[SourceOutcome, ...]
    plan: Plan
    verdict: Verdict
    everything: bool
    restored: bool = False


def resolve(
    connection: Connection,
    state: State,
    *,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
    full: bool = False,
    whichever_directory: bool = False,
    retry_at_once: bool = False,
    reconcile: bool = True,
) -> Resolved:
    """Do everything up to the push: read the sources, settle the desired state, draw up the plan, ask the guard.

    reconcile:  compare everything if the time for it has come

    Raises StateProblem.
    """
    settled = settings_are_settled(connection, state)
    older = reconcile and is_older(state, connection.settings.agent.state_dir)
    restored = older or (reconcile and is_to_be_looked_at(state))
    _prepare(connection, state, settled=settled, restored=restored, older=older)
    everything = full or not settled or restored or (reconcile and _reconciliation_due(connection, state))
    outcomes = tuple(
        read_source(
            connection,
            state,
            source,
            stop or threading.Event(),
            progress or Progress(),
            full=everything,
            whichever_directory=whichever_directory,
        )
        for source in connection.sources
    )
    with state.write() as transaction:
        if everything:
            _compare_everything(transaction, connection)
        _settle(transaction, connection, state, settled=settled, everything=everything)
    plan = draw_up(difference_of(connection, state, retry_of(full=full, at_once=retry_at_once)))
    return Resolved(outcomes, plan, guard(connection, state, outcomes, plan.removals), everything, restored)


def _prepare(connection: Connection, state: State, *, settled: bool, restored: bool, older: bool) -> None:
    """Before the sources are read: what a restored state or other settings ask for.

    older:  it has come to light just now that the state was restored
    """
    installation, directory = installation_of(state), connection.settings.agent.state_dir
    if not older:
        note_the_end(state, directory)
    if settled and not restored:
        return
    with state.write() as transaction:
        if older:
            void_approvals(transaction)
            write_fact(transaction, _RECONCILED, _RESTORED)
            take_up_what_was_made(transaction, directory, connection.service, connection.source_names, installation)
        # By the names that are known: the read may show that somebody has moved.
        note_guarded(transaction, connection.protection, everybody=True)


def _compare_everything(transaction: Transaction, connection: Connection) -> None:
    mark_everything(transaction)
    doubt_every_group(transaction)
    judge_addresses(transaction, connection.service.address_of, locks_profiles=connection.locks.profile)
    write_fact(transaction, _RECONCILED_AT, datetime.now(UTC).isoformat())


def _settle(transaction: Transaction, connection: Connection, state: State, *, settled: bool, everything: bool) -> None:
    """Work out the desired state of what is marked, after the sources were read."""
    sources, same_person = connection.source_names, connection.population.same_person
    owing = {name for name in sources if owes_full_read(state, name)}
    if not settled:
        try_the_refused_again(transaction)
    # Before an account passes on: what protects it may be the name of the one that had it.
    note_guarded(transaction, connection.protection, everybody=False)
    for before, now in let_go_of_doubles(transaction, sources):
        pass_on(transaction, before, now)
    for before, now in heirs_of_the_gone(transaction, same_person):
        pass_on(transaction, before, now)
    if everything:
        forget_unlisted(transaction)
    settle(transaction, connection.population, sources_with_old_keys(transaction, same_person, sources, owing))
    note_guarded(transaction, connection.protection, everybody=everything)
    note_groups_that_left(transaction)
    write_fact(transaction, FINGERPRINT, connection.fingerprint)
    if not owing:
        write_fact(transaction, _RECONCILED, connection.fingerprint)


def settings_are_settled(connection: Connection, state: State) -> bool:
    """Tell whether the desired state was worked out with the settings as they are now."""
    return read_fact(state, FINGERPRINT) == connection.fingerprint


def difference_of(
    connection: Connection, state: State, retry: Retry = Retry.AT_ONCE, about: int | None = None
) -> Difference:
    """Return what would have to be done, as far as the state knows; `about`: for this user alone."""
    return Difference(
        state,
        retry=retry,
        locks=connection.locks,
        sources=connection.source_names,
        grace=connection.grace,
        about=about,
    )


def retry_of(*, full: bool, at_once: bool) -> Retry:
    """Say what of the rejected is tried again: when it is due, at once, or what was refused for good, too."""
    if full and at_once:
        return Retry.FOR_GOOD_TOO
    return Retry.AT_ONCE if at_once else Retry.WHEN_DUE


def _reconciliation_due(connection: Connection, state: State) -> bool:
    """Tell whether everything has to be compared again. It is in the state, so that restarts do not put it off."""
    last = read_fact(state, _RECONCILED_AT)
    if last is None:
        return True
    since = datetime.now(UTC) - datetime.fromisoformat(last)
    # One of the future was begun before the clock was set back, nobody knows when.
    return not timedelta(0) <= since < connection.settings.schedule.full_every


def guard(
    connection: Connection, state: State, outcomes: tuple[SourceOutcome, ...], removals: tuple[Operation, ...]
) -> Verdict:
    """Ask which of the removals of a plan may be carried out."""
    emptied = tuple(outcome.reason for outcome in outcomes if outcome.emptied)
    if not removals:
        return Verdict(emptied, final=True)
    with state.read() as reader:
        verdict = judge(reader, connection.limits, removals)
        if verdict.held and approved(reader, verdict.digest):
            verdict = replace(verdict, approved=True)
    if emptied:
        return Verdict((*emptied, *verdict.reasons), removals, final=True)
    reconciled = read_fact(state, _RECONCILED)
    if reconciled != connection.fingerprint:
        restored = reconciled == _RESTORED
        what = "the state was restored or made anew" if restored else "the settings are new or have changed"
        reason = (
            f"{what}, and not every source has been read completely since. "
            "Removals wait for the first complete read of all sources."
        )
        return Verdict((reason, *verdict.reasons), removals, final=True)
    return verdict
