"""Looking objects up, and verifying on this side what the service claims to have found.

Servers ignore filters and answer with everybody, compare otherwise than the RFC says, or page as they like. So
every resource is checked again here, and more than one match is an error to report, never "the first one".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import quote

import orjson

from agent.upstream.client import Answer, ScimClient
from agent.upstream.refusal import Refused

USERS = "/Users"
GROUPS = "/Groups"
_PAGE = 100
_PAGES = 100_000
_MAY_DIFFER = timedelta(days=1)
# 500 and 501 are what some services answer to a filter they do not know.
_AWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})

Resource = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """A verified match."""

    scim_id: str
    external_id: str | None
    resource: Resource


def user_by_name(client: ScimClient, user_name: str) -> Found | None:
    """Find the user with this userName, which compares without case (RFC 7643, 4.1.1). Raises Refused."""

    def same(resource: Resource) -> bool:
        return str(resource.get("userName", "")).casefold() == user_name.casefold()

    # Some servers compare with case although they must not: if the exact spelling finds nothing, nothing is lost,
    # because then the create is refused once more and reported.
    return _only(client, USERS, "userName", user_name, same)


def group_by_name(client: ScimClient, display_name: str) -> Found | None:
    """Find the group with this displayName. Raises Refused when there are several."""

    def same(resource: Resource) -> bool:
        return str(resource.get("displayName", "")).casefold() == display_name.casefold()

    return _only(client, GROUPS, "displayName", display_name, same)


def by_external_id(client: ScimClient, endpoint: str, external_id: str) -> Found | None:
    """Find the object that carries our anchor; None also where the service cannot filter by externalId."""
    return _only(
        client, endpoint, "externalId", external_id, lambda r: r.get("externalId") == external_id, strict=False
    )


def resource_path(endpoint: str, scim_id: str) -> str:
    """Return the path of one user or group."""
    return f"{endpoint}/{quote(scim_id, safe='')}"


def user_path(scim_id: str) -> str:
    """Return the path of one user."""
    return resource_path(USERS, scim_id)


def page_through(
    client: ScimClient, endpoint: str, params: Mapping[str, str], *, may_be_forbidden: bool = False
) -> Iterator[tuple[Answer, list[Resource]]]:
    """Yield the pages of a listing, each with what it brings that was not seen before.

    It ends after a page that is refused, and after one that brings nothing new.
    """
    seen: set[str] = set()
    for _ in range(_PAGES):
        page = {**params, "startIndex": str(len(seen) + 1), "count": str(_PAGE)}
        answer = client.request("GET", endpoint, params=page, may_be_forbidden=may_be_forbidden)
        resources = answer.body.get("Resources") if answer.ok else None
        new: list[Resource] = [
            resource
            for resource in (resources if isinstance(resources, list) else [])
            if isinstance(resource, dict) and str(resource.get("id")) not in seen
        ]
        yield answer, new
        seen.update(str(resource.get("id")) for resource in new)
        total = answer.body.get("totalResults")
        if not new or (isinstance(total, int) and len(seen) >= total and len(new) < _PAGE):
            return


def make_sure_of_the_token(client: ScimClient, answer: Answer) -> None:
    """After a 403 that may be about one object: if it is the token that is refused, so is this, and the push stops."""
    if answer.status == HTTPStatus.FORBIDDEN:
        client.request("GET", USERS, params={"count": "1"})


def make_sure_of_the_time(answer: Answer) -> None:
    """Before something is deleted for being old: the service and this machine agree on the day. Raises Refused.

    Where the service tells no time (RFC 9110, 6.6.1), nothing is known.
    """
    now = datetime.now(UTC)
    if answer.date is not None and abs(answer.date - now) > _MAY_DIFFER:
        raise Refused(
            f"the clock of this machine says {now:%Y-%m-%d %H:%M} UTC, and that of the upstream "
            f"{answer.date:%Y-%m-%d %H:%M} UTC. What is deleted is deleted for its age, so nothing is as long as they "
            "differ by more than a day. Correct the clock of this machine, or tell the service's people"
        )


def primary_address(resource: Resource) -> str:
    """Return the primary e-mail address of a user, or else the userName if that is one; else an empty text."""
    emails = resource.get("emails")
    listed = [item for item in emails if isinstance(item, dict)] if isinstance(emails, list) else []
    listed.sort(key=lambda item: item.get("primary") is not True)
    value = str(listed[0].get("value") or "") if listed else ""
    user_name = str(resource.get("userName") or "")
    return value or (user_name if "@" in user_name else "")


def _only(
    client: ScimClient,
    endpoint: str,
    attribute: str,
    value: str,
    same: Callable[[Resource], bool],
    *,
    strict: bool = True,
) -> Found | None:
    quoted = orjson.dumps(value).decode()  # RFC 7644, 3.4.2.2: a JSON string
    matches: dict[str, Found] = {}
    for resource in _listed(client, endpoint, f"{attribute} eq {quoted}", strict=strict):
        scim_id = resource.get("id")
        if isinstance(scim_id, str) and scim_id and same(resource):
            external_id = resource.get("externalId")
            matches[scim_id] = Found(scim_id, str(external_id) if external_id else None, resource)
    if len(matches) > 1:
        raise Refused(
            f"the upstream holds {len(matches)} objects with {attribute} {value} ({', '.join(sorted(matches))}). "
            "Remove the wrong ones there; Rollcall does not choose."
        )
    return next(iter(matches.values()), None)


def _listed(client: ScimClient, endpoint: str, expression: str, *, strict: bool) -> Iterator[Resource]:
    """Page through a filtered listing."""
    params = {"filter": expression}
    if endpoint == GROUPS:
        params["excludedAttributes"] = "members"  # of thousands of members none is needed here
    for answer, new in page_through(client, endpoint, params):
        if answer.status in _AWAY:
            # That is not a service that cannot filter so: nobody knows whether there is such an object.
            raise Refused(f"looking it up with {expression} failed: {answer.words}", temporary=True)
        if not answer.ok and strict:
            raise Refused(f"looking it up with {expression} was refused: {answer.words}")
        yield from new
