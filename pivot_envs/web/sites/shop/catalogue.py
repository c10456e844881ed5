"""What the shop can sell: categories, kinds of products, makers and the words for them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of product."""

    name: str
    low: int
    """Lowest price in dollars."""
    high: int
    """Highest price in dollars."""
    option: str
    """What its variants differ in."""
    options: tuple[str, ...]
    styles: tuple[str, ...]
    use: str
    """A sentence on what it is for."""


MAKERS = ("Alderly", "Brinmoor", "Castell", "Dovetail", "Ellwood", "Fenwick", "Hollin", "Ironbark")

_COLOURS = ("Black", "White", "Green", "Blue", "Red", "Grey")
_WOODS = ("Oak", "Walnut", "Beech")

CATALOGUE: dict[str, tuple[Kind, ...]] = {
    "Kitchen": (
        Kind("Kettle", 24, 79, "Colour", _COLOURS, ("Enamel", "Steel", "Glass"),
             "Boils enough water for six cups and pours without dripping."),
        Kind("Frying Pan", 19, 89, "Size", ("20 cm", "24 cm", "28 cm"), ("Cast Iron", "Steel"),
             "Works on gas, electric and induction hobs."),
        Kind("Chef's Knife", 29, 120, "Blade", ("16 cm", "20 cm", "24 cm"), ("Forged", "Damask"),
             "Holds its edge through a week of vegetables."),
        Kind("Cutting Board", 14, 49, "Wood", _WOODS, ("Reversible", "End Grain"),
             "Has a groove that catches the juice and rubber feet that keep it still."),
        Kind("Storage Jar", 6, 22, "Volume", ("0.5 l", "1 l", "2 l"), ("Clip Top", "Screw Top"),
             "Keeps flour, rice and coffee dry."),
    ),
    "Bedroom": (
        Kind("Duvet Cover", 35, 110, "Size", ("Single", "Double", "King"), ("Linen", "Percale"),
             "Closes with hidden buttons and gets softer with every wash."),
        Kind("Pillow", 15, 60, "Firmness", ("Soft", "Medium", "Firm"), ("Feather", "Memory Foam"),
             "Keeps its shape for those who sleep on their side."),
        Kind("Throw Blanket", 25, 95, "Colour", _COLOURS, ("Wool", "Waffle"),
             "Covers the foot of a double bed or one person on a sofa."),
        Kind("Bedside Table", 59, 190, "Wood", _WOODS, ("Two-Drawer", "Open"),
             "Comes assembled, with a cable outlet at the back."),
    ),
    "Lighting": (
        Kind("Desk Lamp", 25, 99, "Colour", _COLOURS, ("Clamp", "Folding"),
             "Turns to every side and dims in five steps."),
        Kind("Floor Lamp", 49, 180, "Colour", _COLOURS, ("Arc", "Tripod"),
             "Lights a reading chair without blinding the room."),
        Kind("Lantern", 18, 64, "Size", ("Small", "Medium", "Large"), ("Storm", "Solar"),
             "Burns or shines for a whole evening on the terrace."),
    ),
    "Garden": (
        Kind("Watering Can", 12, 45, "Volume", ("3 l", "5 l", "9 l"), ("Zinc", "Slim Spout"),
             "Balances well when it is full and reaches the back of the bed."),
        Kind("Plant Pot", 5, 38, "Size", ("12 cm", "18 cm", "25 cm"), ("Terracotta", "Glazed"),
             "Has a drain hole and a saucer."),
        Kind("Pruning Shears", 16, 58, "Hand", ("Right", "Left"), ("Bypass", "Anvil"),
             "Cuts branches of up to two centimetres."),
        Kind("Garden Bench", 89, 290, "Wood", _WOODS, ("Slatted", "Folding"),
             "Seats two and stays outside all year."),
    ),
    "Office": (
        Kind("Notebook", 4, 24, "Paper", ("Ruled", "Dotted", "Blank"), ("Hardcover", "Pocket"),
             "Lies flat when open and has numbered pages."),
        Kind("Monitor Stand", 29, 85, "Wood", _WOODS, ("Wide", "Stacking"),
             "Lifts a screen to eye level and leaves room for a keyboard below."),
        Kind("Document Tray", 11, 42, "Colour", _COLOURS, ("Mesh", "Stackable"),
             "Takes A4 and letter paper."),
        Kind("Office Chair", 110, 390, "Colour", _COLOURS, ("Mesh", "High-Back"),
             "Adjusts in height, tilt and lumbar support."),
    ),
    "Bags": (
        Kind("Backpack", 39, 140, "Colour", _COLOURS, ("Roll-Top", "Day"),
             "Has a padded sleeve for a fifteen-inch laptop."),
        Kind("Tote Bag", 12, 55, "Colour", _COLOURS, ("Canvas", "Market"),
             "Carries a week's shopping and folds into its own pocket."),
        Kind("Toiletry Bag", 14, 48, "Colour", _COLOURS, ("Hanging", "Flat"),
             "Opens wide and wipes clean."),
    ),
}  # fmt: skip

PRAISE = (
    "Exactly as pictured, and it arrived a day early.",
    "Sturdier than I expected for the price.",
    "I bought a second one for my sister.",
    "Looks good and does what it should.",
    "We use it every day and it shows no wear yet.",
)
COMPLAINTS = (
    "The colour is darker than in the photo.",
    "It took two weeks to arrive.",
    "Fine, but the finish scratches easily.",
    "Smaller than I thought; check the measurements.",
    "The instructions were no help at all.",
)
