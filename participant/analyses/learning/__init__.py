"""Learning and prediction: federated training, clusters, components, classifiers, their assessment, and imputation.

One file per analysis, found by `participant.analyses.catalogue`; `predictor.py`, `predictive.py`, `curve.py`,
`folds.py` and `deviance.py` are shared by several. May import regression, survival, sums and base.
"""
