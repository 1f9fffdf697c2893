#!/bin/sh
# Six deaths at the times 1 to 6 leave exactly half alive at 3, the median by definition; lifelines 0.30.0 and statsmodels 0.14.5 say 4.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check lifelines==0.30.0 statsmodels==0.14.5
env/bin/python - <<'PYTHON'
import numpy as np
from lifelines import KaplanMeierFitter
from statsmodels.duration.survfunc import SurvfuncRight

times = np.arange(1.0, 7.0)
curve = KaplanMeierFitter().fit(times)
found = (
    float(curve.survival_function_at_times([3.0]).iloc[0]),
    float(curve.median_survival_time_),
    float(SurvfuncRight(times, np.ones(6)).quantile(0.5)),
)
print(found)
assert abs(found[0] - 0.5) < 1e-15
assert found[1:] == (4.0, 4.0)
PYTHON
echo "as described"
