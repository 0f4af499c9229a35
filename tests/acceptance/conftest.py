"""Fixtures of the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.company import Company
from tests.agent_runner import Agent
from tests.servers.scim_service import ScimService
from tests.servers.vendor_service import VendorService


@pytest.fixture
def company(agent: Agent, scim: ScimService) -> Company:
    """Three LDIF sources, and nobody who is declared to be one person."""
    return Company(agent, scim)


@pytest.fixture
def locked() -> Iterator[VendorService]:
    """A service where the profile of an external user is the person's own."""
    with VendorService("locked") as service:
        yield service


@pytest.fixture
def invite() -> Iterator[VendorService]:
    """A service that invites external users."""
    with VendorService("invite") as service:
        yield service
