"""Results for people: text, plots and the HTML page of a run. Only this folder draws.

Start with `page.py`, or with `text.py` for the terminal. `run.py` recomputes an earlier run from the journal, and
only `plots.py` imports matplotlib. May import runs and the folders below; analyses do not import this folder.
"""
