"""The protocol's vocabulary: pure functions over values, no input and no output.

Owns what the specifications name: scopes, principals, claims, metadata, OAuth errors, issuer identifiers.
"""
