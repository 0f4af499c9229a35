"""The whole product on an embedded directory and an embedded SCIM service."""
