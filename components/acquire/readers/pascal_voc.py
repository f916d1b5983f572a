"""Pascal VOC XML: corners xmin..xmax in whole pixels counted from 1, the last one included.

Some writers count from 0 and keep the corners as they are; an xmin or ymin of 0 proves it for the whole source.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeElementTree

from belisha.components.acquire.collector import LabelCollector, RawBox, RawPicture, warn_of_unlabelled
from belisha.components.acquire.label_files import BadLabelError, FileListing, head, list_files, number, read_bytes
from belisha.components.acquire.labels import BoxOrigin, LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.picture_index import PictureIndex, open_index
from belisha.components.shared.errors import InputError

_MAX_XML_BYTES = 16_000_000
_ROOT_TAG = re.compile(rb"<annotation[\s>]")
_FLAGS = ("truncated", "occluded", "difficult")


class PascalVocReader:
    """Reads every annotation XML below the root."""

    name = "pascal_voc"

    def detect(self, listing: FileListing) -> bool:
        """Whether an XML file with the root `annotation` is there."""
        return any(_is_annotation(path) for path in listing.with_suffix(".xml"))

    def read(self, root: Path, options: ReaderOptions) -> Labels:
        """See `labels.Reader`."""
        listing = list_files(root)
        files = listing.with_suffix(".xml")
        if not files:
            raise InputError(f"{root} has no Pascal VOC XML: check the folder or the format")
        index = open_index(listing, options.images_dir)
        collector = LabelCollector(self.name, options, free_origin=True)
        for path in files:
            with collector.reporting():
                _read_file(path, index, collector)
        labelled = {raw.picture.path for raw in collector.pictures}
        warn_of_unlabelled(collector, [path for path in index.paths if path not in labelled], "annotation XML")
        return collector.finish(one_based=_counts_from_one(collector))


def _is_annotation(path: Path) -> bool:
    return _ROOT_TAG.search(head(path)) is not None


def _counts_from_one(collector: LabelCollector) -> bool:
    if collector.options.box_origin is not BoxOrigin.AUTO:
        return collector.options.box_origin is BoxOrigin.ONE
    starts = [min(box.xywh_px[:2]) for raw in collector.pictures for box in raw.boxes]
    at_zero = sum(0.0 <= start < 1.0 for start in starts)
    if at_zero:
        collector.warn(
            f"{at_zero} of {len(starts)} boxes start at pixel 0, which VOC's count from 1 does not have: all corners were "
            "taken as written; --box-origin 1 converts them"
        )
    return at_zero == 0


def _read_file(path: Path, index: PictureIndex, collector: LabelCollector) -> None:
    """A file that is no XML still names its picture by its own name."""
    try:
        root = _parse(path)
    except BadLabelError as bad:
        picture = index.find_stem(path.stem, near=path) or index.missing(f"{path.stem}.jpg")
        collector.refuse(bad.reason, str(bad), picture)
        return
    if root.tag != "annotation":
        raise BadLabelError(
            "not_voc", f"{path} is XML of another kind: expected the root annotation, got {root.tag[:40]!r}"
        )
    picture = _picture_of(root, path, index)
    with collector.reporting(picture):
        size = _size_of(root, path.name)
        raw = collector.add(LabelledPicture(picture, labelled_size_px=size), size)
        _read_objects(root, path.name, raw, collector)


def _parse(path: Path) -> Element:
    try:
        root: Element = SafeElementTree.fromstring(read_bytes(path, _MAX_XML_BYTES))
    except DefusedXmlException as error:
        raise BadLabelError(
            "xml_entities", f"{path} defines XML entities ({type(error).__name__}): remove them"
        ) from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise BadLabelError("not_xml", f"{path} is not XML ({error})") from None
    return root


def _picture_of(root: Element, path: Path, index: PictureIndex) -> Path:
    """The picture the file names, else the one called like the file itself."""
    named = (root.findtext("filename") or "").strip()
    found = index.find(named, near=path) if named else None
    return found or index.find_stem(path.stem, near=path) or index.missing(named or f"{path.stem}.jpg")


def _size_of(root: Element, where: str) -> tuple[int, int] | None:
    if root.find("size") is None:
        return None
    width, height = (int(_number(root, f"size/{key}", f"{where}: size")) for key in ("width", "height"))
    return (width, height) if min(width, height) > 0 else None


def _read_objects(root: Element, where: str, raw: RawPicture, collector: LabelCollector) -> None:
    for count, item in enumerate(root.findall("object"), start=1):
        with collector.reporting(raw.picture.path):
            raw.boxes.append(_box_of(item, f"{where}: object {count}", collector.options))


def _box_of(item: Element, where: str, options: ReaderOptions) -> RawBox:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise BadLabelError("missing_key", f"{where}: expected a name")
    left, top, right, bottom = (_number(item, f"bndbox/{key}", where) for key in ("xmin", "ymin", "xmax", "ymax"))
    flags = [flag for flag in _FLAGS if (item.findtext(flag) or "").strip() in ("1", "true", "True")]
    difficult = options.difficult_is_ignored and "difficult" in flags
    return RawBox(
        name,
        (left, top, right - left, bottom - top),
        ignore_flag="difficult" if difficult else "",
        occlusion=" ".join(flags),
    )


def _number(item: Element, key: str, where: str) -> float:
    found = item.findtext(key)
    if found is None:
        raise BadLabelError("missing_key", f"{where}: expected {key}")
    return number(found, f"{where}: {key}")
