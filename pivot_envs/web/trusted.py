"""Acting with the browser's real mouse and keyboard (``input="trusted"``)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pivot_envs.web.page import LivePage
from pivot_envs.web.report import Report, script

_DRAG_STEPS = 4
_LONGEST_TYPED = 200


async def act_trusted(
    live: LivePage, action: Mapping[str, Any], longest: int, probe: str
) -> Report:
    """Act with trusted events, let the consequences settle, and read.

    ``select``, ``scroll`` and dates are done by script in both modes: a headless browser draws no
    list of options or dates, and how far a wheel scrolls depends on frames.
    """
    name, arguments = action["name"], action["arguments"]
    if name in ("select", "scroll"):
        return await live.turn(action, longest, probe)
    refusal, places, is_picked = await live.call(f"__pivot.aim({script(action)})")
    if is_picked:
        return await live.turn(action, longest, probe)
    if refusal is None:
        await _INPUTS[name](live, arguments, places)
        x, y = places[-1] if places else live.pointer
        # The engine tells an element that has come under the resting pointer when it finds the
        # time; telling it now makes that part of the turn.
        await live.settle()
        await live.point(x, y)
    report = await live.look(longest, probe, refusal)
    if report.navigated:
        await live.point(0, 0)
        report = replace(await live.look(longest, probe, refusal, settles=False), navigated=True)
    return report


async def _click(live: LivePage, arguments: Mapping[str, Any], places: list[list[float]]) -> None:
    await live.page.mouse.click(*places[0])


async def _fill(live: LivePage, arguments: Mapping[str, Any], places: list[list[float]]) -> None:
    await live.page.mouse.click(*places[0])
    await live.page.keyboard.press("Control+a")
    await live.page.keyboard.press("Delete")
    text = arguments["text"]
    if len(text) > _LONGEST_TYPED:
        await live.page.keyboard.insert_text(text)
    elif text:
        await live.page.keyboard.type(text)


async def _press(live: LivePage, arguments: Mapping[str, Any], places: list[list[float]]) -> None:
    await live.page.keyboard.press(arguments["key"])


async def _drag(live: LivePage, arguments: Mapping[str, Any], places: list[list[float]]) -> None:
    mouse = live.page.mouse
    await mouse.move(*places[0])
    await mouse.down()
    await mouse.move(*places[1], steps=_DRAG_STEPS)
    await mouse.up()


_INPUTS = {"click": _click, "fill": _fill, "press": _press, "drag": _drag}
