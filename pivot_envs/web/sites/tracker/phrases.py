"""What tickets are about: projects, their parts, and what goes wrong with them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProjectKind:
    """A project and the parts of its product."""

    key: str
    name: str
    description: str
    parts: tuple[str, ...]


PROJECTS = (
    ProjectKind(
        "PAY",
        "Payments",
        "Cards, refunds, invoices and payouts.",
        ("Refund form", "Card check", "Invoice PDF", "Payout report", "Currency switch", "Receipt"),
    ),
    ProjectKind(
        "WEB",
        "Storefront",
        "The public web site.",
        ("Search box", "Product page", "Size table", "Wish list", "Newsletter form", "Page footer"),
    ),
    ProjectKind(
        "APP",
        "Mobile App",
        "The app for phones and tablets.",
        (
            "Login screen",
            "Barcode scanner",
            "Offline mode",
            "Settings page",
            "Map view",
            "Photo upload",
        ),
    ),
    ProjectKind(
        "OPS",
        "Infrastructure",
        "Servers, deployments and monitoring.",
        (
            "Nightly backup",
            "Deploy script",
            "Alert rule",
            "Log viewer",
            "Staging server",
            "Cache server",
        ),
    ),
)

PROBLEMS = (
    "shows an empty result",
    "times out",
    "rounds numbers wrongly",
    "loses the last entry",
    "sends everything twice",
    "ignores the time zone",
    "rejects valid input",
    "crashes",
    "forgets the chosen language",
)
CIRCUMSTANCES = (
    "on small screens",
    "after a password change",
    "for customers in Norway",
    "with more than 100 rows",
    "when the session has expired",
    "in dark mode",
    "on the first day of the month",
    "with a slow connection",
)
WISHES = (
    "{part}: add an export to CSV",
    "{part}: remember the last filter",
    "{part}: support keyboard shortcuts",
    "{part}: show who changed what",
    "{part}: allow undo",
)
CHORES = (
    "{part}: write the missing documentation",
    "{part}: remove the old feature flag",
    "{part}: update the dependencies",
    "{part}: raise the test coverage",
)
BODIES = {
    "bug": (
        "Seen three times this week. The steps are always the same, see the first comment.",
        "A customer reported it by phone. I could reproduce it at once.",
        "It worked in the last release, so it must be one of the recent changes.",
        "Nothing in the logs. Reloading the page helps for a while.",
    ),
    "feature": (
        "Asked for by two large customers, who do it by hand today.",
        "Support gets this question every week.",
        "Should not take more than a day, the data is all there.",
    ),
    "task": (
        "Left over from the last release.",
        "Nobody owns this, so it stays undone. Let us change that.",
        "To be done before the audit.",
    ),
}
COMMENTS = (
    "I can reproduce this on the staging server.",
    "Is anybody working on it?",
    "Needs a decision from the product team first.",
    "The fix is ready for review.",
    "Happened to me as well, with the latest version.",
    "Moved to the next sprint.",
    "Please attach the log file.",
)
LABELS = ("accessibility", "customer", "performance", "regression", "security", "usability")
