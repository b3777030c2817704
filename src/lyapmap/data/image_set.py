"""Images in one NumPy archive, as many data sets are passed around."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.demand import held, require_room
from lyapmap.core.errors import DataError, LyapmapError
from lyapmap.core.reading.apart import each_apart
from lyapmap.core.reading.arrays import Arrays
from lyapmap.core.reading.bounded import content
from lyapmap.data.download import download
from lyapmap.data.idx import cache_folder, load_idx

EVERY = 10
"""The last of so many images is a test image."""


def load_npz(path: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[int, str]]:
    """Images (n, c, h, w), labels (n,) and their names from an archive of `images` and, perhaps, `labels`.

    `images` is uint8, (n, h, w), (n, h, w, 1) or (n, h, w, 3). Every tenth image is a test image, the
    others train.

    Raises
    ------
    DataError
        If the file is damaged or does not hold such arrays.
    """
    with Arrays(path, "not a readable .npz archive of arrays", DataError) as stored:
        if "images" not in stored.names:
            raise DataError(f"{path}: holds {', '.join(stored.names) or 'nothing'}, expected an array 'images'")
        images = stored["images"]
        labels = stored["labels"] if "labels" in stored.names else np.zeros(images.shape[:1], np.int64)
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{path}: 'images' is {images.dtype} of shape {images.shape}, expected uint8 (n, height, width) "
            "or (n, height, width, 1 or 3)"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: 'labels' is {labels.dtype} of shape {labels.shape}, expected one integer for each of "
            f"{len(images)} images"
        )
    number = np.arange(len(images))
    tests = number % EVERY == EVERY - 1
    keep = tests if split == "test" else ~tests
    if not keep.any():
        raise DataError(f"{path}: {len(images)} images are too few for a test image, which every tenth is")
    names = {int(label): str(int(label)) for label in np.unique(labels)}
    pixels = np.ascontiguousarray(images[keep].transpose(0, 3, 1, 2))
    return pixels, labels[keep].astype(np.int64), names


URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def load_cifar10(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,), downloaded if they are missing.

    Raises
    ------
    DataError
        If the archive is damaged, or is missing and cannot be downloaded.
    """
    path = cache_folder() / "cifar10" / Path(URL).name
    if not path.is_file():
        download(URL, path, most=LARGEST, check=_require_published)
    packed = content(path, DataError)
    _require_published(packed, path)
    images, labels = [], []
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        for name in _FILES[split]:
            member = archive.extractfile(f"cifar-10-batches-py/{name}")
            if member is None:
                raise DataError(f"{path}: holds no {name}")
            batch = pickle.loads(member.read(), encoding="bytes")  # of the published bytes and no others
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], np.int64))
    return np.concatenate(images), np.concatenate(labels)


LARGEST = 2**28
"""Bytes of the archive."""


def _require_published(packed: bytes, source: str | Path) -> None:
    digest = hashlib.sha256(packed).hexdigest()
    if digest != SHA256:
        raise DataError(f"{source}: has SHA-256 {digest}, expected {SHA256}; delete it to download it again")


SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
PIXELS = "lyapmap.data.image_file:pixels"
DIGITS_TRAIN = 1500  # rows of scikit-learn's digits that train; the other 297 test


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes
    ----------
    name : str
        Where they come from.
    images : (n, channels, height, width) float32
        Pixel values within `value_range`.
    labels : (n,) int64
        Category of each image.
    class_names : dict of int to str
        What the labels stand for.
    value_range : (float, float)
        Values of black and of white.
    notes : tuple of str
        What was done to images: resized, turned, made grey or given colour; empty if nothing was.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: dict[int, str]
    value_range: tuple[float, float] = (-1.0, 1.0)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def state_shape(self) -> tuple[int, int, int]:
        """Shape of one image."""
        _, c, h, w = self.images.shape
        return (c, h, w)

    @property
    def states(self) -> NDArray[np.float32]:
        """The images as rows, (n, channels * height * width), as maps take them."""
        return self.images.reshape(len(self.images), -1)

    def of_class(self, label: int) -> NDArray[np.float32]:
        """The images of one category, in their order."""
        return self.images[self.labels == label]

    def only(self, classes: Sequence[int]) -> ImageSet:
        """The images of some categories, in their order."""
        if len(classes) == 0:
            raise DataError("classes: expected at least one")
        missing = [c for c in classes if c not in self.class_names]
        if missing:
            known = ", ".join(map(str, sorted(self.class_names)))
            raise DataError(f"classes: {self.name} has no class {missing[0]}; it has {known}")
        keep = np.isin(self.labels, list(classes))
        names = {c: self.class_names[c] for c in classes}
        return replace(self, images=self.images[keep], labels=self.labels[keep], class_names=names)

    def some(self, n: int, *, seed: int = 0) -> ImageSet:
        """n images at random, in their order."""
        if not 1 <= n <= len(self):
            raise DataError(f"n: expected 1 to {len(self)} images of {self.name}, got {n}")
        keep = np.sort(np.random.default_rng(seed).permutation(len(self))[:n])
        return replace(self, images=self.images[keep], labels=self.labels[keep])


def names() -> tuple[str, ...]:
    """Data sets that `load` knows by name."""
    return tuple(sorted(_BY_NAME))


