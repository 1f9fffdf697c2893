"""A project's plan and terms: what may be asked, fixed before the first answer, and checked by each site.

Start with `plan.py`: the list of a project's analyses. `terms.py` is all that a project may ask, the plan included;
`review.py` is what a plan could disclose, `replay.py` whether a question follows from it, `asks.py` what each analysis
asks for, and `catalogue.py` what a site says of its variables. May import analyses and statistics; both
daemons import this.
"""
