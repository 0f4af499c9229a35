"""Why somebody is, or is not, provisioned: told from the state alone, without changing it."""