def load(
    name: str | Path,
    *,
    split: str = "train",
    classes: Sequence[int] | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> ImageSet:
    """Load a data set by name, every image below a folder, one image, or those of an .npz file.

    Parameters
    ----------
    name : str or path
        "digits" (8 x 8, comes with scikit-learn), "mnist", "fashion_mnist" (28 x 28), "cifar10"
        (32 x 32 in colour; all three read from the cache folder `LYAPMAP_DATA` or downloaded), a
        folder, an image, or an .npz file. A folder's subfolders, in the order of their names, are its
        classes 0, 1, ...; without subfolders all images are class 0. An .npz file holds `images`, uint8
        (n, height, width) or (n, height, width, 1 or 3), and may hold `labels` (n,).
    split : "train" or "test"
        Which part. A folder may hold folders named train and test, whose classes are then numbered
        together; otherwise it is not split, nor is one image. Every tenth image of an .npz file is a test image.
    classes : sequence of int, optional
        Keep only these labels.
    image_size : int, optional
        Resize to this height and width (area-weighted, after a central square crop). Without it, files of
        different sizes are refused.
    channels : 1 or 3, optional
        Convert to grey or colour; as the files are without it, which must all be one or the other.
    value_range : (float, float)
        Values of black and of white.

    Returns
    -------
    ImageSet

    Raises
    ------
    DataError
        If the name is unknown, a file is damaged or missing, or a class does not exist.

    Examples
    --------
    >>> digits = load("digits", classes=(0, 1, 2))
    >>> digits.images.shape, float(digits.images.min()), float(digits.images.max())
    ((452, 1, 8, 8), -1.0, 1.0)
    """
    if split not in ("train", "test"):
        raise DataError(f"split: expected 'train' or 'test', got {split!r}")
    if channels not in (None, 1, 3):
        raise DataError(f"channels: expected 1 or 3, got {channels}")
    if image_size is not None and image_size < 1:
        raise DataError(f"image_size: expected at least 1 pixel, got {image_size}")
    low, high = value_range
    if not low < high:
        raise DataError(f"value_range: expected (low, high) with low < high, got {value_range}")
    if str(name) in _BY_NAME:
        pixels, labels, class_names = _BY_NAME[str(name)](split)
        pixels, notes = _converted(pixels, image_size, channels)
    elif Path(name).is_dir():
        pixels, labels, class_names, notes = _load_folder(Path(name), split, image_size, channels)
    elif Path(name).suffix.lower() in SUFFIXES and Path(name).is_file():
        pixels, notes = _read_all([Path(name)], Path(name).parent, image_size, channels)
        labels, class_names = np.zeros(1, np.int64), {0: Path(name).stem}
    elif Path(name).suffix == ".npz" and Path(name).is_file():
        pixels, labels, class_names = load_npz(Path(name), split)
        pixels, notes = _converted(pixels, image_size, channels)
    else:
        known = ", ".join(names())
        raise DataError(f"data: {str(name)!r} is neither a folder nor one of {known}, nor an image or .npz file")
    images = pixels.astype(np.float32)
    images *= np.float32((high - low) / 255)
    images += np.float32(low)
    np.clip(images, low, high, out=images)  # rounding may carry white past `high`
    whole = ImageSet(str(name), images, labels, class_names, (float(low), float(high)), notes)
    return whole if classes is None else whole.only(classes)


_Loaded = tuple[NDArray[np.generic], NDArray[np.int64], dict[int, str]]
_Read = tuple[NDArray[np.uint8], NDArray[np.int64], dict[int, str], tuple[str, ...]]


def _digits(split: str) -> _Loaded:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    part = slice(None, DIGITS_TRAIN) if split == "train" else slice(DIGITS_TRAIN, None)
    pixels = bunch.images[part, None] * (255 / 16)
    return pixels, bunch.target[part].astype(np.int64), {i: str(i) for i in range(10)}


def _mnist(split: str) -> _Loaded:
    images, labels = load_idx("mnist", split)
    return images[:, None], labels, {i: str(i) for i in range(10)}


_FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def _fashion_mnist(split: str) -> _Loaded:
    images, labels = load_idx("fashion_mnist", split)
    return images[:, None], labels, dict(enumerate(_FASHION))


def _cifar10(split: str) -> _Loaded:
    images, labels = load_cifar10(split)
    return images, labels, dict(enumerate(CLASSES))


_BY_NAME: dict[str, Callable[[str], _Loaded]] = {
    "digits": _digits,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
}


def _load_folder(folder: Path, split: str, image_size: int | None, channels: int | None) -> _Read:
    parts = [part for part in ("train", "test") if (folder / part).is_dir()]
    if parts and split not in parts:
        raise DataError(f"split: {folder} has a folder {parts[0]!r} but none named {split!r}")
    roots = [folder / part for part in parts] or [folder]
    root = folder / split if parts else folder
    # Classes of all parts together, so that a label means the same in each.
    classes = sorted({p.name for r in roots for p in r.iterdir() if p.is_dir() and not p.name.startswith(".")})
    groups = [root / name for name in classes] or [root]
    listed = [(label, p) for label, group in enumerate(groups) for p in sorted(group.rglob("*"))]
    files = [(label, p) for label, p in listed if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    if not files:
        raise DataError(f"data: no image ({', '.join(sorted(SUFFIXES))}) below {root}")
    pixels, notes = _read_all([path for _, path in files], root, image_size, channels)
    labels = np.array([label for label, _ in files], np.int64)
    return pixels, labels, {i: group.name for i, group in enumerate(groups)}, notes


def _read_all(
    paths: Sequence[Path], root: Path, image_size: int | None, channels: int | None
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Image files (n, channels, height, width), and what was done to them.

    Nothing changes size or colour that nobody asked for.
    """
    from PIL import Image

    if image_size is not None:
        columns = (channels or 3) * image_size
        require_room("images", held("pixels", 2, _images=len(paths), _rows=image_size, _columns=columns))
    grey: Path | None = None
    colour: Path | None = None
    images: list[NDArray[np.uint8]] = []
    counts = dict.fromkeys(("made grey", "given three equal channels", "cut to a square and resized", "turned"), 0)
    opened = each_apart(PIXELS, paths, "not a readable image", DataError)
    for path, (turned, arrays) in zip(paths, opened, strict=True):
        image = Image.fromarray(arrays["pixels"])
        has_colour = image.mode == "RGB"
        grey, colour = (grey, colour or path) if has_colour else (grey or path, colour)
        if channels is None and grey is not None and colour is not None:
            raise DataError(
                f"data: the images below {root} are grey ({grey.name}) and in colour ({colour.name}); "
                "give channels=1 or 3 (--colour grey or rgb)"
            )
        wanted = channels or (3 if has_colour else 1)
        if (wanted == 3) != has_colour:
            counts["made grey" if has_colour else "given three equal channels"] += 1
            image = image.convert("RGB" if wanted == 3 else "L")
        if image_size is not None and image.size != (image_size, image_size):
            counts["cut to a square and resized"] += 1
            image = _squared(image, image_size)
        counts["turned"] += turned
        array = np.asarray(image)
        array = array[None] if wanted == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))
        if images and array.shape != images[0].shape:
            sizes = [" x ".join(map(str, each.shape[1:])) for each in (images[0], array)]
            raise DataError(
                f"data: the images below {root} differ in size; give image_size (--image-size, or --resize with a map) "
                f"to resize them, got {sizes[0]} ({paths[0].name}) and {sizes[1]} ({path.name})"
            )
        images.append(array)
    ends = {
        "cut to a square and resized": f" to {image_size} x {image_size} pixels",
        "turned": " as their EXIF orientation says",
    }
    notes = tuple(
        f"{count} of {len(paths)} images were {what}{ends.get(what, '')}" for what, count in counts.items() if count
    )
    return np.stack(images), notes


def _squared(image, image_size: int):  # type: ignore[no-untyped-def]  # Pillow is imported late
    from PIL import Image

    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = (left, top, left + side, top + side)
    method = Image.Resampling.BOX if image_size < side else Image.Resampling.BILINEAR
    return image.resize((image_size, image_size), method, box=square)


def _converted(
    pixels: NDArray[np.generic], image_size: int | None, channels: int | None
) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """Resize (n, c, h, w) pixels and change their number of channels; and say so."""
    from PIL import Image

    notes = []
    if image_size is not None and pixels.shape[2:] != (image_size, image_size):
        columns = pixels.shape[1] * image_size
        require_room("images", held("pixels", 8, _images=len(pixels), _rows=image_size, _columns=columns))
        planes = pixels.reshape(-1, *pixels.shape[2:]).astype(np.float32)
        resized = [np.asarray(_squared(Image.fromarray(plane), image_size)) for plane in planes]
        sizes = f"{pixels.shape[2]} x {pixels.shape[3]} to {image_size} x {image_size}"
        pixels = np.stack(resized).reshape(*pixels.shape[:2], image_size, image_size)
        notes.append(f"images were cut to a square and resized from {sizes} pixels")
    if channels == 3 and pixels.shape[1] == 1:
        pixels = np.repeat(pixels, 3, axis=1)
        notes.append("images were given three equal channels")
    if channels == 1 and pixels.shape[1] == 3:
        # The luma of ITU-R BT.601, which Pillow takes for files of a folder.
        pixels = np.tensordot(pixels.astype(np.float32), np.array([0.299, 0.587, 0.114], np.float32), (1, 0))[:, None]
        notes.append("images were made grey")
    return pixels, tuple(notes)


def held_out(images: ImageSet, part: float) -> tuple[ImageSet, ImageSet]:
    """Images to train on, and those kept from the training, to choose by.

    An image is kept if the SHA256 of its grey values, as bytes of 0 to 255, says so: which ones are depends on nothing
    else, neither on order and number of the images nor on the categories chosen, and copies of an image lie on
    one side.

    Parameters
    ----------
    images : ImageSet
    part : float
        That is kept, in the mean; in (0, 1).

    Raises
    ------
    LyapmapError
        If a category is left without images on one side.

    Examples
    --------
    >>> from lyapmap import data
    >>> digits = data.load("digits")
    >>> train, validation = held_out(digits, 0.1)
    >>> len(train), len(validation)
    (1313, 187)
    """
    low, high = images.value_range
    grey = np.round((images.images - low) / (high - low) * 255).astype(np.uint8)
    first = [hashlib.sha256(image.tobytes()).digest()[:4] for image in grey]
    kept = np.array([int.from_bytes(number, "big") for number in first]) < part * 2**32
    sides = tuple(replace(images, images=images.images[rows], labels=images.labels[rows]) for rows in (~kept, kept))
    for side in sides:
        lost = sorted(set(images.labels.tolist()) - set(side.labels.tolist()))
        if lost:
            raise LyapmapError(f"validation: too few images of class {lost[0]} to keep a part of {part:g} of them")
    return sides[0], sides[1]
