"""A project's plan and terms: what may be asked, fixed before the first answer, and checked by each site.

Start with `terms.py`; `catalogue.py` is what a site tells of its variables. May import analyses and statistics; both
daemons import this.
"""
