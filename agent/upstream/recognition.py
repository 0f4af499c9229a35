"""What of the ledger stands at this service, after the address of the upstream has changed.

It may be the same service under another name, or another one, where an id of ours may be a stranger's: ids are unique
within one service only (RFC 7643, 3.1). So every account and every group is compared before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog

from agent.errors import UpstreamUnreachable
from agent.upstream.client import ScimClient
from agent.upstream.ledger import Known, Ledger
from agent.upstream.lookup import GROUPS, USERS, Resource, page_through, resource_path

log = structlog.get_logger()


def recognise(client: ScimClient, ledger: Ledger) -> None:
    """Forget what does not stand here, or is somebody else's. Raises UpstreamUnreachable if it cannot be looked at."""
    kept = forgotten = 0
    for endpoint, attribute in ((USERS, "userName"), (GROUPS, "displayName")):
        listed = _listed(client, endpoint, attribute)
        for known in ledger.everything_known(of_users=endpoint == USERS):
            found = listed.get(known.scim_id) or _single(client, endpoint, known)
            if found is not None and _is_the_same(found, known, attribute):
                kept += 1
            else:
                ledger.forget(known)
                forgotten += 1
    log.warning("the address of the upstream has changed", recognised=kept, not_there=forgotten)


def _listed(client: ScimClient, endpoint: str, attribute: str) -> dict[str, Resource]:
    """Return what the service lists, as far as it does, by id: no more of each than is compared."""
    found: dict[str, Resource] = {}
    params = {"excludedAttributes": "members"} if endpoint == GROUPS else {}
    for answer, resources in page_through(client, endpoint, params):
        if not answer.ok:
            raise UpstreamUnreachable(
                f"[upstream] url has changed, and {client.service.base} does not list its {endpoint.strip('/')} "
                f"({answer.words}), so it is not known what stands there. Nothing was sent. Correct [upstream] url, or "
                "what the service complains of."
            )
        for resource in resources:
            found[str(resource.get("id"))] = {key: resource.get(key) for key in (attribute, "externalId")}
    return found


def _single(client: ScimClient, endpoint: str, known: Known) -> Mapping[str, object] | None:
    answer = client.request("GET", resource_path(endpoint, known.scim_id))
    if answer.ok:
        return answer.body
    if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}:  # an id of another form is nobody's here
        return None
    raise UpstreamUnreachable(
        f"[upstream] url has changed, and {client.service.base} does not say whether {known.name} stands there "
        f"({answer.words}). Nothing was sent; the next cycle looks again."
    )


def _is_the_same(found: Mapping[str, object], known: Known, attribute: str) -> bool:
    external_id = found.get("externalId")
    if external_id:
        return external_id == known.anchor
    return str(found.get(attribute, "")).casefold() == known.name.casefold()
