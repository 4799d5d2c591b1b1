"""The administration API, ``/api/v1``: who and what there is, and who may act for whom.

An operation is a function with typed parameters; from the types come its checks and its description in
``openapi.json``. Everything below ``blueprint`` is loaded by the first request that needs it.
"""
