"""The data manager's commands: `secagg-participant data ...`. They never send any of a table's contents.

Each is in a module with what it needs: a look at what is there loads no data frames.
"""

from relay.service.command import Subcommand, lazy_group

app = lazy_group(
    "data",
    "The site's datasets. These commands never send their contents.",
    "participant.commands",
    {
        "import": Subcommand(
            "data_import",
            "Import a table as a dataset's next version: clean names, drop duplicates, convert, validate, report.",
        ),
        "map": Subcommand(
            "data_import",
            "Map a dataset's columns to a project's variables, in a new version and in every later import.",
        ),
        "list": Subcommand("data_look", "List the newest version of each dataset."),
        "show": Subcommand("data_look", "Show a dataset's columns, versions, and the path of its report."),
        "verify": Subcommand(
            "data_look", "Check that a dataset is as it was imported: hash, rows, types, missing values."
        ),
        "export": Subcommand(
            "data_export", "Write a dataset as a CSV file or a MongoDB collection, and check it against what is stored."
        ),
        "backup": Subcommand(
            "data_backup",
            "Back up all datasets into one file, sealed under the identity's passphrase, and read it again.",
        ),
        "restore": Subcommand(
            "data_backup",
            "Restore datasets from a backup, once all of it is verified. Nothing that exists is overwritten.",
        ),
        "drill": Subcommand(
            "data_backup",
            "Restore a backup into an empty folder, verify every dataset there, remove it again, and report.",
        ),
        "drop": Subcommand("data_drop", "Remove a dataset or one version of it. Version numbers are never reused."),
        "catalogue": Subcommand(
            "data_catalogue", "Show this site's entry for a project's catalogue; with --send, send it."
        ),
    },
)
