"""Skills in lists of people: mail, posts, contacts, folders, food."""

import re
from collections.abc import Sequence

from pivot_agents.web_expert.page import Element, PageText, click, clicks, fill, quoted, submit
from pivot_envs import ToolCall


def mail(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Mark, delete, answer or pass on the mail of a sender."""
    match = re.search(r"email by (\w+)", goal)
    sender = match[1] if match else ""
    if page.handle("#close-email") or page.handle("#send-reply") or page.handle("#send-forward"):
        return _opened_mail(goal, page)
    line = page.line_of(sender)
    assert line is not None
    icon = ".trash" if "trash" in goal else ".star" if "star icon" in goal else ""
    wanted = page.after(line, icon) if icon else page.after(line - 2, ".email-thread")
    return click(wanted) if wanted else submit(page)


def _opened_mail(goal: str, page: PageText) -> ToolCall:
    forward = re.search(r"forward that email to (\w+)", goal)
    send = page.handle("#send-forward") or page.handle("#send-reply")
    if send is None:
        name = "Forward" if forward else "Reply"
        wanted = page.named(name)
        return click(wanted) if wanted else submit(page)
    text = forward[1] if forward else quoted(goal)[0]
    field = _field_for(page, is_address=forward is not None)
    return click(send) if field.value == text else fill(field, text)


def _field_for(page: PageText, *, is_address: bool) -> Element:
    fields = page.of("textbox")
    for handle in ("#to-email", "#forward-email", ".forward-sender", ".forward-sender-input"):
        found = page.handle(handle)
        if is_address and found:
            return found
    return fields[0] if is_address else fields[-1]


def posts(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Use a button of the posts of a user: of one, of some, or of all."""
    user = re.search(r"@\w+", goal)
    assert user is not None
    name = quoted(goal)[0]
    icon = {"Reply": ".reply", "Retweet": ".retweet", "Like": ".like", "Share": ".share"}.get(name)
    lines = [n for n, line in enumerate(page.lines) if re.search(rf"{user[0]}\b", line)]
    count = re.search(r"on (\d+) posts", goal)
    most = int(count[1]) if count else len(lines)
    for line in lines[:most]:
        wanted = page.after(line, icon or ".more")
        if wanted is None:
            continue
        item = None if icon else page.named(name)
        if item:
            return click(item)
        if wanted.ref not in clicks(past):
            return click(wanted)
    return submit(page)


def contact(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Turn pages until a contact is seen, and click one of their lines."""
    match = re.search(r"Find (\w+) in the contact book and click on their (.*)\.", goal)
    assert match is not None
    if page.line_of(match[1]) is None:
        onward = page.named(">", "link")
        return click(onward) if onward else submit(page)
    kind = match[2].split()[0].capitalize()
    line = page.line_of(kind)
    wanted = next((each for each in page.of("link") if each.line == line), None)
    return click(wanted) if wanted else submit(page)


def tree(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Open folders until the one that is asked for is seen."""
    name = quoted(goal)[0]
    wanted = next((e for e in page.elements if e.name == name), None)
    if wanted:
        return click(wanted)
    opened = [line for line, text in enumerate(page.lines) if ".expandable" in text]
    for line in opened:
        folder = next((each for each in page.of("span") if each.line > line), None)
        if folder:
            return click(folder)
    return submit(page)


def food(goal: str, page: PageText, past: Sequence[ToolCall]) -> ToolCall:
    """Order a number of dishes of a kind, or dishes by name."""
    match = re.match(r"Order (\d+) items? that (?:is|are) (.*)", goal)
    plus = page.of("span")[1::2]
    if match:
        kind = match[2].strip()
        fitting = [each for each in plus if f'"{kind}"' in page.lines[each.line - 1]]
        done = len(clicks(past))
        return click(fitting[done % len(fitting)]) if done < int(match[1]) else submit(page)
    names = re.sub(r"^Order | and |\.$", lambda m: "," if "and" in m[0] else "", goal)
    for name in [part.strip() for part in names.split(",") if part.strip()]:
        count = re.match(r"(?:one of each item: )?(.*)", name)
        line = page.line_of(count[1] if count else name)
        wanted = next((each for each in plus if line is not None and each.line > line), None)
        if wanted and wanted.ref not in clicks(past):
            return click(wanted)
    return submit(page)
