"""The names of what a verdict may be about: ``classify.metric``; :mod:`pipeline.experiment.endpoints` measures it."""

import re

PLAIN = ("balanced_accuracy", "macro_f1")
FORMS = "balanced_accuracy, macro_f1, average_precision:<class>, recall:<class>@<false alarms>"
CLASSWISE = re.compile(r"(?P<kind>average_precision):(?P<name>.+)|(?P<recall>recall):(?P<of>.+)@(?P<allowed>[^@]+)")


def split_metric(metric: str) -> tuple[str, str, float | None]:
    """The parts of ``classify.metric``: its kind, the class and the share of false alarms.

    >>> split_metric("recall:hair crack@1%"), split_metric("macro_f1")
    (('recall', 'hair crack', 0.01), ('macro_f1', '', None))

    Raises:
        ValueError: it is none of :data:`FORMS`.
    """
    if metric in PLAIN:
        return metric, "", None
    found = CLASSWISE.fullmatch(metric)
    if not found:
        raise ValueError(f"{metric!r} is none of {FORMS}")
    if found["kind"]:
        return found["kind"], found["name"], None
    text = found["allowed"].strip()
    try:
        allowed = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        allowed = -1.0
    if not 0 < allowed < 1:
        raise ValueError(f"{metric!r}: false alarms are a share above 0 and below 1, such as 0.01 or 1%")
    return found["recall"], found["of"], allowed
