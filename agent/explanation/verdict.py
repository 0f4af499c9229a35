"""One sentence about a person: provisioned or not, why, and what to do about it.

What keeps somebody out is in `why_not`, what keeps an account in spite of that in `_kept_because`, and what becomes of
an account that is out of use in `_out_of_use`: another reason is one more case in one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from agent.directory.unread import NOT_READ, is_unread
from agent.explanation.facts import Membership, Refusal, SourceSeen, Step, Verdict
from agent.explanation.person import PersonKnown
from agent.explanation.policy import NOT_WHOLE
from agent.plan.leavers import CREATED, Grace
from agent.plan.locks import Locks
from agent.population.desired import Population
from connectors.base import Completeness

_SHOWN = 5
_TO_BE_READ = (
    "The next complete read tells the rest, or that it is gone; a source that is not in the settings any more "
    "has to be put back for that. See how the sources were read (below)."
)
_OUT = frozenset({"deactivate user", "let go user"})
_Account = Row[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Case:
    """What the sentence is made of."""

    population: Population
    locks: Locks
    grace: Grace
    known: PersonKnown
    memberships: Sequence[Membership]
    listed_by: Sequence[str]
    in_reach: bool  # a way leads from a selected group to the person
    refusals: Sequence[Refusal]
    sources: Sequence[SourceSeen]
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why somebody is not to be provisioned, without a full stop; and what to do, as whole sentences.

    returns:  when an account that is out of use is taken into use again
    """

    text: str
    remedy: str = ""
    returns: str = "when it is a member again"


def verdict_on(case: Case) -> Verdict:
    """Say it."""
    reason, account = why_not(case), case.known.account
    if account is not None and account.active and is_unread(case.known.leader):
        return _not_read_yet(case, account)
    if account is None:
        return _without_account(case, reason)
    if not account.active:
        return _out_of_use(case, account, reason)
    return _in_use(case, account) if reason is None else _in_use_all_the_same(case, account, reason)


def why_not(case: Case) -> Reason | None:
    """Say why the person is not to be provisioned, by directory, scope and policy; None: nothing is in the way."""
    leader, desired = case.known.leader, case.known.desired
    if not leader.present:
        return Reason(
            f"it is gone from source {leader.source} ({leader.gone_evidence or 'it is not there any more'})",
            f"If that is not so, look at what source {leader.source} reads (below): the person may have left its bases "
            "or filters, or the account may not read the entry any more.",
        )
    if desired is None or is_unread(leader):
        return _out_of_scope(case)
    if not desired.active:
        decides = next((entry for entry in case.known.ordered if entry.kind == "user"), case.known.ordered[0])
        return Reason(
            f"it is disabled in the directory (source {decides.source})",
            "Enable the account there, or correct inactive_when of that source if it is not meant to be disabled.",
            "when it is enabled again",
        )
    if desired.problem is not None:
        return Reason(_of_it(leader.dn, desired.problem), returns="when that is put right")
    if not desired.provisioned:
        held_back = desired.held_back or "the policy does not let it in"
        return Reason(held_back, _against_the_policy(case), "when it is let in")
    return None


def _out_of_scope(case: Case) -> Reason:
    if is_unread(case.known.leader):
        return Reason(NOT_READ, _TO_BE_READ)
    if case.in_reach:
        return Reason("it was put into a selected group since the last cycle", "The next cycle takes it up.")
    groups = case.listed_by
    returns = "when it is a member again" if case.known.person.active else "when it is a member and enabled again"
    if not groups:
        return Reason("no group lists it", "Put the person into a selected group ([scope] groups).", returns)
    listed = _some(groups)
    closed = "" if case.population.scope.nested else ' With [scope] nested = "direct" groups in groups are not opened.'
    return Reason(
        f"no selected group lists it, only {listed}",
        f"Put the person into a selected group, or select one of these in [scope] groups.{closed}",
        returns,
    )


def _against_the_policy(case: Case) -> str:
    policy = case.population.policy
    standing = policy.standing(case.known.mapped.email)
    lines = policy.lines(standing.domain)
    if lines.blocked is not None:
        return f'If the person is to come in, take "{lines.blocked}" out of [external] blocked_domains.'
    desired = case.known.desired
    if desired is not None and desired.awaits:
        return ""  # the reason says how to opt in
    rules = sorted({item.rule for item in case.memberships if item.listed and not item.let_in and item.rule})
    by = f"It is so by {_some(rules)}. " if rules else ""
    return (
        f'{by}If the person is to come in, write "provision" or "review" there, or add {standing.domain} to '
        "[external] managed_domains if it is your own."
    )


