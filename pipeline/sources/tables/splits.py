"""Which shards of a set belong to which split: by its card, by ``save_to_disk``, by folders, or by file names.

These are the rules of `datasets` (``datasets.data_files``), but for upper and lower case, which are the same here.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from pipeline.sources.base import SPLIT_NAMES
from pipeline.sources.tables.card import Card, Configuration, read_card
from pipeline.sources.tables.saved import saved_splits
from pipeline.sources.tables.shards import count_rows, is_shard
from pipeline.store import SplitName

KEYWORDS: dict[str, SplitName] = {**SPLIT_NAMES, "eval": "test", "evaluation": "test"}
SHARDED = re.compile(r"data/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*")
NUMBERED = re.compile(r"(?P<set>.*)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<rest>[^/]*)")
FOLDER = {word: re.compile(rf"(.*[-._ 0-9])?{word}([-._ 0-9].*)?", re.DOTALL) for word in KEYWORDS}
FILE = {word: re.compile(rf"(.*[-._ 0-9])?{word}[-._ 0-9].*", re.DOTALL) for word in KEYWORDS}

Names = list[PurePosixPath]


@dataclass
class Shards:
    """The files of a set.

    Attributes:
        splits: the files of each split, sorted; None for files that belong to no split.
        names: class names that the card gives to columns.
        ignored: what was passed over, counted by reason.
    """

    splits: dict[SplitName | None, list[Path]]
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)


def find_shards(folder: Path) -> Shards:
    """The shards below ``folder``, by split. A split that is neither train, val nor test is passed over.

    Raises:
        UserError: no shard there, one that its name promises is missing, or several sets or readings.
    """
    if (saved := saved_splits(folder)) is not None:
        return _known_splits(folder, saved, Counter(), {})
    paths, ignored = walk(folder)
    files = [PurePosixPath(path.relative_to(folder).as_posix()) for path in paths]
    card = read_card(folder)
    configuration = _chosen(card, folder)
    inner = PurePosixPath(configuration.folder)
    below = [file.relative_to(inner) for file in files if file.is_relative_to(inner)]
    if not below:
        raise UserError(f"data.path: {folder / inner}: no .parquet and no .arrow file below this folder; fetch them")
    by_split = _by_patterns(folder, below, configuration) if configuration.files else _by_names(folder, below)
    found = {split: [inner / file for file in names] for split, names in by_split.items()}
    taken = {file for names in found.values() for file in names}
    if left := len(set(files) - taken):
        ignored["tables that belong to no split"] += left
    return _known_splits(folder, found, ignored, card.class_names(configuration.name))


def split_by_name(file: Path) -> SplitName | None:
    """The split that the name of a single shard gives."""
    words = {KEYWORDS[word] for word, pattern in FILE.items() if pattern.fullmatch(file.name.lower())}
    return words.pop() if len(words) == 1 else None


def walk(folder: Path) -> tuple[list[Path], Counter[str]]:
    """All shards below ``folder``, sorted, Parquet alone if there is any; and what was passed over, by reason."""
    found: list[Path] = []
    ignored, seen = Counter[str](), set[str]()
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        if (real := os.path.realpath(root)) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add(real)
        for path in (Path(root, name) for name in names if is_shard(name)):
            if path.name.startswith(".") or not path.is_file():
                ignored["hidden" if path.name.startswith(".") else "not a regular file"] += 1
            else:
                found.append(path)
    parquet = [file for file in found if file.suffix.lower() == ".parquet"]
    if parquet and len(parquet) < len(found):
        ignored["Arrow files beside Parquet"] += len(found) - len(parquet)
    return sorted(parquet or found), ignored


def _chosen(card: Card, folder: Path) -> Configuration:
    """The only configuration, or the one that is marked as the default."""
    found = card.configurations
    if len(found) > 1:
        found = [configuration for configuration in found if configuration.default or configuration.name == "default"]
    if len(card.configurations) > 1 and len(found) != 1:
        names = [configuration.name for configuration in card.configurations]
        raise UserError(_several(folder, names, "by its README.md"))
    return found[0] if found else Configuration("default")


def _several(folder: Path, names: Iterable[str], by: str) -> str:
    listed = list(names)
    shown = ", ".join(listed[:8]) + (", …" if len(listed) > 8 else "")
    return (
        f"data.path: {folder}: holds {len(listed)} configurations {by} ({shown}), which are sets of their own; name "
        "the folder of one of them, or move its files to a folder of their own and name that"
    )


def _by_patterns(folder: Path, files: Names, configuration: Configuration) -> dict[str | None, Names]:
    found = {}
    for split, patterns in (configuration.files or {}).items():
        for pattern in patterns:
            if "://" in pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
                raise UserError(f"data.path: {folder}: its README.md names files elsewhere ({pattern}); fetch them")
        matches = [_glob(PurePosixPath(pattern).parts) for pattern in patterns]
        found[split] = [file for file in files if any(match(file.parts) for match in matches)]
        if not found[split]:
            raise UserError(
                f"data.path: {folder}: no table here is what its README.md names for the split {split or 'train'!r} "
                f"({', '.join(patterns[:3])}); fetch the files, or mend README.md"
            )
    _alone(folder, found)
    return found


def _glob(pattern: tuple[str, ...]) -> Callable[[tuple[str, ...]], bool]:
    """Whether a path matches; ``*`` stays within a name and ``**`` does not."""

    @cache
    def matches(done: int, parts: tuple[str, ...]) -> bool:
        if done == len(pattern):
            return not parts
        if pattern[done] == "**":
            return matches(done + 1, parts) or (bool(parts) and matches(done, parts[1:]))
        return bool(parts) and fnmatchcase(parts[0], pattern[done]) and matches(done + 1, parts[1:])

    return lambda parts: matches(0, parts)


def _by_names(folder: Path, files: Names) -> dict[str | None, Names]:
    """By ``data/<split>-00000-of-00001``, else by folders, else by file names; all in no split if none of it is there.

    A file that these leave over belongs to no split, as with `datasets`.
    """
    sharded = [(match.group(1), file) for file in files if (match := SHARDED.fullmatch(file.as_posix()))]
    if sharded:
        return _grouped(sharded)
    for rule in (_by_folder, _by_file):
        found = [(split, set_name, file) for file in files for split, set_name in rule(file)]
        if found:
            _one_set(folder, found)
            grouped = _grouped((split, file) for split, _, file in found)
            _alone(folder, grouped)
            return grouped
    return {None: files}


def _by_folder(file: PurePosixPath) -> set[tuple[str, str]]:
    """Splits that the folders above a file name, each with what stands above the first such folder."""
    found: dict[str, str] = {}
    for depth, part in enumerate(file.parts[:-1]):
        for word, pattern in FOLDER.items():
            if pattern.fullmatch(part.lower()):
                found.setdefault(KEYWORDS[word], "/".join(file.parts[:depth]))
    return set(found.items())


def _by_file(file: PurePosixPath) -> set[tuple[str, str]]:
    above = file.parent.as_posix()
    return {(KEYWORDS[word], above) for word, pattern in FILE.items() if pattern.fullmatch(file.name.lower())}


def _one_set(folder: Path, found: list[tuple[str, str, PurePosixPath]]) -> None:
    sets = defaultdict(set)
    for split, name, _ in found:
        sets[split].add(name)
    most = max(sets.values(), key=len)
    if len(most) > 1:
        raise UserError(_several(folder, sorted(name or "." for name in most), "by its folders"))


def _grouped(found: Iterable[tuple[str, PurePosixPath]]) -> dict[str | None, Names]:
    grouped: dict[str | None, Names] = defaultdict(list)
    for split, file in found:
        if file not in grouped[split]:
            grouped[split].append(file)
    return dict(grouped)


def _alone(folder: Path, found: dict[str | None, Names]) -> None:
    """Refuses a file that is in two splits."""
    owner: dict[PurePosixPath, str | None] = {}
    for split, files in found.items():
        for file in files:
            if owner.setdefault(file, split) != split:
                raise UserError(
                    f"data.path: {folder / file}: by its name it is in {owner[file]} and in {split}; rename it or its "
                    "folders after one of them"
                )


def _known_splits(
    folder: Path, found: dict[str | None, Names], ignored: Counter[str], names: dict[str, tuple[str, ...]]
) -> Shards:
    """The splits by our names; others are passed over, unless there is only one, which is the whole set."""
    splits: dict[SplitName | None, list[Path]] = {}
    given: dict[SplitName | None, str] = {}
    for split, files in found.items():
        known = KEYWORDS.get(split.lower()) if split else None
        if split and not known and len(found) > 1:
            ignored[f"images of the split {split!r}"] += sum(count_rows(folder / file) for file in files)
            continue
        if known in given:
            raise UserError(
                f"data.path: {folder}: two of its splits mean {known}: {given[known]} and {split}; keep one"
            )
        given[known] = str(split)
        splits[known] = sorted(folder / file for file in files)
    if not splits:
        called = ", ".join(map(str, found))
        raise UserError(f"data.path: {folder}: its splits are called {called}; name them train, validation and test")
    _check_whole([file for files in splits.values() for file in files])
    return Shards(splits, names, ignored)


def _check_whole(files: list[Path]) -> None:
    """Every file that ``-00000-of-00002`` promises has to be there."""
    there = defaultdict(set)
    for file in files:
        if match := NUMBERED.fullmatch(file.as_posix()):
            there[match["set"], match["total"], match["rest"]].add(int(match["number"]))
    for (name, total, rest), numbers in there.items():
        if (missing := next((n for n in range(int(total)) if n not in numbers), None)) is not None:
            raise UserError(
                f"data.path: {name}-{missing:05d}-of-{total}{rest}: missing, and only {len(numbers)} of the "
                f"{int(total)} files are there; fetch it"
            )
