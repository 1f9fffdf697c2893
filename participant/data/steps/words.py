"""Words for a missing value, and pairs of words for yes and no."""

ERRORS = frozenset(
    {"#n/a", "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#getting_data", "#spill!", "#calc!", "#error"}
)
INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
USUAL_MISSING = (
    frozenset(
        {"na", "n/a", "n.a.", "nan", "null", "none", "nil", "-", "--", ".", "?", "missing", "unknown", "unk", "k.a."}
    )
    | frozenset({"<na>", "nat", "\\n"})
    | ERRORS
    | INFINITE
)
BOOLEANS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("ja", "nein"),
    ("j", "n"),
    ("oui", "non"),
    ("wahr", "falsch"),
)
