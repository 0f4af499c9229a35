"""agent.example.toml can be used as it is, and shows every setting."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from agent.settings import Settings, load_settings
from connectors.active_directory.settings import ActiveDirectorySettings
from connectors.ldap.settings import LdapSettings as SourceModel
from connectors.ldif import LdifSettings

EXAMPLE = Path(__file__).parents[1] / "agent.example.toml"


def test_it_is_valid_once_the_secrets_are_there(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    for name in re.findall(r'^\w+_file = "([^"]+)"', text, flags=re.MULTILINE):
        (tmp_path / Path(name).name).write_text("s3cret")
        text = text.replace(name, str(tmp_path / Path(name).name))
    file = tmp_path / "agent.toml"
    file.write_text(text)

    settings = load_settings(file)

    assert settings.sources[0]["name"] == "corp"
    assert settings.schedule.interval.total_seconds() == 300


def test_every_setting_is_shown() -> None:
    text = EXAMPLE.read_text()
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if name != "sources"}
    models: list[type[BaseModel]] = [SourceModel, ActiveDirectorySettings, LdifSettings]
    models += [model for model in sections.values() if isinstance(model, type) and issubclass(model, BaseModel)]
    keys = {field.alias or key for model in models for key, field in model.model_fields.items()}
    keys -= {"token", "bind_password", "cron", "webhook_url", "smtp_password"}

    shown = r"^(# )?{key} = |^\[\w+\.{key}\]$"
    assert [key for key in sorted(keys) if not re.search(shown.format(key=key), text, flags=re.MULTILINE)] == []
    assert [name for name in sections if f"[{name}]" not in text] == []


def test_every_default_that_is_shown_is_the_default() -> None:
    text = EXAMPLE.read_text()
    shown = dict(re.findall(r"^# (\w+) = (\d+|true|false)\b", text, flags=re.MULTILINE))
    defaults = {
        name: field.default
        for model in (
            ActiveDirectorySettings,
            SourceModel,
            *(f.annotation for n, f in Settings.model_fields.items() if n != "sources"),
        )
        if isinstance(model, type) and issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
    }

    different = {key: value for key, value in shown.items() if str(defaults[key]).lower() != value}
    assert different == {}
    assert len(shown) > 10
