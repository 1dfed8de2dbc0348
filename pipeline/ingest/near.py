"""Groups of near duplicates, found without looking at every pair, however many of the images are alike.

Hashes that differ in few bits agree in one of some bands of bits at least, so only images that agree there are
compared. Where many agree, which all that look alike do, they are cut into cells of images near to each other, and two
cells are compared as a whole: by how far apart they are, then by their hashes, then by one product of matrices. What
has become one group is not compared any more. So a million copies of a few images cost little more than a million
images.

Memory: some 100 bytes an image, and two cells.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np

from pipeline.ingest.duplicates import dct_basis
from pipeline.ingest.groups import Groups

MIN_CORRELATION = 0.98
"""Of two near duplicates' pixels. Exposures of one scene lie above; few pairs of different garments or digits do."""

DOUBT = 1e-4
"""More than a product of matrices in float32 is wrong by: nearer to the limit, a pair is looked at by itself."""

REACH = float(np.sqrt(2 - 2 * MIN_CORRELATION)) + 1e-3
"""Images of mean 0 and length 1 at most that correlate enough are no farther apart; and a margin for rounding."""

MANY = 32
"""Images that agree in a band, above which they are compared by cells."""

CELL = 512
"""Images in a cell, at most."""

FEW = 4
"""Pairs for each image of two cells, below which they are looked at one by one."""

PAIRS_AT_ONCE = 1 << 14
PIXELS_AT_ONCE = 1 << 18
CELL_PIXELS = 1 << 22

ReadPixels = Callable[[np.ndarray], np.ndarray]


def near_groups(hashes: np.ndarray, bits: int, read: ReadPixels) -> np.ndarray:
    """Groups of near duplicates, closed over chains of them.

    Two images are near duplicates where their hashes differ in at most ``bits`` bits and their pixels correlate by at
    least :data:`MIN_CORRELATION`.

    Args:
        hashes: uint64 (N,).
        bits: 1 to 16; 0 groups nothing.
        read: gives the pixels of some of the N images, uint8 (n, C, H, W).

    Returns:
        int64 (N,), the group of each image, numbered from 0 in the order of their first members.
    """
    if not bits or len(hashes) < 2:
        return np.arange(len(hashes))
    search = _Search(hashes, bits, read)
    search.look_along()
    masks = _bands(bits)
    for number, mask in enumerate(masks):
        search.look(mask, masks[:number])
    return search.groups.numbered()


def _bands(bits: int) -> list[np.uint64]:
    edges = np.linspace(0, 64, bits + 2).astype(int).tolist()
    return [np.uint64(((1 << (high - low)) - 1) << low) for low, high in pairwise(edges)]


