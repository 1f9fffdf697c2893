"""`secagg-participant project`. Each command is in a module with what it needs."""

from relay.service.command import Subcommand, lazy_group

app = lazy_group(
    "project",
    "Projects that this site is invited to or takes part in.",
    "participant.commands",
    {
        "list": Subcommand("project_list", "List the projects that this site was invited to."),
        "show": Subcommand(
            "project_roster",
            "Show what a project may ask, its plan and what the review finds, its members, and the roster's words.",
        ),
        "agree": Subcommand(
            "project_roster",
            "Agree to a project: its roster, terms and plan. Type the words that you heard, not those shown here.",
        ),
        "accept": Subcommand(
            "project_roster",
            "Agree to a project: its roster, terms and plan. Type the words that you heard, not those shown here.",
            hidden=True,
        ),
        "decline": Subcommand(
            "project_roster",
            "Decline or leave a project. The coordinator is told, and this site joins no further runs.",
        ),
        "leave": Subcommand(
            "project_roster",
            "Decline or leave a project. The coordinator is told, and this site joins no further runs.",
        ),
    },
)
