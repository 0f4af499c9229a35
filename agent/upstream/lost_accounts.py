"""Accounts that are gone upstream, or unlinked, or switched by hand: how that is noticed, and what follows.

Somebody deletes an account by hand, or switches it off or on, an invitation expires, or the vendor takes away the
number that links an account to what it stands for (it is still a member of its groups, and that gives the person
nothing). Nobody tells; only who looks finds out. That a listing leaves an account out proves nothing, for services page
as they like: evidence is a 404 for the account itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from agent.errors import NotScim
from agent.plan.operations import Subject
from agent.upstream.accounts import account_number
from agent.upstream.client import Answer, ScimClient
from agent.upstream.ledger import Account, Ledger
from agent.upstream.lookup import USERS, Resource, by_external_id, page_through, user_path
from agent.upstream.profile import ExternalUsers
from agent.upstream.refusal import Refused

SINGLE_LOOKS = 1_000  # in one reconciliation, of accounts that the listing leaves out
_SILENT = 3
_DELETED = "it was deleted upstream by somebody else; the next cycle creates it again"
_INVITATION_GONE = (
    "it is not there any more: the invitation has expired or was declined, or somebody deleted it. "
    "rollcall sync --full invites the person again; take them out of the groups if that is not wanted"
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the accounts has brought.

    gone:   who is not there any more, and is not to be created again before somebody asks for it
    ended:  there is no more to be seen; False where the service was out of order
    """

    gone: tuple[tuple[Subject, Refused], ...] = ()
    ended: bool = True


def look_at_accounts(client: ScimClient, ledger: Ledger, *, asked: bool, restored: bool = False) -> Look:
    """Look who of the ledger is still there, linked, and in use.

    asked:     somebody asks for everything that was refused to be tried again, invitations too
    restored:  the ledger is older than what stands there
    """
    listed, switched_on, refused_listing = set[str](), list[str](), False
    for answer, users in page_through(client, USERS, {}, may_be_forbidden=True):
        if not answer.ok:
            reason = f"the users upstream cannot be listed: {answer.words}"
            log.warning("not known which accounts are still there", reason=reason, status=answer.status)
            if _out_of_order(answer) or not restored:
                return Look(ended=not _out_of_order(answer))
            refused_listing = True
            break
        numbers = _numbers(client, ledger, users)
        switched_on += _note_use(client, ledger, users, restored=restored)
        listed |= numbers
    if not refused_listing:
        ledger.switched_on(switched_on)
    gone: list[tuple[Subject, Refused]] = []
    silent = 0
    for account in _some(ledger.accounts_but(listed)):
        answer = _look_at(client, account)
        if answer.status == HTTPStatus.FORBIDDEN or _out_of_order(answer):
            # One that never answers is one bad object. Several: there is no more to be seen for now.
            log.warning("an account could not be looked at", user=account.subject.label, reason=answer.words)
            silent += 1
            if silent == _SILENT:
                break
        elif answer.ok and restored:
            _note_use(client, ledger, [answer.body], restored=True)
        elif answer.status == HTTPStatus.NOT_FOUND and not _made_anew(client, ledger, account):
            refused = _forget(client, ledger, account, asked=asked)
            if refused.recorded:
                gone.append((account.subject, refused))
    return Look(tuple(gone))


def _some(missing: list[Account]) -> list[Account]:
    if len(missing) <= SINGLE_LOOKS:
        return missing
    log.warning(
        "not every account was looked at upstream",
        reason="the upstream does not list them; others are looked at in the next full reconciliation",
        not_listed=len(missing),
        looked_at=SINGLE_LOOKS,
    )
    return random.sample(missing, SINGLE_LOOKS)


def _numbers(client: ScimClient, ledger: Ledger, users: Sequence[Resource]) -> set[str]:
    """Note whose number is there. Returns the ids."""
    profile = client.service.profile
    numbers = {str(user["id"]): account_number(profile, user) for user in users if user.get("id")}
    if profile.account_schema:
        ledger.account_numbers_seen(numbers)
    return set(numbers)


def _note_use(
    client: ScimClient, ledger: Ledger, users: Sequence[Mapping[str, object]], *, restored: bool
) -> list[str]:
    """Note who is in use. Returns who is so though deactivated."""
    # The account of an external user may be the person's own, or an invitation that nobody has taken up yet.
    theirs = client.service.external_users in {ExternalUsers.LOCKED, ExternalUsers.INVITE}
    # Some services write it as a text; of who leaves it out nothing is known.
    texts = {str(user.get("id")): str(user.get("active")).casefold() for user in users}
    in_use = {scim_id: text == "true" for scim_id, text in texts.items() if text in {"true", "false"}}
    return ledger.accounts_in_use(in_use, but_external=theirs, restored=restored)


def _out_of_order(answer: Answer) -> bool:
    return answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and answer.status != HTTPStatus.NOT_IMPLEMENTED


def _made_anew(client: ScimClient, ledger: Ledger, account: Account) -> bool:
    """Find out whether the account stands there under another id: a state that was restored knows less."""
    try:
        found = None if account.set_aside else by_external_id(client, USERS, account.anchor)
    except Refused as refused:
        # Whether it stands there under another id will be seen before it is created again.
        log.warning("an account could not be looked for", user=account.subject.label, reason=str(refused))
        return False
    if found is None or ledger.owner_of(found.scim_id) is not None:
        return False
    ledger.account_found_again(account.subject, found.scim_id, active=found.resource.get("active") is not False)
    return True


def look_at_account(client: ScimClient, ledger: Ledger, account: Account) -> Refused | None:
    """Look whether one account is still there. Returns what is to be told if it is gone."""
    if _look_at(client, account).status != HTTPStatus.NOT_FOUND:
        return None
    return _forget(client, ledger, account, asked=False)


def lost(client: ScimClient, ledger: Ledger, subject: Subject, *, external: bool, verb: str) -> Refused:
    """Record that the account of a user is gone. Returns the refusal of what was to be done with it.

    Another create is another invitation by e-mail to somebody who may have declined this one.
    """
    invited = external and client.service.external_users is ExternalUsers.INVITE
    if ledger.user_lost(subject, verb=verb, until_asked=_INVITATION_GONE if invited else ""):
        return Refused(_INVITATION_GONE, recorded=True)
    return Refused(_DELETED)


def _look_at(client: ScimClient, account: Account) -> Answer:
    try:
        return client.request("GET", user_path(account.scim_id), may_be_forbidden=True)
    except NotScim as error:
        # Some frameworks answer so what they do not find, and so does a gateway whose service is away: no evidence.
        return Answer(HTTPStatus.BAD_GATEWAY, {"detail": str(error)})


def _forget(client: ScimClient, ledger: Ledger, account: Account, *, asked: bool) -> Refused:
    log.warning("account is gone upstream", user=account.subject.label, scim_id=account.scim_id)
    if account.set_aside:
        ledger.account_retired(account.scim_id)
        return Refused("it was deleted upstream by somebody else, after another account had taken its place")
    external = account.external and not asked
    return lost(client, ledger, account.subject, external=external, verb="create user")
