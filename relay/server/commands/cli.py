"""The operator's commands: `secagg-relay`, also `python -m relay`."""

from relay.service.command import Subcommand, lazy_group, run

app = lazy_group(
    "secagg-relay",
    __doc__,
    "relay.server.commands",
    {
        "serve": Subcommand(
            "serve",
            "Run the relay until SIGTERM. Logs go to stderr; with --json, a line on stdout reports when it is ready.",
        ),
        "migrate": Subcommand(
            "migrate",
            "Create or upgrade the database without serving. `serve` does the same before it starts listening.",
        ),
        "move": Subcommand(
            "move",
            "Copy the SQLite database of a stopped relay to PostgreSQL and compare every row; payloads stay in place.",
        ),
        "compact": Subcommand(
            "compact",
            "Shrink a stopped relay's SQLite database once; from then on it shrinks by itself when runs are purged.",
        ),
        "tls": Subcommand("tls", "Create a private authority and issue its certificates."),
        "token": Subcommand("token", "Join tokens; each enrols one site."),
        "site": Subcommand("site", "List and end enrolled sites."),
        "admin": Subcommand("admin", "The relay's status, and actions reserved for operators."),
        "audit": Subcommand("audit", "The hash-chained audit log."),
        "backup": Subcommand(
            "backup", "Back up database and payloads of a running relay into one file, and remove old backups."
        ),
        "backup-key": Subcommand(
            "backup",
            "Generate a key pair for backups, on the machine that will restore them, and print the public key.",
        ),
        "restore": Subcommand(
            "backup",
            "Check a backup, restore it into an empty folder, and start a new relay epoch. No relay may run meanwhile.",
        ),
        "doctor": Subcommand(
            "doctor",
            "Check folder, database, audit log, backups, ports, TLS and machine. Exits with 2 if something is wrong.",
        ),
        "openapi": Subcommand("openapi", "Print the interface as an OpenAPI 3.1 document."),
    },
)


def main() -> None:
    """Run the command line."""
    run(app, "secagg-relay")
