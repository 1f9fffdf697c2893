"""The mistakes: who types what, and what the answer must say."""

from dataclasses import dataclass, field

NO_SUCH = "7f4f5a0e-4a5e-4ad4-a6e1-0d4a7e6d6d55"
TOKEN = "secagg-join-" + "A" * 43


@dataclass(frozen=True)
class Mistake:
    """A command line that cannot do what was wanted.

    Attributes:
        who: whose program, and whether its folder is fresh.
        line: the command line without the program; `{words}` and the like come from the scene.
        says: parts of the answer.
        settings: environment in addition to the party's own; an empty value removes a variable.
        code: exit code: 2 if the line itself cannot be read, otherwise 1.
    """

    who: str
    line: str
    says: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    code: int = 1


def site(line: str, *says: str, **settings: str) -> Mistake:
    return Mistake("site", line, says, _of("PARTICIPANT", settings))


def fresh(line: str, *says: str, **settings: str) -> Mistake:
    return Mistake("fresh site", line, says, _of("PARTICIPANT", settings))


def head(line: str, *says: str, **settings: str) -> Mistake:
    return Mistake("coordinator", line, says, _of("COORDINATOR", settings))


def relay(line: str, *says: str, **settings: str) -> Mistake:
    return Mistake("relay", line, says, _of("RELAY", settings))


def unreadable(who: str, line: str, *says: str) -> Mistake:
    return Mistake(who, line, says, code=2)


def _of(program: str, settings: dict[str, str]) -> dict[str, str]:
    return {f"SECAGG_{program}_{name}".upper(): value for name, value in settings.items()}


GRID = "grid = {width = 7, count = 30}\n"
CURVE = '[[task]]\nanalysis = "kaplan-meier"\ndataset = "lung"\ntime = "time"\nevent = "status"\nrow_limit = 1000\n'
TERMS = 'purpose = "a test"\ndataset = "lung"\ncolumns = ["age", "status", "time"]\nstatistics = ["event-counts"]\n'
FILES = {
    name: content.encode()
    for name, content in {
        "typo.toml": "minimum_site = 4\n",
        "type.toml": 'minimum_sites = "four"\n',
        "low.toml": "minimum_sites = 0\n",
        "rule.toml": 'loss_rule = "carry on"\n',
        "no.toml": "minimum_sites = \n",
        "list.json": '["a", "b"]',
        "grid.toml": CURVE + "grid = {width = 7, cont = 30}\n",
        "curve.toml": CURVE + "minimum_persons = 1\n" + GRID,
        "analysis.toml": '[[task]]\nanalysis = "kaplan-meyer"\ndataset = "lung"\n',
        "dataset.toml": CURVE.replace('"lung"', '"lungs"') + GRID,
        "column.toml": CURVE.replace('"time"\nevent', '"tyme"\nevent') + GRID,
        "terms.toml": TERMS + "floor = 3\n",
        "noplan.toml": TERMS,
        "plan.toml": TERMS + '[[tasks]]\nname = "a"\nanalysis = "kaplan-meier"\ntime = "time"\n',
        "short.csv": "a,b\n1\n",
        "good.csv": "a,b\n1,2\n3,4\n",
        "binary.csv": "\0\1\2",
        "passphrase": "short\n",
    }.items()
}

UNUSED_TOKEN = fresh(
    f"enroll --token {TOKEN} --name x", "unknown, used, expired or revoked", "ask the relay's operator"
)