# --- what stands upstream -----------------------------------------------------------------------------------------


def _without_account(case: Case, reason: Reason | None) -> Verdict:
    label = case.known.label
    if reason is not None:
        return _verdict(f"{label} is not provisioned: {reason.text}", reason.remedy)
    refusal = _refusal_of(case, "create user")
    if refusal is not None:
        return _verdict(f"{label} is not provisioned: the upstream refused it, {_tried(refusal)}", _again(refusal))
    if any(step.verb == "create user" for step in case.steps):
        return _verdict(f"{label} is not provisioned yet: the next cycle creates the account", "")
    return _verdict(
        f"{label} is not provisioned: nothing is in the way, and no account was made",
        "Run rollcall sync --full, and ask again.",
    )


def _out_of_use(case: Case, account: _Account, reason: Reason | None) -> Verdict:
    """An account that is out of use waits for the person to come back, if need be until it is deleted."""
    # An account that is the person's own stays in use, and only its memberships are gone.
    done = "out of every group upstream" if case.locks.profile and account.external else "deactivated upstream"
    since = f"{done} since {account.acknowledged_at:%Y-%m-%d}"
    if reason is not None:
        kept = f"The account is {since}, and kept{_until(case, account)}"
        return _verdict(
            f"{case.known.label} is not provisioned: {reason.text}. {kept}",
            f"It returns under the same SCIM id {account.scim_id} {reason.returns}. {reason.remedy}".strip(),
        )
    sentence = f"{case.known.label} is {since}, as SCIM id {account.scim_id}"
    refusal = _refusal_of(case, "update user", "create user")
    if refusal is not None:
        return _verdict(f"{sentence}; its return was refused, {_tried(refusal)}", _again(refusal))
    return _verdict(f"{sentence}, and the next cycle takes it into use again", "")


def _refusal_of(case: Case, *operations: str) -> Refusal | None:
    return next((item for item in case.refusals if item.operation in operations), None)


def _until(case: Case, account: _Account) -> str:
    """Say when an account that is out of use is deleted, if ever."""
    after = case.grace.external_users if account.external else case.grace.users
    kept = account.guarded or account.protected or account.origin != CREATED or account.deactivated_at is None
    if after is None or kept or case.known.desired is not None:
        return ""
    refusal = _refusal_of(case, "delete user")
    if refusal is not None:
        return f", because deleting it was refused, {_tried(refusal)}"
    return f" until {account.deactivated_at + after:%Y-%m-%d}, when it is deleted ([leavers])"


def _in_use(case: Case, account: _Account) -> Verdict:
    label, memberships = case.known.label, case.memberships
    sentence = f"{label} is provisioned: active upstream as SCIM id {account.scim_id}, {_in_groups(memberships)}"
    remedies = []
    if account.unlinked_at is not None:
        sentence += f"; but the account is probably unlinked since {account.unlinked_at:%Y-%m-%d}"
        remedies.append("Look the person up in the vendor's console: see rollcall status.")
    missing = [item for item in memberships if item.let_in and not item.upstream]
    if missing:
        sentence += f"; not yet in {_some([item.group for item in missing])}"
        remedies += [f"{item.group}: {item.problem}" for item in missing if item.problem]
    desired = case.known.desired
    if held := [item.group for item in memberships if item.listed and not item.let_in]:
        sentence += f"; kept out of {_some(held)}"
        if desired is not None and desired.held_back:
            remedies.append(f"It is {desired.held_back.removeprefix('in some of the groups: ')}.")
        remedies.append(_against_the_policy(case))
    sentence += _to_leave(case)
    out = next((step for step in case.steps if step.verb in _OUT), None)
    if out is not None:
        sentence += f"; the next cycle is to take it out of use: {out.why}"
        sentence += "" if out.waits is None else f"; but {out.waits}"
    if case.refusals:
        remedies.append(f"The last change was refused, {_tried(case.refusals[0])}. {_again(case.refusals[0])}")
    return Verdict(provisioned=True, sentence=f"{sentence}.", remedy=" ".join(filter(None, remedies)))


def _not_read_yet(case: Case, account: _Account) -> Verdict:
    stands = f"active as SCIM id {account.scim_id}, {_in_groups(case.memberships)}"
    return _verdict(f"{case.known.label} is left as it stands upstream ({stands}) for now: {NOT_READ}", _TO_BE_READ)


