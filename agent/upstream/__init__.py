"""The SCIM service that is written to: client, looking up and adopting, pushing, and the ledger of what it holds."""
