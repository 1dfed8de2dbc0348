"""Text of other people's, class names above all, made harmless for what will read it: one function a target.

Nothing is left out: what is not shown as it is, is shown in another way. HTML is Jinja's business and XML that of the
standard library; both escape by themselves.
"""

import re
from typing import Any

# Controls, which move a terminal's cursor or change its colours; line separators; surrogates, which no encoding takes;
# and what turns the direction of all that follows.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(r"[\\`*\[\]~|$]|(?<!\w)_+|_+(?!\w)")  # underscores within a word are none
_BLOCK = re.compile(r"^(\s*)([-+=#]|\d+(?=[.)](\s|$)))")  # what begins a heading, a rule or an item of a list
_LINKED = {"://": "&#58;//", "@": "&#64;"}  # what becomes a link without any brackets
_WWW = re.compile(r"\bwww\.", re.IGNORECASE)
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four are the full-width forms of the first


def terminal(text: str, keep: str = "") -> str:
    r"""For a terminal or a log: one line, in which nothing acts.

    >>> terminal("red \x1b[31m")
    'red \\x1b[31m'

    Args:
        keep: characters to leave as they are, such as the newlines of a message.
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _spelled(found[0]), text)


def markdown(text: str) -> str:
    r"""For running text or a table's cell in Markdown: shown as it is, without HTML, markup or links.

    >>> markdown("<b>*a|b*")
    '&lt;b&gt;\\*a\\|b\\*'
    """
    plain = "".join(_ENTITIES.get(character, character) for character in _BLOCK.sub(_blocked, _marked(terminal(text))))
    for active, entity in _LINKED.items():
        plain = plain.replace(active, entity)
    plain = _WWW.sub(lambda found: f"{found[0][:-1]}&#46;", plain)
    return f"&#32;{plain[1:]}" if plain.startswith(" ") else plain  # four would begin a block of code


def code(text: str) -> str:
    """For Markdown, as code within a line: a span that no backtick in ``text`` can end."""
    fence = _fence(text, 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{terminal(text)}{space}{fence}"


def block(text: str, language: str) -> str:
    """For Markdown, as a block of code that no line of ``text`` can end; ``text`` ends with a newline."""
    fence = _fence(text, 3)
    return f"{fence}{language}\n{text}{fence}"


def spreadsheet(cell: Any) -> Any:
    """For a cell of a CSV: text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP).

    Numbers stay as they are, in text too.
    """
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _marked(text: str) -> str:
    return _MARKUP.sub(lambda found: "".join(f"\\{character}" for character in found[0]), text)


def _blocked(found: re.Match[str]) -> str:
    start, marker = found[1], found[2]
    return f"{start}{marker}\\" if marker.isdigit() else f"{start}\\{marker}"


def _fence(text: str, least: int) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
