"""The state on disk: tables, migrations and transactions. Everything the agent must remember stands here."""
