"""Scripts for mail and social media: find whose entry it is, then use its buttons."""

import re
from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, fill_in, submit
from pivot_agents.miniwob.screen import Item, LostError, Screen
from pivot_envs import ToolCall


def do_mail(scene: Scene) -> ToolCall:
    """Delete, star, answer or forward the mail that somebody sent."""
    (sender,) = scene.said(r"email by (\w+)")
    if "trash icon" in scene.goal:
        return _mark(scene, sender, ".trash")
    if "star icon" in scene.goal:
        return _mark(scene, sender, ".star")
    if "reply to them" in scene.goal:
        return _answer(scene, sender, "Reply", "#reply-text", scene.quoted[0])
    (receiver,) = scene.said(r"forward that email to (\w+)")
    return _answer(scene, sender, "Forward", ".forward-sender", receiver)


_WORDS = """
Answer Ask Automatically Can Change Copy Could Create Delete Email Find Flag Forward Foward Get
Give Go Hi Important In Jend Just Let Locate Look Mail Make Mark Open Please Primary Pull Put
Remind Remove Replay Reply Resend Respond Save Say Search Select Send Set Simply Siri Star Tag Take
Tell Text Thanks That The There Throw To Trash Tuesday Will Would Write You
"""
_NO_NAMES = frozenset(_WORDS.split())
_SENT_BY = (
    r"(?:from|by|that) {}\b",
    r"{}(?:'s|s) (?!inbox)",
    r"{} (?:sent|wrote|email|mail|wants (?:his|her))",
)
_UNWANTED = re.compile(r"delet|remove|trash|rid of|throw|don't want|out of my inbox|bin\b", re.I)


def do_mail_in_words(scene: Scene) -> ToolCall:
    """Do the same when the goal says it as people do."""
    said = re.sub(r'"[^"]*"', " ", scene.goal)
    sender = _sender(said, _senders(scene.steps[0].screen if scene.steps else scene.screen))
    if scene.quoted:
        return _answer(scene, sender, "Reply", "#reply-text", scene.quoted[0])
    capital = re.findall(r"\b[A-Z][a-z]+", said.replace(sender, " "))
    names = [word for word in capital if word not in _NO_NAMES]
    if names:
        return _answer(scene, sender, "Forward", ".forward-sender", names[0])
    return _mark(scene, sender, ".trash" if _UNWANTED.search(said) else ".star")


def _senders(screen: Screen) -> list[str]:
    mails = screen.all(where=lambda item: ".email-thread" in item.marks)
    return [screen.lines[mail.line + 1] for mail in mails]


def _sender(said: str, senders: list[str]) -> str:
    """Return whose mail a sentence is about; the receiver may have sent mail too."""
    for pattern in (*_SENT_BY, r"{}"):
        for name in senders:
            if re.search(pattern.format(name), said):
                return name
    raise LostError("the goal names no sender")


def _thread(scene: Scene, sender: str) -> list[Item]:
    """Return what can be used of a mail in the list: the mail itself, its trash and its star."""
    items = scene.screen.items
    for index, item in enumerate(items):
        if ".email-thread" in item.marks and scene.screen.lines[item.line + 1] == sender:
            return list(items[index : index + 3])
    raise LostError(f"no mail by {sender} in the list")


def _mark(scene: Scene, sender: str, handle: str) -> ToolCall:
    opened = scene.screen.all(where=lambda item: "#close-email" in item.marks)
    if opened:
        return click(scene.screen.first(where=lambda item: handle in item.marks))
    mail, *buttons = _thread(scene, sender)
    if scene.chance("opens it first", 0.3):
        return click(mail)
    return click(next(item for item in buttons if handle in item.marks))


def _answer(scene: Scene, sender: str, way: str, field: str, text: str) -> ToolCall:
    boxes = scene.screen.all("textbox", where=lambda item: field in item.marks)
    if boxes:
        send = scene.screen.first(where=lambda item: not item.marks.isdisjoint(_SEND))
        return fill_in(scene, [(boxes[0], text)], send)
    buttons = scene.screen.all(where=lambda item: item.name == way)
    return click(buttons[0] if buttons else _thread(scene, sender)[0])


_SEND = ("#send-reply", "#send-forward")
_POST_BUTTONS = {"Reply": ".reply", "Retweet": ".retweet", "Like": ".like", "Share": ".share"}


def use_post(scene: Scene) -> ToolCall:
    """Press a button of the post by a user, in its menu if it is there."""
    user, name = scene.said(r'user (@\w+), click on the "(.*)" button')
    if name in _POST_BUTTONS:
        return click(_of_posts(scene, user, _POST_BUTTONS[name])[0])
    shown = scene.screen.all("li", where=lambda item: item.name in (name, f"{name} {user}"))
    if shown:
        return click(shown[0])
    return click(_of_posts(scene, user, ".more")[0])


def use_posts(scene: Scene) -> ToolCall:
    """Press a button of some or all posts by a user, then submit."""
    name, number, user = scene.said(r'the "(.*)" button on (\w+) posts? by (@\w+)')
    buttons = _of_posts(scene, user, _POST_BUTTONS[name])
    wanted = len(buttons) if number == "all" else int(number)
    open_ones = [item for item in buttons if ".active" not in item.marks]
    if len(buttons) - len(open_ones) >= wanted:
        return submit(scene)
    order = scene.shuffled("posts", range(len(buttons)))
    if scene.chance("from the top", 0.4):
        order.sort()
    return click(next(buttons[index] for index in order if buttons[index] in open_ones))


def _of_posts(scene: Scene, user: str, handle: str) -> list[Item]:
    """Return the buttons of a kind of a user's posts."""
    found = []
    author = ""
    items: dict[int, list[Item]] = {}
    for item in scene.screen.items:
        items.setdefault(item.line, []).append(item)
    for number, line in enumerate(scene.screen.lines):
        if "@" in line and number not in items:
            author = next(word for word in line.split() if word.startswith("@"))
        found += [item for item in items.get(number, ()) if author == user and handle in item.marks]
    if not found:
        raise LostError(f"no post by {user}")
    return found


def find_in_tree(scene: Scene) -> ToolCall:
    """Open folders until the named one is there."""
    name = scene.quoted[0]
    named = scene.screen.all(where=lambda item: item.name == name)
    if named:
        return click(named[0])
    closed = scene.screen.all("div", where=lambda item: ".expandable-hitarea" in item.marks)
    names = [_folder(scene, item).name for item in closed]
    if not closed:
        raise LostError("no folder is left to open")
    chosen = closed[0]
    if scene.chance("any order", 0.5):
        chosen = closed[names.index(scene.shuffled("folders", names)[0])]
    return click(_folder(scene, chosen) if scene.chance("by name", 0.5) else chosen)


def _folder(scene: Scene, knob: Item) -> Item:
    """Return the name of the folder that a knob opens."""
    return scene.screen.items[knob.ref]


SCRIPTS: Mapping[str, Script] = {
    "email-inbox": do_mail,
    "email-inbox-delete": do_mail,
    "email-inbox-forward": do_mail,
    "email-inbox-forward-nl": do_mail_in_words,
    "email-inbox-forward-nl-turk": do_mail_in_words,
    "email-inbox-nl-turk": do_mail_in_words,
    "email-inbox-important": do_mail,
    "email-inbox-noscroll": do_mail,
    "email-inbox-reply": do_mail,
    "email-inbox-star-reply": do_mail,
    "navigate-tree": find_in_tree,
    "social-media": use_post,
    "social-media-all": use_posts,
    "social-media-some": use_posts,
}
