"""Names of people and places that the sites are filled with."""

from collections.abc import Sequence
from dataclasses import dataclass

from pivot_envs.web.sites.draw import Draw


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    """
    Aisha Alma Anton Beatriz Bruno Carla Chidi Clara Dana Daniel Edith Elias Emre Farah Felix
    Greta Hana Hugo Ida Imran Ines Ivo Jonas Julia Kaito Karin Leila Leo Lin Lukas Maren Marta
    Mateo Maya Mira Nadia Nils Noor Olga Omar Paula Pedro Priya Quinn Rafael Rosa Sami Sofia
    Tariq Tessa Tomas Ulla Vera Viktor Wanda Yara Yusuf Zoe
    """
)
LAST_NAMES = _words(
    """
    Adeyemi Andersen Baptiste Berger Brandt Castillo Chen Costa Dahl Demir Duarte Eriksen
    Fischer Fontaine Garcia Haddad Hansen Holm Ibrahim Ito Jansen Kaya Keller Kowalski Kumar
    Larsen Lopez Marino Meyer Moreau Mwangi Nakamura Nowak Okafor Olsen Park Patel Pereira
    Popescu Quist Rossi Sato Schmidt Silva Soto Svensson Tanaka Torres Vargas Vogel Weber Wolff
    Yilmaz Zeman
    """
)
STREETS = (
    *("Alder Lane", "Bakers Row", "Canal Street", "Chestnut Avenue", "Church Hill", "Dock Road"),
    *("Elm Close", "Fountain Square", "Garden Walk", "Harbour Street", "Kiln Lane", "Linden Road"),
    *("Market Street", "Meadow View", "Mill Road", "North Parade", "Orchard Way", "Park Terrace"),
    *("Quarry Road", "River Bank", "School Lane", "Station Road", "Tanner Street", "Weaver Lane"),
)
CITIES = _words(
    """
    Ashford Brackley Calder Dunmore Eastwick Fairhaven Glenrock Harwell Kingsbury Langford
    Marlow Northam Oakley Penrith Redcliff Stanton Thornbury Westbrook
    """
)
PASSWORD_WORDS = _words(
    """
    amber birch cedar cobalt copper coral falcon fern granite harbor heron indigo juniper maple
    meadow onyx opal pebble pine quartz raven river saffron slate sparrow thistle tulip willow
    """
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account."""

    first: str
    last: str
    password: str

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"

    @property
    def username(self) -> str:
        """Lower-case name that signs in."""
        return f"{self.first}.{self.last}".lower()


def draw_people(draw: Draw, count: int) -> list[Person]:
    """Return people, no two of whom share a first or a last name; at most 54."""
    firsts, lasts = draw.sample(FIRST_NAMES, count), draw.sample(LAST_NAMES, count)
    return [
        Person(first, last, draw_password(draw)) for first, last in zip(firsts, lasts, strict=True)
    ]


def draw_password(draw: Draw) -> str:
    """Return a password such as ``maple-heron-41``."""
    return "-".join([*draw.sample(PASSWORD_WORDS, 2), str(draw.integer(10, 99))])


def draw_street(draw: Draw) -> str:
    """Return a house number and a street."""
    return f"{draw.integer(1, 120)} {draw.choice(STREETS)}"


def draw_place(draw: Draw) -> tuple[str, str]:
    """Return a postcode and a city."""
    index = draw.integer(0, len(CITIES) - 1)
    return f"{CITIES[index][:2].upper()}{index + 10} {draw.integer(1, 9)}TR", CITIES[index]


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