def _to_leave(case: Case) -> str:
    """Say what keeps somebody in groups for now that are not to have the person any more."""
    waiting = {step.object: step.waits for step in case.steps if step.verb == "remove from group" and step.waits}
    kept: dict[str, list[str]] = {}
    for item in case.memberships:
        if item.upstream and not (item.listed and item.let_in) and (waits := waiting.get(item.group)) is not None:
            kept.setdefault(waits, []).append(item.group)
    return "".join(f"; to be taken out of {_some(groups)}, but {waits}" for waits, groups in kept.items())


def _in_use_all_the_same(case: Case, account: _Account, reason: Reason) -> Verdict:
    label = case.known.label
    stands = f"active as SCIM id {account.scim_id}, {_in_groups(case.memberships)}"
    if (kept := _kept_because(case, account)) is not None:
        sentence = f"{label} is kept upstream ({stands}) although {reason.text}: {kept}"
        return _verdict(sentence + _to_leave(case), reason.remedy)
    out = next((step for step in case.steps if step.verb in _OUT), None)
    if out is None:
        sentence = f"{label} is left upstream ({stands}) although {reason.text}"
        return _verdict(sentence + _to_leave(case), reason.remedy)
    then = "the next cycle takes it out of use" if out.waits is None else f"to be taken out of use, but {out.waits}"
    return _verdict(f"{label} is not to be provisioned: {reason.text}. It still is ({stands}); {then}", reason.remedy)


def _kept_because(case: Case, account: _Account) -> str | None:
    """Say what keeps an account that is not wanted there; None: nothing does."""
    desired = case.known.desired
    if account.guarded:
        return "[guard] protected names it"
    if account.protected:
        return f"its domain {account.domain} is protected ([external] protected_domains)"
    if desired is None:
        return _not_known_to_be_unlisted(case)
    if desired.active and desired.problem is not None:
        return "what is wrong with an entry is no proof that the person left"
    if desired.active and not desired.withdrawn:
        return "whoever waits for a decision, or is left there ([external] withdrawal), stays as it is"
    return None


def _not_known_to_be_unlisted(case: Case) -> str | None:
    """Say why it is not certain that no group lists somebody."""
    read = Completeness.COMPLETE
    failed = [item.name for item in case.sources if item.configured and item.completeness not in {None, read}]
    if case.known.leader.present and failed:
        return f"source {failed[0]} could not be read completely, and its groups may list it by now"
    uncertain = [item.group for item in case.memberships if item.kept == NOT_WHOLE]
    if case.known.leader.present and uncertain:
        return f"of the members of {_some(uncertain)} not everything is known, and it may be one of them"
    claimed = case.known.claimed
    return None if claimed is None else f"{claimed} has the same user name, and may be the same person"


# --- words --------------------------------------------------------------------------------------------------------


def _verdict(sentence: str, remedy: str) -> Verdict:
    return Verdict(provisioned=False, sentence=f"{sentence}.", remedy=remedy)


def _tried(refusal: Refusal) -> str:
    times = "once" if refusal.attempts == 1 else f"{refusal.attempts} times in the same form"
    return f"{times}, since {refusal.first_at:%Y-%m-%d %H:%M:%S} UTC: {_without_full_stop(refusal.reason)}"


def _again(refusal: Refusal) -> str:
    if refusal.next_attempt_at is None:
        return "It is tried again when somebody runs rollcall sync --full."
    now = "rollcall sync --full" if refusal.final else "rollcall sync"
    return f"It is tried again after {refusal.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC, or now with {now}."


def _in_groups(memberships: Sequence[Membership]) -> str:
    groups = [item.group for item in memberships if item.upstream]
    if not groups:
        return "in no group"
    return f"in group{'' if len(groups) == 1 else 's'} {_some(groups)}"


def _some(names: Sequence[str]) -> str:
    shown = list(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown.append(f"{len(names) - _SHOWN} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _of_it(dn: str, problem: str) -> str:
    """Most of these sentences begin with the name of the entry, which has been said by then."""
    text = _without_full_stop(problem)
    return f"it {text.removeprefix(f'{dn} ')}" if text.startswith(f"{dn} ") else text.removeprefix(f"{dn}: ")


def _without_full_stop(text: str) -> str:
    return text.removesuffix(".")
