"""Who is to be provisioned and as what: scope, managed and external, mapping. Entries in, SCIM resources out."""
