"""[health]: where the daemon listens."""

from __future__ import annotations

import pytest

from agent.health_settings import HealthSettings


def test_by_default_nobody_but_this_machine_can_ask() -> None:
    settings = HealthSettings()

    assert settings.address == ("127.0.0.1", 9464)
    assert settings.for_this_machine_only


@pytest.mark.parametrize(
    ("listen", "address", "for_this_machine_only"),
    [
        ("", None, True),
        ("localhost:80", ("127.0.0.1", 80), True),
        ("[::1]:9464", ("::1", 9464), True),
        ("0.0.0.0:9464", ("0.0.0.0", 9464), False),
        ("[::]:9464", ("::", 9464), False),
        ("10.0.0.5:9464", ("10.0.0.5", 9464), False),
    ],
)
def test_another_address_has_to_be_written(
    listen: str, address: tuple[str, int] | None, for_this_machine_only: bool
) -> None:
    settings = HealthSettings(listen=listen)

    assert (settings.address, settings.for_this_machine_only) == (address, for_this_machine_only)
