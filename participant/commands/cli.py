"""The hospital's commands: `secagg-participant`, also `python -m participant`."""

from relay.service.command import Subcommand, lazy_group, run

app = lazy_group(
    "secagg-participant",
    __doc__,
    "participant.commands",
    {
        "enroll": Subcommand("identity", "Generate this site's key and enrol it at a relay, with a token or a bundle."),
        "configure": Subcommand(
            "configure",
            "Write the settings file: on a terminal, prompt for missing values; otherwise, change only what is given.",
        ),
        "config": Subcommand("config", "Check and show the settings."),
        "start": Subcommand(
            "start",
            "Run the daemon until SIGTERM. Logs go to stderr; with --json, a line on stdout reports when it is ready.",
        ),
        "status": Subcommand(
            "status", "Show key, daemon, confirmed projects, open epochs, datasets, and the ledger's latest entry."
        ),
        "doctor": Subcommand(
            "doctor",
            "Check settings, machine, key, journal, datasets, policy and the path to the relay, with remedies.",
        ),
        "rehearse": Subcommand(
            "rehearse",
            "Rehearse a complete secure sum of made-up sites through the real relay; two of the sites drop out.",
        ),
        "project": Subcommand("project", "Projects that this site is invited to or takes part in."),
        "runs": Subcommand(
            "runs", "List the runs that this site has joined, what left for each, and what waits for a decision."
        ),
        "approve": Subcommand(
            "decision",
            "Approve what waits in a run: a question and its later rounds, or a set of sites. Run `explain` first.",
        ),
        "deny": Subcommand(
            "decision", "Deny what waits in a run: the site declines the question, or does not sign the set of sites."
        ),
        "explain": Subcommand(
            "explain",
            "Explain plainly what a run asks: columns, rows, numbers, floors, cost, overlap with earlier answers.",
        ),
        "pause": Subcommand(
            "decision",
            "Stop all activity of this site immediately: it reads, computes, signs and sends nothing until `resume`.",
        ),
        "resume": Subcommand("decision", "End the pause, so that the site works again."),
        "results": Subcommand(
            "results",
            "Show the verified sums of this site's runs, including those that only the sites can open (mode he).",
        ),
        "receipt": Subcommand("receipt", "Receipts of runs: what was asked, which sites took part, and the results."),
        "log": Subcommand("log", "The daemon's log of a run: show it, or send it to the coordinator."),
        "ledger": Subcommand(
            "ledger",
            "Show everything that ever left this site and every decision, and check that no entry was altered.",
        ),
        "audit": Subcommand("audit", "Check that the ledger is as the daemon wrote it."),
        "policy": Subcommand("policy", "Show the policy: what this site allows."),
        "data": Subcommand("data", "The site's datasets. These commands never send their contents."),
        "key": Subcommand("key", "The identity key: rotate, back up, restore."),
        "deregister": Subcommand(
            "identity", "Leave the relay for good: ends all memberships, revokes the key and destroys it here."
        ),
    },
)


def main() -> None:
    """Run a command; an error prints one line on stderr."""
    run(app, "secagg-participant")
