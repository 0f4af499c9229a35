"""`python -m agent` is `rollcall`."""

from agent.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
