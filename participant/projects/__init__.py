"""Projects from the site's side: invitations, the roster that an officer confirms, the catalogue entry.

Start with `confirmation.py`. May import policy and everything below it, but not settings.
"""
