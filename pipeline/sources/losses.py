"""What is left out of a set: counted by reason, and refused where a class would hardly be left."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from pipeline.errors import UserError
from pipeline.sources.base import composed
from pipeline.sources.sorting import File, Files
from pipeline.sources.structure import OUTSIDE, Folder, Place
from pipeline.wording import NAMED, counted, listed

PlaceOf = Callable[[str], Place]


def passed_over(files: Files, tree: Folder, place: PlaceOf, empty: Sequence[str]) -> Counter[str]:
    """How many files no class takes, by reason; folders that are left out as a whole are named."""
    named: dict[str, Counter[str]] = defaultdict(Counter)
    for (reason, folder), count in files.hidden.items():
        named[reason][folder] += count
    for (reason, folder), count in files.aside.items():
        named[reason][tree.beyond(folder)] += count
    result = Counter({_in_folder(reason, folder): n for reason, of in named.items() for folder, n in _first(of)})
    for file in files.images:
        if reason := place(file.folder).reason:
            result[reason] += 1
    for file in files.missed:
        reason = place(file.folder).reason
        result[file.reason if reason in ("", OUTSIDE) else f"{file.reason}, {reason}"] += 1
    if empty:
        result[f"empty folder{'s' if len(empty) > 1 else ''} ({listed(empty)})"] = len(empty)
    return result


def _first(counts: Counter[str]) -> list[tuple[str, int]]:
    """The largest of ``counts`` by name, and all others in one."""
    ordered = sorted(counts.items(), key=lambda entry: (entry[0] != "", -entry[1], entry[0]))
    rest = ordered[NAMED:]
    return ordered[:NAMED] + ([(f"{len(rest):,} more folders", sum(n for _, n in rest))] if rest else [])


def _in_folder(reason: str, folder: str) -> str:
    return f"{reason}, in {folder!r}" if folder else reason


def check_losses(files: Files, place: PlaceOf, where: str) -> None:
    """Checks that every class keeps at least half of its files, and the set half of its images.

    What accompanies images does not count as lost: texts, and files that are called as an image beside them but for
    the suffix.

    Raises:
        UserError: a class loses more than half, or more images lie outside the class folders than in them.
    """
    kept = Counter(composed(place(file.folder).label) for file in files.images)
    missed: dict[str, list[File]] = defaultdict(list)
    for file in files.missed:
        missed[composed(place(file.folder).label)].append(file)
    missed.pop("", None)
    for label in sorted(missed):
        if len(missed[label]) > kept[label]:
            lost = Counter(file.reason for file in _without_companions(missed[label], files.images))
            if (total := lost.total()) > kept[label]:
                raise UserError(
                    f"{where}: class {label!r} would keep {kept[label]:,} of its {kept[label] + total:,} files: "
                    f"{counted(lost)}; mend them or convert them into an image format that is read (PNG, JPEG, WebP, "
                    "TIFF, …), or move the folder away if it is no class"
                )
    outside = sum(place(file.folder).reason == OUTSIDE for file in files.images)
    inside = kept.total() - kept[""]
    if outside > inside > 0 and not any(place(file.folder).split >= 0 for file in files.images):
        raise UserError(
            f"{where}: {outside:,} of {outside + inside:,} images lie outside a class folder; put them into one, move "
            "them away, or set data.path to the folder of class folders"
        )


def _without_companions(missed: list[File], images: list[File]) -> list[File]:
    stems = {_stem(file.name) for file in images}
    return [file for file in missed if _stem(file.name) not in stems]


def _stem(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]