MISTAKES = (
    # A hospital enrols.
    fresh("enroll --token nonsense --name x", "this is no join token", "begins with secagg-join-"),
    UNUSED_TOKEN,
    fresh("enroll", "no join token is given; use --token, or a bundle"),
    fresh(f"enroll --token {TOKEN}", "no name is given; use --name"),
    fresh("enroll --bundle missing.bundle", "there is no file missing.bundle"),
    fresh("enroll --bundle good.csv", "good.csv is not a bundle from a relay's operator"),
    fresh(f"enroll --token {TOKEN} --name x --relay relay.example.org", "use the form https://relay.example.org"),
    fresh(f"enroll --token {TOKEN} --name x --relay http://a.example.org", "use https for a relay on another machine"),
    fresh(f"enroll --token {TOKEN} --name x", "no passphrase is given: set passphrase_file", passphrase=""),
    Mistake(
        "fresh site",
        f"enroll --token {TOKEN} --name x",
        ("passphrase must have at least 12 characters",),
        {"SECAGG_PARTICIPANT_PASSPHRASE": "short", "SECAGG_PARTICIPANT_DATA": "other"},
    ),
    fresh("start", "is not enrolled at http://127.0.0.1:{port}", "run secagg-participant enroll"),
    # Settings.
    site("start", "identity.json does not open with this passphrase", passphrase="wrong horse battery staple"),
    site("config check", "SECAGG_PARTICIPANT_RELAI (did you mean SECAGG_PARTICIPANT_RELAY?)", relai="x"),
    site("config check", "admin_port must be a whole number", admin_port="eighty"),
    site("config check", "admin_port must be at most 65535", admin_port="99999"),
    site("config check --config missing.toml", "file missing.toml does not exist"),
    site("config check", "PASSPHRASE_FILE: there is no file nowhere", passphrase_file="nowhere"),
    # Policies.
    site("policy show", "typo.toml: minimum_site is unknown; did you mean minimum_sites?", policy="typo.toml"),
    site("policy show", "type.toml: minimum_sites must be a whole number", policy="type.toml"),
    site("policy show", "low.toml: minimum_sites must be at least 3", policy="low.toml"),
    site("policy show", "rule.toml: loss_rule must be 'continue', 'pause' or 'abort'", policy="rule.toml"),
    site("policy show", "no.toml is not a valid TOML file", "line 1", policy="no.toml"),
    site("policy show", "there is no policy file at missing.toml", policy="missing.toml"),
    # Data.
    site("data import lung missing.csv", "there is no file missing.csv"),
    site("data import lung .", ". is a folder, not a file"),
    site("data import lung short.csv", "1 of 1 rows are bad", "nothing was stored", "bad-rows.csv"),
    site("data import lung binary.csv", "binary.csv holds NUL bytes"),
    site('data import "my data" good.csv', "a dataset's name is a letter, then"),
    site("data import lung good.csv --schema missing.toml", "there is no file missing.toml"),
    site("data import lung good.csv --schema typo.toml", "typo.toml: minimum_site is unknown"),
    site("data show lungs", "there is no dataset lungs; there are: lung"),
    site("data drop lungs", "there is no dataset lungs"),
    unreadable("site", "data imprt lung good.csv", "Did you mean 'import'?"),
    # The officer's decisions.
    site("project show tset", "there is no project 'tset'; did you mean 'test'?", "secagg-participant project list"),
    site(f"project show {NO_SUCH}", "this project does not exist, or this site may not see it"),
    site('project agree test --words "{one_wrong}"', "word 5 (ze", "misheard, mistyped or swapped"),
    site('project agree test --words "{eleven}"', "11 words were typed, and there are 12"),
    site('project agree test --words "{words} zebrra"', "13 words were typed"),
    site("project agree test", "give the words with --words"),
    site("project agree test --words-file missing", "there is no file missing"),
    site(f"explain {NO_SUCH}", "this site takes part in no such run"),
    site("explain nonsense", "there is no run 'nonsense'", "secagg-participant runs"),
    site("approve {run}", "nothing of this run waits"),
    site(f"log show {NO_SUCH}", f"this site has no log of run {NO_SUCH}"),
    # A coordinator's files.
    head("project create other", "give the study plan with --plan"),
    head("project create other --terms missing.toml", "there is no file missing.toml"),
    head("project create other --terms terms.toml", "terms.toml: floor is unknown"),
    head("project create other --terms typo.toml", "typo.toml: purpose is missing", "minimum_site is unknown"),
    head("project create other --plan plan.toml", "plan.toml: minimum_persons is missing"),
    head("project create other --plan noplan.toml", "noplan.toml has no [[tasks]]"),
    head("plan check missing.toml", "there is no file missing.toml"),
    head(f"project create {'x' * 300} --terms noplan.toml", "name must have at most"),
    Mistake("fresh coordinator", "enroll --token nonsense --name x", ("this is no join token",)),
    # Projects and sites.
    head("project show tset", "there is no project 'tset'; did you mean 'test'?"),
    head("project invite test east", "the name 'east' does not identify one enrolled site", "nobody was invited"),
    # Runs.
    head("run test grid.toml", "grid.toml, task 1: ", "grid.count is missing", "cont is unknown; did you mean count?"),
    head("run test analysis.toml", "'kaplan-meyer' is unknown; did you mean kaplan-meier?"),
    head("run test dataset.toml", "the project covers dataset lung; the query asks for lungs"),
    head("run test column.toml", "do not include the columns tyme (did you mean time?)"),
    head("run test list.json", "list.json does not contain a table"),
    head("run test missing.toml", "there is no file missing.toml"),
    head("run test no.toml", "no.toml cannot be read", "line 1"),
    head("run tset curve.toml", "there is no project 'tset'; did you mean 'test'?"),
    head("run curve.toml", "no project is named: use run PROJECT curve.toml"),
    head("run --simulate nowhere curve.toml", "nowhere"),
    head("show nonsense", "there is no run 'nonsense'", "secagg-coordinator runs"),
    head(f"show {NO_SUCH}", f"has no run {NO_SUCH}", "secagg-coordinator runs"),
    head("pause {run}", "is completed; rerun it with: retry {run}"),
    head("restore missing.backup", "already holds a coordinator"),
    head("project list", "no passphrase is given", passphrase_file="", passphrase=""),
    head("project list", "does not open with this passphrase", passphrase_file="passphrase"),
    head("project list", "SECAGG_COORDINATOR_PASSPHRASE_FILE: there is no file nowhere", passphrase_file="nowhere"),
    unreadable("coordinator", "project create", "Missing argument 'name'"),
    # The operator.
    relay("serve --data other-relay --port {port} --admin-port 0", "port: port {port} cannot be opened: another"),
    relay("serve --data third-relay --port 0 --admin-port {port}", "admin_port: port {port} cannot be opened"),
    relay("serve --data other-relay --port 99999", "port must be at most 65535"),
    relay("serve --data other-relay --config missing.toml", "file missing.toml does not exist"),
    relay("site list --data nowhere", "nowhere contains no relay; give its folder as --data"),
    relay("admin status --data nowhere", "nowhere contains no relay"),
    relay("site show nothing --data {relay}", "no site 'nothing'; see: secagg-relay site list"),
    relay("restore missing.backup --data other-relay", "file missing.backup does not exist"),
)
