"""Countersign: an identity provider for agents that act on a person's behalf.

Rooms are named for the role their code plays on the wire; ``docs/architecture.md`` is the map.
"""
