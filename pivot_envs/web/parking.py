"""Parking, live pages that were set aside to go on later, each once."""

from dataclasses import dataclass

from pivot_envs.errors import BrowserError, SnapshotError
from pivot_envs.web.chrome import Profile
from pivot_envs.web.page import LivePage
from pivot_envs.web.report import Report
from pivot_envs.web.tape import Tape

_MOST_PAGES = 64


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """A live page that was set aside."""

    live: LivePage
    profile: Profile
    tape: Tape
    report: Report


class Parking:
    """The parked pages of a tab, by number."""

    def __init__(self) -> None:
        self._pages: dict[int, ParkedPage] = {}
        self._last = 0

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._pages)

    def put(self, page: ParkedPage) -> int:
        """Keep a page and return its number.

        Raises:
            BrowserError: Too many are kept.
        """
        if len(self._pages) >= _MOST_PAGES:
            raise BrowserError(f"{_MOST_PAGES} pages are parked: resume some or close")
        self._last += 1
        self._pages[self._last] = page
        return self._last

    def take(self, number: int) -> ParkedPage:
        """Return a page and forget it.

        Raises:
            SnapshotError: It was taken before, or is not of this tab, or was lost.
        """
        page = self._pages.pop(number, None)
        if page is None or page.live.is_lost:
            raise SnapshotError(
                "a parked page can be resumed once, in the environment and process that parked "
                "it, while its browser lives"
            )
        return page

    def uses(self, profile: Profile) -> bool:
        """Tell whether a page of ``profile`` is parked."""
        return any(page.profile is profile for page in self._pages.values())

    def clear(self) -> list[Profile]:
        """Forget all pages and return their profiles, each once."""
        profiles = {page.profile.context_id: page.profile for page in self._pages.values()}
        self._pages.clear()
        return list(profiles.values())
