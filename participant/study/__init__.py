"""A project's plan and terms: the permitted questions, fixed before the first answer and checked by each site.

Start with `plan.py`: the list of a project's analyses. `terms.py` defines all that a project may ask, the plan
included; `review.py` finds what a plan could disclose, `replay.py` whether a question follows from it, `asks.py` what
each analysis asks for; `catalogue.py` describes a site's variables. May import analyses and statistics; both daemons
import this.
"""
