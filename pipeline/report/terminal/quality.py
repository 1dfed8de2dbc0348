"""The figures of ``metrics/quality.json`` on the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.escaping import terminal
from pipeline.gates import described
from pipeline.wording import listed


def print_quality(quality: dict[str, Any]) -> None:
    """Prints the table, what it leaves out, and what becomes of the gates; ``quality`` as in the file."""
    console = Console()
    console.print(quality_table(quality))
    kid, error, agreement = quality["kid"], quality["kid_standard_error"], quality["label_agreement"]
    lines = [
        f"KID {kid:.4f} ± {error:.4f}; label agreement {agreement:.3f} by an embedder that is right on "
        f"{quality['embedder_accuracy']:.3f} of real images; worst class: {quality['worst_class']}"
    ]
    if quality["missing_classes"]:
        lines.append(f"Missing, or drawn as something else: {listed(quality['missing_classes'])}.")
    lines += [*quality["notes"], *gate_lines(quality)]
    for line in lines:
        console.print(terminal(line), markup=False, highlight=False, emoji=False)


def quality_table(quality: dict[str, Any]) -> Table:
    """Each figure beside what unseen real images score in its place; what falls short is marked.

    Args:
        quality: the content of ``metrics/quality.json``.
    """
    table = Table("figure", title=f"{quality['images']['compared']} images a side, {quality['embedder']}")
    for heading in ("synthetic", "real", "95 % of real"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, values in quality["floor"].items():
        low, high = values["ci95"]
        style = "red" if name in quality["below_floor"] else None
        table.add_row(
            name.replace("_", " "),
            f"{values['synthetic']:.3f}",
            f"{values['real']:.3f}",
            f"{low:.3f} to {high:.3f}",
            style=style,
        )
    return table


def copy_line(quality: dict[str, Any]) -> str | None:
    """The copy check in a line; ``None`` where it was not made."""
    copies = quality["copies"]
    if not copies:
        return None
    suspected = [
        f"{copies[space]['share']:.1%} by {space}s ({copies[space]['status']})" for space in ("pixel", "feature")
    ]
    return f"copies of train images: {copies['exact_duplicates']:,} exact; suspected {', '.join(suspected)}"


def gate_lines(quality: dict[str, Any]) -> list[str]:
    """How many gates passed, and one line for each that did not; nothing where there are none."""
    gates = quality["gates"]
    failed = [gate for gate in gates if not gate["passed"]]
    if not gates:
        return []
    return [f"gates: {len(gates) - len(failed)} of {len(gates)} passed", *(f"  {described(gate)}" for gate in failed)]
