"""Browsers come in here: the console's pages over the operations that the API has too.

``assets`` are its files, ``content_security_policy`` what a browser may do with a page.
"""
