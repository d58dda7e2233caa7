"""Docstrings as mkdocstrings reads them: equations become MathML, which browsers draw without a script, links become
Markdown's, and an entry of several names becomes one for each.
"""

import re
import textwrap

import griffe
from latex2mathml.converter import convert

MATH = re.compile(r"^( *)\.\. math::\n((?:\1 +.*\n?|\s*\n)+)", re.MULTILINE)
INLINE = re.compile(r":math:`([^`]+)`")
LINK = re.compile(r"`([^`<]+?)\s*<(https?://[^>]+)>`_")
SECTION = re.compile(r"^(Args|Attributes|Raises):\n((?: {4}.*\n|\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(?=\S)", re.MULTILINE)


STAR = re.compile(r"(`[^`]*`)|(?<![\w*\\])\*(?=[\w.])")
"""The star of *batch or of a pattern, which Markdown would take for emphasis; and code, in which it would not."""


def _starred(words: str) -> str:
    return STAR.sub(lambda found: found[1] or r"\*", words)


def markdown(text: str) -> str:
    """The docstring, without its indentation, in Google's style and Markdown."""

    def equation(found: re.Match) -> str:
        source = " ".join(textwrap.dedent(found[2]).split())
        return f"{found[1]}{mathml(source, 'block')}\n\n"

    text = MATH.sub(equation, text + "\n")
    text = INLINE.sub(lambda found: mathml(found[1], "inline"), text)
    text = LINK.sub(lambda found: f"[{' '.join(found[1].split())}]({found[2]})", text)
    text = re.sub(r"^(?! ).+$", lambda found: _starred(found[0]), text, flags=re.MULTILINE)
    return SECTION.sub(lambda found: f"{found[1]}:\n{_entries(found[1], found[2])}\n", text)


def mathml(source: str, display: str) -> str:
    """An equation of LaTeX as MathML, with a space behind the names of functions."""
    return re.sub("<mi>(exp|log)</mi>", r'<mi>\1</mi><mspace width="0.17em"/>', convert(source, display=display))


def _entries(section: str, text: str) -> str:
    """The entries of a section, one name each; of Raises, with a name where there is none."""
    entries = []
    for entry in ENTRY.split(text)[1:]:
        names, colon, words = " ".join(entry.split("\n")).partition(":")
        if section == "Raises" and (not colon or not re.fullmatch(r"[\w, ]+", names)):
            names, words = "NIRError", entry
        elif not re.fullmatch(r"\w+(, +\w+)*", names):
            return text
        else:
            words = entry.partition(":")[2]
        named = [names] if section == "Raises" else re.split(r", +", names)
        entries += [f"    {re.sub(' +', ' ', name)}: {_starred(words.strip())}\n" for name in named]
    return "".join(entries)


class Docstrings(griffe.Extension):
    """What mkdocstrings calls for every object that it finds."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
