"""What a known caller may do, whichever edge it came in by: each thing once, for the API and the console.

An operation is a function with typed parameters; from the types come its checks and its description in
``openapi.json``. An edge says who asks (``Asking``), ``performing.perform`` does it or says why not.
"""
