"""From an entry to the SCIM resource that should stand upstream (RFC 7643)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import orjson

from agent.domain_names import ascii_form
from agent.errors import UsageProblem
from agent.population.guests import hides_home, home_address
from agent.population.template import Attributes, Template, TemplateError, parse
from agent.settings import MappingSettings

USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Group"

DEFAULT_USER = {
    "name.givenName": "{givenName}",
    "name.familyName": "{sn}",
    "displayName": "{displayName, cn}",
}
# These are made from the anchor, the address and the account's state; a template for one of them would break identity.
_OWN = frozenset(
    {"id", "externalid", "username", "active", "emails", "schemas", "meta", "groups", "password", "members"}
)
_PATH = re.compile(r"(?:(urn:[A-Za-z0-9:.\-]+):)?([A-Za-z][A-Za-z0-9_$-]*)(?:\.([A-Za-z][A-Za-z0-9_$-]*))?")
# Neither quoted nor in brackets, as some write it: what a domain rule is about must not depend on how it is written.
_ADDRESS = re.compile(r"""[^@\s<>()\[\],;:\\"]+@(?P<domain>[^@\s]+)""")
# An underscore is in no name of a host; some directories have it in their domains all the same.
_DOMAIN = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")

Resource = dict[str, object]


@dataclass(frozen=True, slots=True)
class MappedUser:
    """The resource of one user, or the reason why there is none."""

    user_name: str
    email: str
    payload: Resource
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Target:
    schema: str | None
    attribute: str
    sub_attribute: str | None
    template: Template

    @property
    def path(self) -> str:
        """As it is written in [mapping.user]."""
        schema = "" if self.schema is None else f"{self.schema}:"
        return f"{schema}{self.attribute}" + ("" if self.sub_attribute is None else f".{self.sub_attribute}")


@dataclass(frozen=True, slots=True)
class Mapping:
    """The templates of one connection."""

    email: Template
    user_name: Template
    group_name: Template
    targets: tuple[_Target, ...]

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute type the directory has to be asked for, lower case."""
        templates = [self.email, self.user_name, self.group_name, *(target.template for target in self.targets)]
        return frozenset().union(*(template.attributes for template in templates))

    @property
    def lines(self) -> list[tuple[str, Template]]:
        """What each attribute of a user is made from."""
        targets = [(target.path, target.template) for target in self.targets]
        return [("userName", self.user_name), ("emails", self.email), *targets]

    def user(self, anchor: str, dn: str, attributes: Attributes, *, active: bool) -> MappedUser:
        """Map a user, contact or foreign principal. externalId is the anchor (RFC 7643, 3.1)."""
        email = _address(self.email, attributes)
        user_name = _address(self.user_name, attributes)
        payload: Resource = {
            "schemas": [USER_SCHEMA],
            "externalId": anchor,
            "userName": user_name,
            "active": active,
        }
        if email:
            payload["emails"] = [{"value": email, "type": "work", "primary": True}]
        for target in self.targets:
            if value := target.template.value(attributes):
                _place(payload, target, value)
        return MappedUser(user_name, email, payload, self._problem(dn, email, user_name))

    def group(self, anchor: str, attributes: Attributes) -> tuple[str, Resource]:
        """Map a group to its displayName and its resource, members left out."""
        name = self.group_name.value(attributes)
        return name, {"schemas": [GROUP_SCHEMA], "externalId": anchor, "displayName": name}

    def _problem(self, dn: str, email: str, user_name: str) -> str | None:
        if not email:
            return (
                f"{dn} has no e-mail address: {self.email.text} is empty. Enter one in the directory, or name other "
                "attributes in [mapping] email."
            )
        if hides_home(email):
            return (
                f"{dn} is a guest whose logon name, {email}, does not tell the e-mail address at home. Enter the "
                "address in the directory as mail, or name other attributes in [mapping] email."
            )
        if not _is_address(email):
            return f"{dn}: {email!r} is not an e-mail address. Correct it in the directory."
        if not user_name:
            return (
                f"{dn} has no user name: {self.user_name.text} is empty. Enter one in the directory, or name other "
                "attributes in [mapping] user_name."
            )
        return None


def _is_address(email: str) -> bool:
    """Tell whether a text is an address, at a domain that the DNS could have."""
    match = _ADDRESS.fullmatch(email)
    try:
        return match is not None and email.isprintable() and _DOMAIN.fullmatch(ascii_form(match["domain"])) is not None
    except ValueError:
        return False


def mapping_of(settings: MappingSettings) -> Mapping:
    """Parse the templates. Raises UsageProblem that names the key."""
    targets = []
    for path, text in {**DEFAULT_USER, **settings.user}.items():
        match = _PATH.fullmatch(path)
        if match is None or match[2].lower() in _OWN:
            why = "is set by Rollcall itself" if match else 'is not a SCIM attribute path like "name.givenName"'
            raise UsageProblem(f'mapping.user: "{path}" {why}. Remove or correct it.')
        if text:
            targets.append(_Target(match[1], match[2], match[3], _parse(f'user."{path}"', text)))
    return Mapping(
        email=_parse("email", settings.email),
        user_name=_parse("user_name", settings.user_name),
        group_name=_parse("group_name", settings.group_name),
        targets=tuple(targets),
    )


def digest_of(payload: Resource) -> str:
    """Return what changes exactly when the payload does."""
    return hashlib.sha256(orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _address(template: Template, attributes: Attributes) -> str:
    """Fill in a template; an attribute that hides a guest's address gives way to another one that it names."""
    address = home_address(template.value(attributes))
    if not hides_home(address):
        return address
    # Templates look at the first value.
    hiding = {key for key, values in attributes.items() if values and hides_home(home_address(values[0]))}
    telling = {key: values for key, values in attributes.items() if key not in hiding}
    return home_address(template.whole(telling)) or address


def _parse(key: str, text: str) -> Template:
    try:
        template = parse(text)
    except TemplateError as error:
        raise UsageProblem(f"mapping.{key}: {error}.") from None
    if not template.parts:
        raise UsageProblem(f'mapping.{key}: is empty. Write a template like "{{mail}}".')
    return template


def _place(payload: Resource, target: _Target, value: str) -> None:
    holder = payload
    if target.schema is not None and target.schema != USER_SCHEMA:
        schemas = payload["schemas"]
        if isinstance(schemas, list) and target.schema not in schemas:
            schemas.append(target.schema)
        extension = payload.setdefault(target.schema, {})
        holder = extension if isinstance(extension, dict) else {}
    if target.sub_attribute is None:
        holder[target.attribute] = value
    else:
        inner = holder.setdefault(target.attribute, {})
        if isinstance(inner, dict):
            inner[target.sub_attribute] = value
