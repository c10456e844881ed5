"""Scripts for tasks whose answer has to be read or worked out."""

import re
from collections.abc import Mapping

from pivot_agents.miniwob.scene import Scene, Script, click, fill_in, submit, use
from pivot_agents.miniwob.screen import LostError
from pivot_envs import ToolCall


def _enter(scene: Scene, text: str) -> ToolCall:
    field = scene.screen.first("textbox")
    return fill_in(scene, [(field, text)], scene.screen.named("Submit"))


def find_word(scene: Scene) -> ToolCall:
    """Enter the word that the goal counts to."""
    (number,) = scene.said(r"Find the (\d+)")
    words = scene.screen.lines[0].split()
    return _enter(scene, words[int(number) - 1].strip(".,"))


def find_last_word(scene: Scene) -> ToolCall:
    """Enter the last word of a text, after looking at its end."""
    text, field = scene.screen.all("textbox")
    if not scene.steps and scene.chance("scrolls", 0.5):
        return ToolCall("scroll", {"ref": text.ref, "dy": 1000})
    word = text.value.split()[-1].strip(".,")
    return fill_in(scene, [(field, word)], scene.screen.named("Submit"))


def _table(scene: Scene) -> dict[str, str]:
    rows = [line.split(" | ") for line in scene.screen.lines if line.count(" | ") == 1]
    return {name.strip(): text.strip() for name, text in rows}


def read_table(scene: Scene) -> ToolCall:
    """Enter one value of a table."""
    (name,) = scene.said(r"value of (.*) into")
    table = _table(scene)
    if name not in table:
        raise LostError(f"the table has no {name}")
    return _enter(scene, table[name])


def read_table_twice(scene: Scene) -> ToolCall:
    """Enter the values of a table that the labels ask for."""
    table = _table(scene)
    fields = [
        (field, table[field.before.rstrip(":")])
        for field in scene.screen.all("textbox")
        if field.before.rstrip(":") in table
    ]
    return fill_in(scene, fields, scene.screen.named("Submit"))


def do_arithmetic(scene: Scene) -> ToolCall:
    """Work out a sum, a difference or a product."""
    match = re.search(r"(-?\d+) ([-+x]) (-?\d+) =", scene.screen.text)
    if match is None:
        raise LostError("no problem on the screen")
    left, right = int(match[1]), int(match[3])
    results = {"+": left + right, "-": left - right, "x": left * right}
    return _enter(scene, str(results[match[2]]))


def solve_for_x(scene: Scene) -> ToolCall:
    """Solve an equation with one sum or difference."""
    match = re.search(r"(-?\d+|x) ([-+]) (-?\d+|x) = (-?\d+)", scene.screen.text)
    if match is None:
        raise LostError("no equation on the screen")
    left, sign, right, total = match.groups()
    if left == "x":
        answer = int(total) - int(right) if sign == "+" else int(total) + int(right)
    else:
        answer = int(total) - int(left) if sign == "+" else int(left) - int(total)
    return _enter(scene, str(answer))


def enter_time(scene: Scene) -> ToolCall:
    """Enter a time, in the 24 hours that the kind of field takes."""
    hour, minute, half = scene.said(r"(\d+):(\d+) (AM|PM)")
    hours = int(hour) % 12 + (12 if half == "PM" else 0)
    return _enter(scene, f"{hours:02}:{minute}")


def enter_letters(scene: Scene) -> ToolCall:
    """Enter the letters that stand on the page one by one."""
    return _enter(scene, "".join(scene.screen.lines[0].split()))


def generate_number(scene: Scene) -> ToolCall:
    """Generate numbers until one is as the goal wants it, then submit."""
    shown = scene.screen.lines[0]
    fits = shown.isdecimal() and _fits(scene.goal, int(shown))
    return use(scene, scene.screen.named("Submit" if fits else "Generate"))


def _fits(goal: str, number: int) -> bool:
    if match := re.search(r"(less|greater) than (\d+)", goal):
        return number < int(match[2]) if match[1] == "less" else number > int(match[2])
    return number % 2 == (1 if "odd" in goal else 0)


def guess_number(scene: Scene) -> ToolCall:
    """Halve the range of numbers that the answers leave."""
    low, high = 0, 9
    screens = [step.screen for step in scene.steps] + [scene.screen]
    for screen in screens:
        if match := re.search(r"number is (lower|higher) than (\d)", screen.text):
            bound = int(match[2])
            low, high = (low, bound - 1) if match[1] == "lower" else (max(low, bound + 1), high)
            high = min(high, 9)
    middle = (low + high) // 2
    guess = scene.choose(f"guess {low} {high}", [middle, min(middle + 1, high)])
    field = scene.screen.first("spinbutton")
    if field.value != str(guess):
        return ToolCall("fill", {"ref": field.ref, "text": str(guess)})
    return use(scene, scene.screen.named("Submit"))


