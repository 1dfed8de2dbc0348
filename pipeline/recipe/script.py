"""The script that `augmint recipe` writes, out of the card of the recommended classifier."""

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.atomic import replacing
from pipeline.binding import as_now, changed
from pipeline.classifier.network import FEATURES
from pipeline.classifier.shipped import read_card
from pipeline.escaping import terminal
from pipeline.formats.manifest import MANIFEST, read_about
from pipeline.templates import text_templates
from pipeline.workspace import Workspace

TEMPLATE = "train.py.j2"
WIDTH = 88  # columns, what formatters of Python take by default
CHANGES = {
    "none": [],
    "affine": ["v2.RandomAffine(15, (0.125, 0.125), (1 / 1.15, 1.15), 8.5, InterpolationMode.BILINEAR)"],
    "rand": ["v2.RandAugment(2, 9, 31, InterpolationMode.BILINEAR)"],
    "trivial": [
        "v2.RandomChoice(  # one operation at any strength\n"
        "            [v2.RandAugment(1, m, 31, InterpolationMode.BILINEAR) for m in range(31)],\n"
        "        )"
    ],
}
FLIPS = {
    "none": [],
    "horizontal": ["v2.RandomHorizontalFlip()"],
    "dihedral": [
        "v2.RandomHorizontalFlip()",
        "v2.RandomVerticalFlip()",
        "v2.RandomApply([v2.Lambda(lambda image: image.transpose(-1, -2))])",
    ],
}
FITS = {"crop": "its centre", "pad": "with black beside it", "stretch": "stretched"}

Tree = Mapping[str, Any]


def write_script(workspace: Workspace, out: Path | None) -> None:
    """Writes the script into a file, whole or not at all, or to standard output.

    Raises:
        UserError: there is no finished verdict, or the classifier's card was edited or is damaged.
    """
    card = read_card(workspace.classifier)
    text = render(card, _exported(workspace) if _synthetic(card) else "")
    if found := changed(card, as_now(workspace, card)):
        _say(f"note: this is the last run's recipe; since then {', '.join(found)} changed: run `dvc repro`")
    if out is None:
        sys.stdout.write(text)
        return
    with replacing(out) as (part,):
        part.write_text(text, encoding="utf-8")
    _say(f"{out}: {card['recipe']}; run it by `python {out} FOLDER`")


def render(card: Tree, synthetic: str = "synthetic/images") -> str:
    """The script as text.

    Args:
        card: the content of ``classifier/classifier.json``.
        synthetic: where the synthetic images lie, if it uses any.
    """
    training, images = card["training"], card["images"]
    second = training["second_pass"]
    return (
        text_templates(Path(__file__).parent)
        .get_template(TEMPLATE)
        .render(
            **{key: value for key, value in training.items() if key != "second_pass"} | _network(card),
            docstring=_docstring(card),
            second=second,
            second_pass=second is not None and not training["head_steps"],
            own=second is not None and second["own_norms"],
            synthetic=_synthetic(card),
            share=min(1.0, second["dose"]) if second else 1.0,
            left_out=[label for label, made in enumerate(second["exported"]) if not made] if second else [],
            changes=FLIPS[training["flips"]] + CHANGES[training["augment"]],
            levels=images["levels"],
            offsets=card["logit_offsets"] if any(card["logit_offsets"]) else [],
            size=images["image_size"],
            channels=images["channels"],
            colour="grey" if images["channels"] == 1 else "colour",
            mode="L" if images["channels"] == 1 else "RGB",
            fit=images["fit"],
            fit_words=FITS[images["fit"]],
            folder=synthetic,
            listed=_listed,
            quoted=_quoted,
        )
    )


def _docstring(card: Tree) -> str:
    """What the script says of itself, in lines of :data:`WIDTH`."""
    accuracy, augments = card["accuracy"], card["training"]["augment"] != "none"
    low, high = (f"{end * 100:.1f}" for end in accuracy["test_ci95"])
    other = (
        "; it also changes whole batches at once, and mirrors what comes in from outside an image" if augments else ""
    )
    paragraphs = [
        f"Trains an image classifier in the way that augmint {card['augmint']} found best.",
        f"{card['recipe'][0].upper()}{card['recipe'][1:]}.",
        "    python train.py FOLDER",
        "FOLDER has train/<class>/ and test/<class>/, as torchvision's ImageFolder reads them. Of a folder that has "
        "class folders alone, a random 30 % of each class is kept for the test.",
        f"On the test images of the set where it was found, this training had a balanced accuracy of "
        f"{accuracy['test'] * 100:.1f} % (95 % interval {low} to {high}, {accuracy['seeds']} seeds), "
        f"and plain training {accuracy['plain_test'] * 100:.1f} %. Expect figures near that and not the same ones: "
        f"augmint draws other random numbers{other}.",
        "Transparency and colour profiles, which augmint heeds, are not looked at here.",
        *_of_synthetic(card),
    ]
    return "\n\n".join(one if one.startswith(" ") else textwrap.fill(one, WIDTH) for one in map(_plain, paragraphs))


def _of_synthetic(card: Tree) -> Iterator[str]:
    if not _synthetic(card):
        return
    second = card["training"]["second_pass"]
    text = "The synthetic images are read from the folder of an exported set (export.format: imagefolder)."
    made, exported = sum(second["by_class"]), sum(second["exported"])
    if made > exported:
        text += f" augmint used {made:,}, and that set has {exported:,}: for more raise export.balance."
    yield text


def _synthetic(card: Tree) -> bool:
    """Whether synthetic images take part."""
    second = card["training"]["second_pass"]
    return second is not None and second["images"] == "synthetic"


def _network(card: Tree) -> dict[str, Any]:
    """What the template asks of the network."""
    name, size = card["architecture"]["classifier"], card["images"]["image_size"]
    halvings = max(0, (size - 1).bit_length() - 4)
    kind = name if name == "small-resnet" else "torchvision" if name.startswith("torchvision:") else "own"
    module, _, factory = name.partition(":")
    return {
        "kind": kind,
        "width": card["architecture"]["width"],
        "stem": [2] * halvings or [1],
        "features": FEATURES,
        "model": factory,
        "module": module,
        "factory": factory,
    }


def _exported(workspace: Workspace) -> str:
    """The folder of the exported synthetic images."""
    folder, about = workspace.synthetic / "images", read_about(workspace.synthetic / MANIFEST)
    if about.format != "imagefolder":
        _say(f"note: the script reads folders, and the exported set is {about.format}: set export.format: imagefolder")
    return (folder / "train" if len(about.splits) > 1 else folder).as_posix()


def _listed(numbers: Sequence[float]) -> str:
    """A list of numbers as a formatter leaves it: in a line, or one a line."""
    line = f"[{', '.join(map(str, numbers))}]"
    return line if len(line) <= WIDTH else "[\n" + "".join(f"    {number},\n" for number in numbers) + "]"


def _plain(text: str) -> str:
    """Text of other people's that ends no docstring."""
    return terminal(text).replace("\\", "/").replace('"', "'")


def _quoted(text: str) -> str:
    """A literal as a formatter leaves it: in double quotes, unless they are within."""
    plain = text.encode("unicode_escape").decode()
    quote = "'" if '"' in plain and "'" not in plain else '"'
    return quote + plain.replace(quote, f"\\{quote}") + quote


def _say(line: str) -> None:
    print(terminal(line), file=sys.stderr, flush=True)
