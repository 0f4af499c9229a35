"""Connectors: the plugins that read one kind of source each. They know nothing of the agent."""