def mark_parity(scene: Scene) -> ToolCall:
    """Mark each number as odd or even, then submit."""
    lines = scene.screen.lines
    wanted = []
    for number, line in enumerate(lines):
        if re.fullmatch(r"-?\d+", line.strip()):
            row = [item for item in scene.screen.items if abs(item.line - number) == 1]
            name = "Odd" if int(line) % 2 else "Even"
            wanted.append(next(item.ref for item in row if item.name == name))
    done = {item.ref for item in scene.used}
    left = [ref for ref in scene.shuffled("numbers", wanted) if ref not in done]
    in_order = sorted(left) if scene.chance("from the top", 0.5) else left
    return click(scene.screen.by_ref(in_order[0])) if left else submit(scene)


def pick_card(scene: Scene) -> ToolCall:
    """Turn over the card with the greatest number, then submit."""
    cards = scene.screen.all("div", where=lambda item: item.name.isdecimal())
    best = max(cards, key=lambda card: int(card.name))
    if scene.used and scene.used[-1].name == best.name:
        return submit(scene)
    if not scene.steps and scene.chance("looks at another first", 0.5):
        return click(scene.choose("card", cards))
    return click(best)


def buy_ticket(scene: Scene) -> ToolCall:
    """Book the ticket with the lowest price or the shortest flight."""
    offers = scene.screen.all("button", where=lambda item: item.name.startswith("Book for"))
    minutes = [_minutes(offer.before) for offer in offers]
    prices = [int(offer.name.rpartition("$")[2]) for offer in offers]
    values = minutes if "duration" in scene.goal else prices
    best = min(values) if re.search("shortest|cheapest", scene.goal) else max(values)
    return use(scene, offers[values.index(best)])


def _minutes(text: str) -> int:
    match = re.search(r"(\d+)h (\d+)m", text)
    if match is None:
        raise LostError(f"no duration in {text!r}")
    return int(match[1]) * 60 + int(match[2])


def look_up_contact(scene: Scene) -> ToolCall:
    """Turn pages to a person, then click what is asked of them."""
    name, part = scene.said(r"Find (\w+) in .* their (\w+)")
    if f"## {name}" in scene.screen.lines:
        return click(
            scene.screen.first("link", where=lambda item: item.before.lower().startswith(part))
        )
    return click(scene.screen.named(">", "link"))


def order_food(scene: Scene) -> ToolCall:
    """Order dishes by name, or some of a kind."""
    rows = _dishes(scene)
    if match := re.search(r"one of each item: (.*)", scene.goal):
        wanted = dict.fromkeys(match[1].split(", "), 1)
    else:
        number, kind = scene.said(r"Order (\d+) items? that are (\S+)")
        fitting = [name for name, row in rows.items() if f'"{kind}"' in row[1]]
        if not fitting:
            raise LostError(f"no dish that is {kind} on the page")
        once = scene.shuffled("dishes", fitting)
        plan = [once[index % len(once)] for index in range(int(number))]
        if scene.chance("more of one", 0.3):
            plan = plan[:1] * int(number)
        wanted = {name: plan.count(name) for name in plan}
    for name in scene.shuffled("order", sorted(wanted)):
        if rows[name][2] < wanted[name]:
            return click(scene.screen.by_ref(rows[name][0]))
    return use(scene, scene.screen.named("Order!"))


def _dishes(scene: Scene) -> dict[str, tuple[int, str, int]]:
    """Return of each dish: the ref of its plus, its kinds, and how many are ordered."""
    dishes = {}
    lines = scene.screen.lines
    for plus in scene.screen.all("span", where=lambda item: item.name == "+"):
        kinds = lines[plus.line - 1]
        ordered = re.search(r'"-" (\d+) ', lines[plus.line])
        dishes[lines[plus.line - 2]] = (plus.ref, kinds, int(ordered[1]) if ordered else 0)
    return dishes


SCRIPTS: Mapping[str, Script] = {
    "buy-ticket": buy_ticket,
    "enter-time": enter_time,
    "find-greatest": pick_card,
    "find-word": find_word,
    "generate-number": generate_number,
    "guess-number": guess_number,
    "odd-or-even": mark_parity,
    "order-food": order_food,
    "phone-book": look_up_contact,
    "read-table": read_table,
    "read-table-2": read_table_twice,
    "scroll-text": find_last_word,
    "simple-algebra": solve_for_x,
    "simple-arithmetic": do_arithmetic,
    "text-transform": enter_letters,
}
