"""Models that statistics evaluate: formulas, designs, families, outcomes, and the interface of trainers.

Start with `design.py`. `special.py` has SciPy's functions, loaded when first used. May import only the language.
"""
