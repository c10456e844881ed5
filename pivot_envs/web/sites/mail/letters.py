"""What the mailbox holds: letters of several kinds, with the facts that people look up in them."""

from datetime import datetime, timedelta

from pivot_envs.web.sites.draw import Draw
from pivot_envs.web.sites.wording import month, weekday

SHOPS = ("Brightwell Books", "Copper Kettle", "Northside Cycles", "Papergrain", "Tidal Outdoor")
COMPANIES = ("Calder Rail", "Harbour Hotels", "Skylark Air", "Fairhaven Ferries")
NEWS = ("The Weekly Loaf", "City Library", "Garden Circle", "Chess Monthly")
TOPICS = (
    "the budget",
    "the new office",
    "the customer survey",
    "the summer fair",
    "the training plan",
    "the web site texts",
    "the supplier contract",
    "the release date",
)
ROOMS = ("Aspen", "Birch", "Cedar", "Dogwood", "Elm")
_OPENINGS = ("Hello", "Hi", "Good morning")
_CLOSINGS = ("Best wishes", "Kind regards", "Thanks", "See you")
_NEWS_BODIES = (
    "This week: three recipes with rye, a visit to an old mill, and answers to your letters.",
    "New opening hours from Monday, and a reading for children on Saturday at eleven.",
    "What to sow now, what to cut back, and where to see the finest roses.",
    "Two grandmaster games with notes, and the puzzle of the month.",
)


def code(draw: Draw, length: int) -> str:
    """Return a code such as ``K7QX2M``; no letters that look like digits."""
    return "".join(draw.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))


def address_of(name: str) -> str:
    """Return the e-mail address of a company."""
    return f"service@{name.lower().replace(' ', '')}.example"


def invoice(draw: Draw, moment: datetime) -> dict[str, str]:
    """Return an invoice of a shop."""
    shop, number = draw.choice(SHOPS), str(draw.integer(10_000, 99_999))
    amount = f"${draw.integer(9, 240)}.{draw.integer(10, 99)}"
    due = weekday(moment + timedelta(days=14))
    return {
        "sender_name": shop,
        "sender_address": address_of(shop),
        "subject": f"Invoice {number}",
        "body": f"Thank you for your order.\n\nInvoice number: {number}\nAmount: {amount}\n"
        f"Please pay by {due}.\n\n{shop}",
    }


def booking(draw: Draw, moment: datetime) -> dict[str, str]:
    """Return the confirmation of a journey or a stay."""
    company, reference = draw.choice(COMPANIES), code(draw, 6)
    start = weekday(moment + timedelta(days=draw.integer(5, 60)))
    return {
        "sender_name": company,
        "sender_address": address_of(company),
        "subject": f"Your booking for {start}",
        "body": f"Your booking is confirmed.\n\nBooking reference: {reference}\nDate: {start}\n"
        f"Persons: {draw.integer(1, 4)}\n\nChanges are free until the day before.\n\n{company}",
    }


def parcel(draw: Draw, moment: datetime) -> dict[str, str]:
    """Return the notice of a parcel that is on its way."""
    day = weekday(moment + timedelta(days=draw.integer(1, 4)))
    return {
        "sender_name": "Swift Parcel",
        "sender_address": "tracking@swiftparcel.example",
        "subject": f"Your parcel from {draw.choice(SHOPS)}",
        "body": f"A parcel is on its way to you.\n\nTracking number: SP{draw.integer(10**7, 10**8)}"
        f"\nExpected on: {day}\n\nSwift Parcel",
    }


def newsletter(draw: Draw, moment: datetime) -> dict[str, str]:
    """Return a newsletter."""
    index = draw.integer(0, len(NEWS) - 1)
    return {
        "sender_name": NEWS[index],
        "sender_address": address_of(NEWS[index]).replace("service@", "news@"),
        "subject": f"{NEWS[index]}, {month(moment)} {moment.day}",
        "body": f"{_NEWS_BODIES[index]}\n\nYou get this letter because you subscribed to it.",
    }


def note(draw: Draw, moment: datetime, name: str, address: str) -> dict[str, str]:
    """Return a letter from somebody at work."""
    topic, first = draw.choice(TOPICS), name.split()[0]
    day = weekday(moment + timedelta(days=draw.integer(2, 9)))
    hour = draw.integer(9, 16)
    subject, text = draw.choice(
        (
            (
                f"Meeting about {topic}",
                f"shall we meet about {topic} on {day} at {hour}:00?\n"
                f"I booked room {draw.choice(ROOMS)}.",
            ),
            (
                f"Question about {topic}",
                f"who decides about {topic}? I would like to have an answer by {day}.",
            ),
            (
                f"Notes on {topic}",
                f"here is what we said about {topic}:\n- keep it simple\n"
                f"- ask two more people\n- decide on {day}",
            ),
        )
    )
    return {
        "sender_name": name,
        "sender_address": address,
        "subject": subject,
        "body": f"{draw.choice(_OPENINGS)},\n\n{text}\n\n{draw.choice(_CLOSINGS)}\n{first}",
    }
