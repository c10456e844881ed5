"""Chrome, one running browser: which program it is, and how it is kept from the outside."""

import asyncio
import base64
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pivot_envs.errors import BrowserError, BrowserUnavailableError

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, CDPSession, Page, Playwright

PROGRAMS = (
    "chromium-headless-shell",
    "chrome-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
"""Names of browsers looked for on the machine; the first is the fastest by far."""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
    # The browser heeds the last list only, so that Playwright's is here again. RenderDocument gives
    # every document a frame of its own, which resets would pay for.
    "--disable-features=AvoidUnnecessaryBeforeUnloadCheckSync,DestroyProfileOnBrowserClose,"
    "HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,PaintHolding,ThirdPartyStoragePartitioning,"
    "BackForwardCache,Translate,MediaRouter,OptimizationHints,RenderDocument",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy",
    # No name is looked up anywhere: what may be reached goes through a proxy on the loopback.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_FRAME_FLAGS = ("--enable-begin-frame-control", "--run-all-compositor-stages-before-draw")
_SCRIPTS = ("clock", "guard", "elements", "observation", "actions", "keys", "turn")
_MOST_FRAMES = 5
# The same pixels, in less time and more bytes.
_PICTURE: Mapping[str, Any] = {"format": "png", "optimizeForSpeed": True}
_NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Profile:
    """A context of a browser: cookies, storage and pages that share nothing with others."""

    context: "BrowserContext"
    context_id: str
    """The browser's own name of the context."""
    viewport: tuple[int, int]
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a page is opened: of two at once, both would be taken for the first."""


class Chrome:
    """A browser process, shared by the sessions of this process; each has a context of its own."""

    def __init__(self, browser: "Browser", has_frames: bool, session: "CDPSession") -> None:
        """Wrap a launched browser; see ``launch``."""
        self.browser = browser
        self.has_frames = has_frames
        self.session = session
        self.documents = 0
        # Two screenshots at once crash a browser whose frames are controlled.
        self.drawing = asyncio.Lock()
        self._opening = asyncio.Lock()

    @classmethod
    async def launch(
        cls, playwright: "Playwright", executable: str | None, controls_frames: bool
    ) -> "Chrome":
        """Start a browser.

        Args:
            playwright: Starts it.
            executable: A browser's name or path, or ``None`` for the best one of the machine.
            controls_frames: Whether to draw frames on demand only, which a headless shell can: ten
                times faster screenshots, but a real mouse then waits for frames.

        Raises:
            BrowserUnavailableError: There is none, or it does not start.
        """
        program = find_browser(executable, playwright.chromium.executable_path)
        is_shell = "headless-shell" in program or "headless_shell" in program
        has_frames = controls_frames and is_shell
        try:
            browser = await playwright.chromium.launch(
                executable_path=program, args=[*_FLAGS, *(_FRAME_FLAGS if has_frames else ())]
            )
            return cls(browser, has_frames, await browser.new_browser_cdp_session())
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise BrowserUnavailableError(f"{program} cannot be started: {reason}") from error

    async def new_profile(
        self, server: tuple[str, int] | None, hosts: Sequence[str], viewport: tuple[int, int]
    ) -> "Profile":
        """Open a context that reaches ``server`` for every host, or ``hosts`` and nothing else."""
        bypass = ["<-loopback>", *(() if server else hosts)]
        proxy = f"http://{server[0]}:{server[1]}" if server else _NOWHERE
        async with self._opening:
            before = set(await self._context_ids())
            context = await self.browser.new_context(
                viewport={"width": viewport[0], "height": viewport[1]},
                proxy={"server": proxy, "bypass": ",".join(bypass)},
                service_workers="block",
                accept_downloads=False,
                reduced_motion="reduce",
                locale="en-US",
                timezone_id="UTC",
            )
            new_ids = set(await self._context_ids()) - before
        await context.add_init_script(init_script(hosts))
        return Profile(context, new_ids.pop(), viewport)

    async def new_page(self, profile: "Profile") -> "Page":
        """Open an empty page."""
        if not self.has_frames:
            return await profile.context.new_page()
        width, height = profile.viewport
        async with profile.opening, profile.context.expect_page() as opened:
            await self.session.send(
                "Target.createTarget",
                {
                    "url": "about:blank",
                    "browserContextId": profile.context_id,
                    "enableBeginFrameControl": True,
                    "width": width,
                    "height": height,
                },
            )
        return await opened.value

    async def _context_ids(self) -> list[str]:
        known = await self.session.send("Target.getBrowserContexts")
        return list(known["browserContextIds"])

    async def screenshot(self, cdp: "CDPSession") -> bytes:
        """Return the page as it looks now, as PNG."""
        if not self.has_frames:
            captured = await cdp.send("Page.captureScreenshot", dict(_PICTURE))
            return base64.b64decode(captured["data"])
        async with self.drawing:
            for _ in range(_MOST_FRAMES):
                frame = await cdp.send("HeadlessExperimental.beginFrame", {"screenshot": _PICTURE})
                if "screenshotData" in frame:
                    return base64.b64decode(frame["screenshotData"])
        raise BrowserError("the page draws no frame")


def find_browser(executable: str | None, bundled: str) -> str:
    """Return the browser to start: the one named, one of the machine's, or Playwright's own.

    Raises:
        BrowserUnavailableError: There is none.
    """
    if executable is not None:
        found = shutil.which(executable)
        if found is None:
            raise BrowserUnavailableError(f"there is no program {executable!r}")
        return found
    for name in PROGRAMS:
        found = shutil.which(name)
        if found is not None:
            return found
    if Path(bundled).is_file():
        return bundled
    raise BrowserUnavailableError(
        "no Chromium is on this machine; install one (Debian, Ubuntu: apt-get install "
        "chromium-headless-shell; elsewhere: python -m playwright install --only-shell chromium)"
    )


def init_script(hosts: Sequence[str]) -> str:
    """Return what runs in every document before its own scripts."""
    folder = resources.files("pivot_envs.web") / "scripts"
    parts = [(folder / f"{name}.js").read_text("utf-8") for name in _SCRIPTS]
    return f"(() => {{\nconst HOSTS = {json.dumps(list(hosts))};\n{''.join(parts)}}})();"
