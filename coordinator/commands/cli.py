"""Run projects and analyses over many sites: `secagg-coordinator`, or `python -m coordinator`."""

from relay.service.command import Subcommand, lazy_group
from relay.service.command import run as run_command

app = lazy_group(
    "secagg-coordinator",
    __doc__,
    "coordinator.commands",
    {
        "enroll": Subcommand("identity", "Generate this coordinator's key and enrol it."),
        "project": Subcommand("project", "Projects that this identity coordinates."),
        "plan": Subcommand("plan", "Check study plans before proposing them."),
        "catalogue": Subcommand(
            "catalogue",
            "Show which of the project's variables each site has, their coding, and the approximate number of rows.",
        ),
        "run": Subcommand("run", "Run analyses over the sites that confirmed the roster, and print the results."),
        "status": Subcommand(
            "runs", "Show a run's state and how each site stands in it: who waits for whom, who declined, and why."
        ),
        "runs": Subcommand("runs", "List this coordinator's runs, newest first."),
        "show": Subcommand(
            "show",
            "Show the results of an earlier run, recomputed from the sums in the journal without asking any site.",
        ),
        "export": Subcommand(
            "export",
            "Export an earlier run as one HTML page: tables, figures, cohort, floors, versions, and receipt hash.",
        ),
        "pause": Subcommand("steer", "Pause a run once its open round is finished. Its deadline does not change."),
        "resume": Subcommand("run", "Continue a paused or interrupted run, and print the results."),
        "cancel": Subcommand("steer", "End a run immediately; it cannot be resumed."),
        "retry": Subcommand("run", "Rerun a finished run with all current sites, and print the results."),
        "logs": Subcommand("logs", "Show the logs of a run that sites sent with `secagg-participant log send RUN`."),
        "receipt": Subcommand("receipt", "Receipts of runs: what was asked, which sites took part, and the result."),
        "standby": Subcommand(
            "standby", "Watch this coordinator's runs, and take over any run whose process has died."
        ),
        "backup": Subcommand(
            "backup",
            "Write identity, runs and results to a file sealed under the passphrase; epoch state is left out.",
        ),
        "restore": Subcommand(
            "backup",
            "Restore a backup into an empty data folder; `resume RUN` continues open runs from their checkpoints.",
        ),
        "rotate-key": Subcommand(
            "identity",
            "Replace this coordinator's key in every project; each site's officer then confirms the new words.",
        ),
        "deregister": Subcommand(
            "identity", "Leave the relay permanently: memberships end, and the key is revoked and destroyed."
        ),
        "demo": Subcommand(
            "demo",
            "Fit a Cox model over nine real institutions on this machine, without revealing any institution's data.",
        ),
    },
)


def main() -> None:
    """Run a command and report any error in one line on stderr."""
    run_command(app, "secagg-coordinator")