class _Search:
    """Looks through images that agree in a band; see :func:`near_groups` for the arguments."""

    def __init__(self, hashes: np.ndarray, bits: int, read: ReadPixels) -> None:
        self.groups = Groups(len(hashes))
        self._hashes, self._bits, self._read = hashes, bits, read
        self._pixels = int(np.prod(read(np.zeros(1, np.int64)).shape))
        self._cell = int(np.clip(CELL_PIXELS // self._pixels, 8, CELL))
        self._sketches, self._sketched = np.empty((len(hashes), 16), np.float32), np.zeros(len(hashes), bool)

    def look_along(self) -> None:
        """Joins those near duplicates of equal hashes that follow one another: most copies of what is there often."""
        order = np.argsort(self._hashes, kind="stable")
        equal = np.flatnonzero(self._hashes[order[1:]] == self._hashes[order[:-1]])
        step = max(1, PIXELS_AT_ONCE // self._pixels)
        for start in range(0, len(equal), step):
            places = equal[start : start + step]
            self._look_at(np.stack([order[places], order[places + 1]], axis=1))

    def look(self, mask: np.uint64, before: list[np.uint64]) -> None:
        """Joins the near duplicates that agree in a band.

        Args:
            mask: of the band.
            before: those of the bands that were looked through.
        """
        order = np.argsort(self._hashes & mask, kind="stable")
        keys = self._hashes[order] & mask
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sizes = np.diff(np.append(starts, len(order)))
        many = sizes > MANY
        for start, size in zip(starts[many].tolist(), sizes[many].tolist(), strict=True):
            self._look_by_cells(order[start : start + size], before)
        ends = np.repeat(np.where(many, starts, starts + sizes), sizes)  # where many agree, there is nothing left to do
        for pairs in _collected(self._close(order, ends), max(PAIRS_AT_ONCE, len(order))):
            self._look_at(pairs)

    def _close(self, order: np.ndarray, ends: np.ndarray) -> Iterator[np.ndarray]:
        """Pairs of close hashes, int64 (P, 2): the i-th step compares each place to the i-th behind it."""
        hashes, here, step = self._hashes[order], np.arange(len(order)), 1
        while len(here := here[here + step < ends[here]]):
            close = here[np.bitwise_count(hashes[here] ^ hashes[here + step]) <= self._bits]
            yield np.stack([order[close], order[close + step]], axis=1)
            step += 1

    def _look_at(self, pairs: np.ndarray) -> None:
        """Joins those of ``pairs`` (P, 2), whose hashes are close, that correlate."""
        apart = self.groups.of(pairs)
        pairs = pairs[apart[:, 0] != apart[:, 1]]
        near = pairs[correlations(pairs, self._read) >= MIN_CORRELATION]
        self.groups.join_pairs(near)

    def _look_by_cells(self, rows: np.ndarray, before: list[np.uint64]) -> None:
        if self._together(rows):
            return
        if len(rows) <= self._cell:
            self._compare(rows, rows, before)
            return
        self._sketch(rows)
        cells = list(_cells(rows, self._sketches[rows], self._cell))
        centres = np.stack([self._sketches[cell].mean(axis=0) for cell in cells])
        around = [self._sketches[cell] - centre for cell, centre in zip(cells, centres, strict=True)]
        radii = np.array([np.linalg.norm(each, axis=1).max() for each in around])
        for number, cell in enumerate(cells):
            distance = np.linalg.norm(centres[number:] - centres[number], axis=1)
            within = np.flatnonzero(distance <= radii[number:] + radii[number] + REACH)
            for other in (within + number).tolist():
                self._compare(cell, cells[other], before)

    def _together(self, rows: np.ndarray) -> bool:
        firsts = self.groups.of(rows)
        return bool((firsts == firsts[0]).all())

    def _compare(self, rows: np.ndarray, others: np.ndarray, before: list[np.uint64]) -> None:
        """Joins the near duplicates among two cells, or within one that is given twice."""
        if self._together(np.concatenate([rows, others])):
            return
        first = self._kinds(rows)
        second = first if rows is others else self._kinds(others)
        some = self._close_ones(first, second, before)
        if not len(some):
            return
        if 2 * (len(first) + len(second)) <= len(rows) + len(others):  # one of each kind may do for all of them
            self._look_at(np.stack([first[some[:, 0]], second[some[:, 1]]], axis=1))
        pairs = self._close_ones(rows, others, before)
        if len(pairs) > FEW * (len(rows) + len(others)):
            self._sketch(np.union1d(rows, others))
            pairs = pairs[self._within_reach(rows[pairs[:, 0]], others[pairs[:, 1]])]
        if len(pairs) > FEW * (len(rows) + len(others)):
            both = standardised(self._read(rows)) @ standardised(self._read(others)).T
            likeness = both[pairs[:, 0], pairs[:, 1]]
            sure = pairs[likeness >= MIN_CORRELATION + DOUBT]
            self.groups.join(np.concatenate([rows, others]), np.stack([sure[:, 0], sure[:, 1] + len(rows)]))
            pairs = pairs[np.abs(likeness - MIN_CORRELATION) < DOUBT]
        self._look_at(np.stack([rows[pairs[:, 0]], others[pairs[:, 1]]], axis=1))

    def _kinds(self, rows: np.ndarray) -> np.ndarray:
        """One of ``rows`` of each hash and group."""
        hashes, firsts = self._hashes[rows], self.groups.of(rows)
        order = np.lexsort((firsts, hashes))
        hashes, firsts = hashes[order], firsts[order]
        new = (hashes[1:] != hashes[:-1]) | (firsts[1:] != firsts[:-1])
        return rows[order[np.concatenate([[True], new])]]

    def _close_ones(self, rows: np.ndarray, others: np.ndarray, before: list[np.uint64]) -> np.ndarray:
        """Places in two cells of images in different groups whose hashes are close, int64 (P, 2), each pair once."""
        first, second = self.groups.of(rows), self.groups.of(others)
        differing = self._hashes[rows][:, None] ^ self._hashes[others]
        wanted = (np.bitwise_count(differing) <= self._bits) & (first[:, None] != second)
        pairs = np.argwhere(wanted)
        if rows is others:
            pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        for mask in before:  # a pair that agrees there was compared then
            pairs = pairs[differing[pairs[:, 0], pairs[:, 1]] & mask != 0]
        return pairs

    def _within_reach(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether the sketches of two and two images let them be near duplicates: bool (P,)."""
        apart = self._sketches[rows] - self._sketches[others]
        return np.einsum("pk,pk->p", apart, apart) <= REACH**2

    def _sketch(self, rows: np.ndarray) -> None:
        """Has the lowest frequencies of some images, as :func:`standardised` makes them, in the sketches.

        They are a projection: two images are at least as far apart as their sketches are.
        """
        missing = rows[~self._sketched[rows]]
        step = max(1, CELL_PIXELS // self._pixels)
        for start in range(0, len(missing), step):
            part = missing[start : start + step]
            pixels = self._read(part)
            _, channels, height, width = pixels.shape
            mean = standardised(pixels).reshape(pixels.shape).sum(axis=1) / np.sqrt(channels, dtype=np.float32)
            self._sketches[part] = (dct_basis(height)[:4] @ mean @ dct_basis(width)[:4].T).reshape(len(part), 16)
        self._sketched[missing] = True


def _cells(rows: np.ndarray, sketches: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """``rows`` in cells of ``most`` at most, cut in the middle of where they are most spread, again and again.

    Args:
        sketches: of the rows, float32 (n, 16).
    """
    if len(rows) <= most:
        yield rows
        return
    order = np.argpartition(sketches[:, np.ptp(sketches, axis=0).argmax()], len(rows) // 2)
    for half in (order[: len(rows) // 2], order[len(rows) // 2 :]):
        yield from _cells(rows[half], sketches[half], most)


def _collected(parts: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The pairs of ``parts`` in blocks of ``size`` or some more: of a block, those of one group are left out before."""
    waiting: list[np.ndarray] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= size:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)


def correlations(pairs: np.ndarray, read: ReadPixels) -> np.ndarray:
    """Pearson's correlation between the pixels of the images of each pair (P, 2), float32 (P,); 0 where one is flat."""
    result = np.zeros(len(pairs), np.float32)
    if not len(pairs):
        return result
    step = max(1, PIXELS_AT_ONCE // read(pairs[0, :1]).size)
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        rows, place = np.unique(part, return_inverse=True)
        first, second = standardised(read(rows))[place.reshape(part.shape).T]
        result[start : start + step] = np.einsum("np,np->n", first, second)
    return result


def standardised(images: np.ndarray) -> np.ndarray:
    """Each image with mean 0 and length 1, float32 (n, pixels); one of less than a level's spread is shorter."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.maximum(length, np.sqrt(flat.shape[1]))
