"""A lesson as a page to read where no notebook can be opened: text, code and questions, without a kernel or network."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

from workbench.errors import WorkbenchError, first_line
from workbench.lessons.course import Lesson
from workbench.lessons.questions import Question, read_questions

ASKED = re.compile(r"""predict\(["'](\w+)["']\)""")
# A notebook may come from anywhere, and its text may hold tags: no script of it runs, and nothing is fetched.
NOTHING_RUNS = (
    "<meta http-equiv='Content-Security-Policy' "
    "content=\"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'\">"
)
STYLE = """:root { color-scheme: light dark; }
.anchor-link { display: none; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.55 system-ui, sans-serif; }
pre { padding: .8rem 1rem; overflow-x: auto; border: 1px solid #8885; border-radius: 8px; font-size: 13.5px; }
.ask { border-left: 4px solid #0072B2; padding: .2rem 1rem; margin: 1.2rem 0; }"""


def lesson_page(lesson: Lesson, path: Path) -> str:
    """Return a learner's notebook as one HTML page. Nothing in it is run, and what its cells gave is left out.

    Raises:
        WorkbenchError: The notebook cannot be read.
    """
    from nbconvert.filters.markdown import markdown2html  # it is heavy, and only this needs it

    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = [(str(cell["cell_type"]), "".join(cell["source"])) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(f"{path.name} cannot be read: {first_line(error)}") from None
    questions = read_questions(lesson.key)
    parts = []
    for kind, text in texts:
        if kind == "markdown":
            parts.append(str(markdown2html(text)))
            continue
        asked = [_asked(questions[key]) for key in ASKED.findall(text) if key in questions]
        parts += asked or [f"<pre><code>{escape(text)}</code></pre>"]
    title = escape(f"{lesson.number}. {lesson.title}")
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'>{NOTHING_RUNS}<title>{title}</title>"
        f"<style>{STYLE}</style>"
        f"</head><body><p>To read. To predict and to run it, open <code>{escape(path.name)}</code> in JupyterLab.</p>"
        f"{''.join(parts)}</body></html>"
    )


def _asked(question: Question) -> str:
    listed = "".join(f"<li>{escape(choice.text)}</li>" for choice in question.choices)
    return (
        f"<div class='ask'><p><b>Predict:</b> {escape(question.ask)}</p>{f'<ul>{listed}</ul>' if listed else ''}</div>"
    )
