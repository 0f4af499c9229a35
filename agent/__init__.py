"""Rollcall: keeps a SCIM 2.0 service equal to the groups of a directory, every member included."""

__version__ = "0.1.0"
