"""``augmint compare``: two results side by side."""

import json
from contextlib import ExitStack
from pathlib import Path

import click

from pipeline.comparison.compared import Found, compared, shown
from pipeline.comparison.page import write_page
from pipeline.comparison.sides import opened
from pipeline.report.terminal.comparison import print_comparison


def compare(one: str, other: str, page: Path | None, as_json: bool) -> None:
    """Prints the comparison, or gives it as JSON, and writes its page if asked for.

    Args:
        one, other: folders, Git revisions or experiments.
        page: an HTML file to write.
        as_json: print JSON in the place of tables.

    Raises:
        UserError: a side is none, or has no results.
        OSError: ``page`` cannot be written.
    """
    with ExitStack() as stack:
        sides = [stack.enter_context(opened(name)) for name in (one, other)]
        found = (Found(sides[0]), Found(sides[1]))
        content = compared(*found)
        rows = [
            {"title": row["title"], "span": row["span"], "cells": [shown(row, index) for index in range(2)]}
            for row in content["figures"]
        ]
        if page is not None:
            write_page(found, content, rows, page)
    if as_json:
        click.echo(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False))
    else:
        print_comparison(content, rows)
