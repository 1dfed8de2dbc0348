"""``params.yaml`` is checked before anything runs, and what is wrong is said with its line."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.errors import UserError
from pipeline.params import Params, load_params

REPOSITORY = Path(__file__).parents[3]


def refusal(tmp_path: Path, text: str) -> str:
    """What is said of a file with this content, without the file's name."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    return str(caught.value).replace(str(path), "params.yaml")


def test_the_shipped_file_is_valid_and_names_every_knob() -> None:
    params = load_params(REPOSITORY / "params.yaml")
    assert params.model_fields_set == set(Params.model_fields)
    for name in Params.model_fields:
        section = getattr(params, name)
        if isinstance(section, BaseModel):
            assert section.model_fields_set == set(type(section).model_fields), name


def test_every_knob_of_the_shipped_file_has_a_comment() -> None:
    lines = (REPOSITORY / "params.yaml").read_text().splitlines()
    knobs = [line for line in lines if line.startswith("  ") and ":" in line and not line.strip().startswith("#")]
    assert [line for line in knobs if "#" not in line] == []


@pytest.mark.parametrize("file", sorted((REPOSITORY / "examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_example_is_valid(file: Path) -> None:
    assert load_params(file).data.source == "archive"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train:\n  n_critc: 2\n", "params.yaml:2: train.n_critc: unknown key; did you mean `n_critic`?"),
        ("data:\n  kimg: 3\n", "params.yaml:2: data.kimg: unknown key; it belongs below `train:`"),
        ("kimg: 3\n", "params.yaml:1: kimg: unknown key; it belongs below `train:`"),
        ("seed: 1\ntrain:\n", "params.yaml:2: train: expected further keys below it; leave it out to take their"),
        ("data:\n  path: x\ntrain: 3\n", "params.yaml:3: train: expected further keys below it"),
        ("seed: 0\ntrian: {}\n", "params.yaml:2: trian: unknown key; did you mean `train`?"),
        ("data:\n  long_tail: {haed: 3}\n", "params.yaml:2: data.long_tail.haed: unknown key; did you mean `head`?"),
        ("train:\n  kimg: 10\n  batch_size: 1\n", "params.yaml:3: train.batch_size: input should be greater than"),
        ("train:\n  n_critic: many\n", "params.yaml:2: train.n_critic: input should be a valid integer (got 'many')"),
        ("train:\n  critic_lr: .inf\n", "params.yaml:2: train.critic_lr: input should be a finite number"),
        ("seed: true\n", "params.yaml:1: seed: input should be a valid integer"),
        (
            "train:\n  augment: [flip]\n",
            "params.yaml:2: train.augment: unknown name 'flip'; did you mean `scale`? (known here: translate,",
        ),
        (
            "train:\n  augment: rotate\n",
            "params.yaml:2: train.augment: give auto or a list, such as [rotate]; got 'rotate'",
        ),
        ("train:\n  loss: 3\n", "params.yaml:2: train.loss: unknown name 3; did you mean `wasserstein`? (known here: "),
        ("train:\n  penalty: [r1]\n", "params.yaml:2: train.penalty: unknown name ('r1',); did you mean `r1`? (known"),
        (
            "train:\n  family: resnt\n",
            "unknown name 'resnt'; did you mean `resnet`? (known here: auto, resnet, dcgan",
        ),
        ("train:\n  recipe: null\n", "params.yaml:2: train.recipe: unknown name None; did you mean"),
        ("train:\n  precision: bf16\n", "did you mean `bfloat16`? (known here: auto, float32, bfloat16)"),
        ("data:\n  long_tail: {head: 3, tail: 4}\n", "tail (4) must not be above head (3)"),
        ("data:\n  val_fraction: 0.5\n  test_fraction: 0.5\n", "leave nothing to train on"),
        ("data:\n  source: torchvision\n", "dataset names a torchvision class"),
        ("data:\n  download: true\n", "download fetches the set that dataset names"),
        (
            "evaluate:\n  gates:\n    kid: '<= 1'\n    coverge: '>= 1'\n",
            "params.yaml:4: evaluate.gates.coverge: unknown figure; did you mean `coverage`?",
        ),
        (
            "evaluate:\n  gates:\n    kid: '<= 1'\n    coverage: 0.6\n",
            "params.yaml:4: evaluate.gates.coverage: not a gate: '0.6'; write",
        ),
        ("evaluate:\n  gates: {copies: '<= floor'}\n", "params.yaml:2: evaluate.gates: copies has no floor"),
        ("data:\n  grey_range: [1, 2, 3]\n", "params.yaml:2: data.grey_range: expected auto, type or two numbers"),
        ("data:\n  grey_range: full\n", "expected auto, type or two numbers [low, high], got 'full'"),
        ("data:\n  grey_range: [0, .inf]\n", "params.yaml:2: data.grey_range: expected auto, type or two numbers"),
        ("data:\n  grey_range: [9, 9]\n", "params.yaml:2: data.grey_range: low must be below high, got [9, 9]"),
        ("train:\n  kimg: 0.1\n", "less than one iteration"),
        (
            "train:\n  kimg: 9\n  unlabelled_below: 8\n",
            "params.yaml:3: train.unlabelled_below: 8 leaves all levels without a label, for images of 8: take 4 to 7",
        ),
        ("train:\n  label_smoothing: 0.1\n", "train: label_smoothing: the loss wasserstein has no target to smooth"),
        ("train:\n  lecam: -1\n", "params.yaml:2: train.lecam: "),
        (
            "train:\n  unlabelled_weight: 1.0\n",
            "params.yaml:1: train: unlabelled_weight: without unlabelled_below every level has a label",
        ),
        ("train:\n  kimg: 1\n  kimg: 2\n", "params.yaml:3: not valid YAML: found duplicate key"),
        ("- 1\n", "expected groups"),
        ("train: [\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "seed: -1\ntrain:\n  wdith: 3\n  width: 1\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["seed", "train.wdith", "train.width"]


@pytest.mark.parametrize(("text", "value"), [("type", "type"), ("[0, 4095]", (0, 4095)), ("[-0.5, 1e3]", (-0.5, 1000))])
def test_a_grey_range_is_a_word_or_two_numbers(tmp_path: Path, text: str, value: object) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"data:\n  grey_range: {text}\n")
    assert load_params(path).data.grey_range == value


def test_no_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run augmint in the folder"):
        load_params(tmp_path / "params.yaml")


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Params().train.kimg = 3  # type: ignore[misc]
