"""The statistics that a query can ask a site for, as pure functions over arrays.

A query names one statistic. `bind` reads its parameters once and returns a `BoundQuery`, which states what the answer's
vector holds, how large an entry can be, and what the sum over the sites discloses. `evaluate` answers the query from a
table; `describe` puts it in words.

    statistic      releases                                             serves
    counts         rows, complete rows, values present                  cohort sizes, missingness
    moments        n, sums, sums of squares                             means and standard deviations, one-sample t-test
    class-moments  the same for each class                              t-tests, analysis of variance, naive Bayes
    histogram      counts, and sums, in intervals of a column or of     quantiles, plots; residual summaries; ROC curve,
                   a linear predictor, mean or residual, by groups      calibration, Hosmer-Lemeshow
    contingency    rows of each combination of levels                   chi-square, Fisher, odds ratios
    gram           sums of squares and products of a design             linear regression, ridge, lasso, correlation,
                                                                        PCA, analysis of covariance, VIF
    glm-score      score, information, deviance, Pearson's chi-square   logistic, Poisson, negative binomial and gamma
                                                                        regression, AIC and BIC, overdispersion
    ordinal-score  score and information of proportional odds           ordinal logistic regression
    event-counts   events and rows at risk on a grid, by groups         Kaplan-Meier, log-rank, stratified log-rank
    cox-risk-sets  risk-set sums, tie sums, event trend, by strata      Cox (Efron, Breslow, strata), and its test of
                                                                        proportional hazards
    k-means        n, sums, distances at each centre                    k-means
    hinge          loss, (sub)gradient, curvature                       linear support vector machine
    training       update of a model by an installed trainer            federated averaging and relatives
    imputed        any of the above on imputed rows                     multiple imputation
    ranges         number of sites with entries above powers of two     bounds for any of the above with real entries

Every module states its formula, bounds, disclosure and source.
"""
