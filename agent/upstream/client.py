"""One HTTP connection to the SCIM service: requests, answers, retries.

What may be repeated: a request that certainly was not sent, and one that is idempotent. A POST whose outcome is
unknown is never repeated here; the caller has to look first (invariant 6).
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Self

import httpx
import orjson

from agent import __version__
from agent.errors import NotScim, UpstreamRefusedToken, UpstreamUnreachable, UsageProblem
from agent.upstream.brake import Brake
from agent.upstream.service import Service

_TEMPORARY = frozenset({500, 502, 503, 504})
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_LONGEST_HOLD = 600.0
# For each address of the service, one after the other and without a sign of life: 25 may be dead before a daemon that
# waits is taken for one that hangs.
_LONGEST_TO_CONNECT = 10.0
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class OutcomeUnknown(Exception):
    """A write was sent and its answer was lost or says nothing: it may have taken effect or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `body` is the JSON object, or an empty one where there is none; `date` is the service's time."""

    status: int
    body: Mapping[str, object]
    date: datetime | None = None

    @property
    def ok(self) -> bool:
        """200, 201 and 204 are all success on a write: servers differ."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def words(self) -> str:
        """What the service says about a refusal (RFC 7644, 3.12), with the status."""
        detail, kind = self.body.get("detail"), self.body.get("scimType")
        said = ": ".join(str(part) for part in (kind, detail) if part)
        return f"{self.status} {_phrase(self.status)}" + (f", {said}" if said else "")


class ScimClient:
    """A client for one worker, with one connection. Use as a context manager.

    writes:  how many requests were sent that may have changed something, repeated ones too

    Raises UpstreamUnreachable and UpstreamRefusedToken for the service as a whole, OutcomeUnknown for a write.
    """

    def __init__(self, service: Service, brake: Brake, context: ssl.SSLContext | None = None) -> None:
        """Prepare a client. `context`: one from `verification`, which takes longer to make than all the rest."""
        self.service = service
        self.requests = 0
        self.writes = 0
        self.failed = 0
        self.before_write: Callable[[], None] = lambda: None  # called before each; what it raises keeps it back
        self._brake = brake
        self._http = httpx.Client(
            headers={
                "Authorization": f"Bearer {service.token.get_secret_value()}",
                "Accept": "application/scim+json, application/json",
                "User-Agent": f"rollcall/{__version__}",
            },
            timeout=httpx.Timeout(service.timeout_seconds, connect=min(service.timeout_seconds, _LONGEST_TO_CONNECT)),
            follow_redirects=False,  # a redirect would carry the token to somewhere else
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            verify=context or verification(service),
            transport=service.transport() if service.transport else None,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str] | None = None,
        *,
        may_be_forbidden: bool = False,
    ) -> Answer:
        """Send a request and return the answer, be it a success or a refusal of this one object.

        may_be_forbidden:  a 403 may be about this object, not about the token: the caller makes sure of that
        """
        for attempt in range(1, self.service.attempts + 1):
            self._brake.wait()
            last = attempt == self.service.attempts
            try:
                response = self._send(method, path, body, params)
            except _NOT_SENT as error:
                self.writes -= method != "GET"
                if last or _is_certificate_trouble(error):
                    raise UpstreamUnreachable(self._unreachable(error)) from error
            except httpx.TransportError as error:
                self.failed += 1
                if method == "POST":
                    raise OutcomeUnknown(f"the answer to the request was lost ({_told(error)})") from error
                if last:
                    raise UpstreamUnreachable(self._unreachable(error)) from error
            else:
                if may_be_forbidden and response.status_code == HTTPStatus.FORBIDDEN:
                    return self._answer(response)
                answer = self._understand(response, last=last, method=method)
                if answer is not None:
                    return answer
            self._brake.pause(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not cryptography
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _send(
        self, method: str, path: str, body: Mapping[str, object] | None, params: Mapping[str, str] | None
    ) -> httpx.Response:
        if method != "GET":
            self.before_write()
        self.requests += 1
        self.writes += method != "GET"
        content = None if body is None else orjson.dumps(body)
        headers = {} if content is None else {"Content-Type": "application/scim+json"}
        return self._http.request(method, f"{self.service.base}{path}", content=content, headers=headers, params=params)

    def _understand(self, response: httpx.Response, *, last: bool, method: str) -> Answer | None:
        """Return the answer, or None when the request may be repeated."""
        status = response.status_code
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise UpstreamRefusedToken(
                f"The upstream {self.service.base} refuses the token ({status} {_phrase(status)}). Check that it has "
                "not expired or been replaced. If it has, make a new one in the vendor's console, and "
                f"{self.service.where_the_token_goes}."
            )
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise UpstreamUnreachable(
                f"The upstream {self.service.base} answers with a redirect ({status}), which is not "
                "followed because it "
                "would carry the token elsewhere. Write the final address in [upstream] url."
            )
        patience = _retry_after(response)
        if status == HTTPStatus.TOO_MANY_REQUESTS or (
            status == HTTPStatus.SERVICE_UNAVAILABLE and patience is not None
        ):
            self._brake.hold(min(_LONGEST_HOLD, patience if patience is not None else 1.0))
            if last:
                raise UpstreamUnreachable(
                    f"The upstream {self.service.base} asked for patience {self.service.attempts} times in a row "
                    f"({status}). Nothing is lost; lower [upstream] workers if this goes on."
                )
            return None
        if status in _TEMPORARY:
            self.failed += 1
            if method == "POST":
                raise OutcomeUnknown(f"the service answered {status} {_phrase(status)}")
            if not last:
                return None
        return self._answer(response)

    def _answer(self, response: httpx.Response) -> Answer:
        status = response.status_code
        return Answer(status, self._without_token(self._body(response, status)), _date(response.headers.get("Date")))

    def _body(self, response: httpx.Response, status: int) -> Mapping[str, object]:
        if not response.content:
            return {}
        try:
            parsed = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            parsed = None
        if isinstance(parsed, dict):
            return parsed
        if status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_FOUND:
            return {}  # a refusal in another form than SCIM's is still a refusal
        kind = response.headers.get("Content-Type", "no content type").partition(";")[0]
        if status == HTTPStatus.NOT_FOUND and "html" not in kind:
            return {}
        raise NotScim(
            f"What answers at {self.service.base} is not a SCIM service: it sent {kind} instead of JSON "
            f"({status} {_phrase(status)}). Check [upstream] url."
        )

    def _without_token(self, body: Mapping[str, object]) -> Mapping[str, object]:
        """Take the token out of what is told to people: services and gateways repeat what was sent to them."""
        token = self.service.token.get_secret_value()
        told = {key: str(body[key]).replace(token, "********") for key in ("detail", "scimType") if body.get(key)}
        return {**body, **told}

    def _unreachable(self, error: Exception) -> str:
        if _is_certificate_trouble(error):
            return (
                f"The certificate of the upstream {self.service.base} could not be verified: "
                f"{_told(error)}. Nothing was "
                "sent. Correct [upstream] url, or name the right authority in [upstream] ca_file."
            )
        return (
            f"The upstream {self.service.base} cannot be reached: {_told(error)}. Check the network, the firewall and "
            "[upstream] url: Rollcall connects directly, and does not heed HTTPS_PROXY. Nothing is lost; the next "
            "cycle goes on from here."
        )


def verification(service: Service) -> ssl.SSLContext:
    """Load the authorities that certificates are verified against. Raises UsageProblem."""
    if service.ca_file is None and service.base.startswith("http:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # on the way to a loopback address: it trusts nobody
    try:
        return ssl.create_default_context(cafile=str(service.ca_file) if service.ca_file else None)
    except (ssl.SSLError, OSError) as error:
        raise UsageProblem(
            f"upstream.ca_file: {service.ca_file} holds no certificates in PEM form ({error}). Correct the file."
        ) from error


def _is_certificate_trouble(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error) or "certificate verify failed" in str(error)


def _told(error: Exception) -> str:
    text = str(error) or type(error).__name__
    known: dict[type[Exception], str] = {
        httpx.ConnectTimeout: "no answer within the time limit",
        httpx.ReadTimeout: "no answer within the time limit",
        httpx.RemoteProtocolError: "the connection was closed without an answer",
    }
    return known.get(type(error), text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds to wait (RFC 9110, 10.2.3: a number of seconds or a date)."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    when = _date(value)
    return None if when is None else max(0.0, when.timestamp() - time.time())


def _date(value: str | None) -> datetime | None:
    """Read a date of HTTP (RFC 9110, 5.6.7)."""
    try:
        when = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):  # a year that no calendar has
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
