from pivot_envs.coding.focus import Focus, find_focus, next_place

PACKAGE = """\
def chunk(values):
    return values

def rechunk(values):
    return values

def _inner(values):
    return values

class Seeker:
    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def peek(self):
        return self.values[0]

class Peeker:
    size = 3

    def peek(self):
        return 1

class Empty:
    pass
"""
TESTS = """\
import unittest
import package as p

class ChunkTests(unittest.TestCase):
    def test_rechunk(self):
        self.assertEqual(p.chunk(p.rechunk([1])), [1])

    def test_other(self):
        self.assertEqual(p.chunk(p.rechunk([1])), [1])

class SeekTests(unittest.TestCase):
    cls = p.Seeker

    def test_len(self):
        self.assertEqual(3, self.cls([1, 2, 3]).size)

    def test_values(self):
        self.assertEqual(list(self.cls([1])), [1])

    def test_first(self):
        self.assertEqual(self.cls([1]).peek(), 1)

    def test_anything(self):
        assert p.Seeker

def test_peeker():
    assert p.Peeker

def test_nothing():
    assert 1 == 2
"""
FILES = {"package.py": PACKAGE, "tests/test_p.py": TESTS, "other/x.py": "def x():\n    pass\n"}


def focus_of(text: str) -> str | None:
    focus = find_focus(text, ["package.py", "gone.py"], FILES.get)
    assert focus is None or focus.path == "package.py"
    return focus.function if focus else None


def test_the_innermost_frame_inside_the_package_counts() -> None:
    output = (
        "tests/test_p.py:6: in test_rechunk\n"
        "package.py:5: in rechunk\n    return values\n"
        "package.py:8: in _inner\n    return values\n"
        "other/x.py:2: in x\nE   TypeError: no"
    )
    assert find_focus(output, ["package.py"], FILES.get) == Focus("package.py", "_inner")


def test_frames_outside_of_functions_and_in_lost_files_are_passed_over() -> None:
    assert focus_of("gone.py:2: in f\npackage.py:24: in Peeker\npackage.py:2: in chunk") == "chunk"


def test_without_a_frame_the_function_that_the_test_is_named_after_counts() -> None:
    assert focus_of("FAILED tests/test_p.py::ChunkTests::test_rechunk - E") == "rechunk"
    assert focus_of("tests/test_p.py::ChunkTests::test_other[a-b c]") == "chunk"


def test_the_failing_statement_counts_before_the_rest_of_the_test() -> None:
    issue = "1 test fails.\ntests/test_p.py::ChunkTests::test_other\n> x = p.rechunk([1])\nE no"
    assert focus_of(issue) == "rechunk"


def test_a_class_counts_as_the_method_that_the_test_uses() -> None:
    assert focus_of("tests/test_p.py::SeekTests::test_len") == "Seeker.__len__"
    assert focus_of("tests/test_p.py::SeekTests::test_values") == "Seeker.__iter__"
    assert focus_of("tests/test_p.py::SeekTests::test_first") == "Seeker.peek"


def test_a_class_counts_as_its_constructor_or_its_first_method() -> None:
    assert focus_of("tests/test_p.py::SeekTests::test_anything") == "Seeker.__init__"
    assert focus_of("tests/test_p.py::test_peeker") == "Peeker.peek"


def test_there_may_be_nothing_to_look_at() -> None:
    assert focus_of("it just does not work") is None
    assert focus_of("tests/test_p.py::test_nothing") is None
    assert focus_of("tests/test_p.py::test_that_does_not_exist") is None
    assert focus_of("tests/test_lost.py::test_rechunk") is None


def test_the_next_place_is_the_focus_then_each_suspect_once_and_then_all_again():
    focus = Focus("a.py", "f")
    shown: list[str] = []
    places = [next_place(focus, ("a.py::C.g", "a.py::f", "b.py::h"), shown) for _ in range(4)]
    assert places == [focus, Focus("a.py", "C.g"), Focus("b.py", "h"), focus]


def test_a_new_focus_comes_before_the_suspects_that_are_left():
    shown: list[str] = []
    next_place(Focus("a.py", "f"), ("b.py::g", "b.py::h"), shown)
    assert next_place(Focus("c.py", "k"), ("b.py::g", "b.py::h"), shown) == Focus("c.py", "k")
    assert next_place(Focus("c.py", "k"), ("b.py::g", "b.py::h"), shown) == Focus("b.py", "g")


def test_there_may_be_no_place_at_all():
    assert next_place(None, (), []) is None
