"""CVAT for images 1.1: one XML of boxes, with the models' boxes to begin with, and the same back.

Corners xtl, ytl, xbr, ybr are continuous pixels. Docs: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from xml.etree import ElementTree

from belisha.components.review.answers import (
    LABELS,
    MAX_FILE_BYTES,
    Items,
    annotator_name,
    checked_box,
    item_named,
    number_of,
    vote_of,
)
from belisha.components.review.suggestions import LEAST_SCORE, suggestions_of
from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import QueueItem, Vote

ANNOTATIONS_FILE = "annotations.xml"
_ZIP_MAGIC = b"PK"
_NAMES = ("meta/job/assignee", "meta/task/assignee", "meta/task/owner/username", "meta/project/assignee")


def file_name_of(item: QueueItem) -> str:
    """Name of a picture in exports: its id, so that it finds its way back."""
    return f"{item.picture_id}.jpg"


def xml_of(items: Iterable[QueueItem], least_score: float = LEAST_SCORE) -> bytes:
    """The annotations of a task whose pictures are called `<picture id>.jpg`."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    for label in LABELS:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = label
    for number, item in enumerate(items):
        size = {"width": str(item.width_px), "height": str(item.height_px)}
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": file_name_of(item), **size})
        for one in suggestions_of(item, least_score):
            corners = {
                "xtl": f"{one.x:.2f}", "ytl": f"{one.y:.2f}",
                "xbr": f"{one.x + one.width:.2f}", "ybr": f"{one.y + one.height:.2f}",
            }  # fmt: skip
            facts = {"label": one.label, "source": "auto", "occluded": "0", "z_order": "0"}
            ElementTree.SubElement(image, "box", {**facts, **corners})
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'.encode()


def is_cvat(data: bytes) -> bool:
    """Whether bytes are CVAT's XML, or a zip as CVAT exports it."""
    return data.startswith(_ZIP_MAGIC) or data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def votes_of(data: bytes, items: Items, where: str, annotator: str = "", *, adjudicator: bool = False) -> list[Vote]:
    """Votes of an export in the format `CVAT for images 1.1`, zipped or not.

    Args:
        data: the file.
        items: pictures that were handed out, by their ids.
        where: the file, for people.
        annotator: who drew; empty takes the assignee that the export names.
        adjudicator: whether this person decides.

    Raises:
        InputError: anything in it is not as CVAT writes it; the sentence says what and where.
    """
    root = _root(_unzipped(data, where), where)
    if root.tag != "annotations" or (root.findtext("version") or "").strip() != "1.1":
        raise InputError(f"{where} is not CVAT for images 1.1: export it in that format")
    if root.find("track") is not None:
        raise InputError(f"{where} holds tracks of a video: export it as CVAT for images 1.1")
    name = annotator or _assignee(root, where)
    return [_vote(image, items, where, name, adjudicator=adjudicator) for image in root.iter("image")]


def _vote(image: ElementTree.Element, items: Items, where: str, annotator: str, *, adjudicator: bool) -> Vote:
    item = item_named(image.get("name"), items, where)
    at = f"{where}: {(image.get('name') or '')[:80]}"
    width_px, height_px = number_of(image.get("width"), at), number_of(image.get("height"), at)
    if width_px != item.width_px or height_px != item.height_px:
        raise InputError(
            f"{at} is {width_px:g} x {height_px:g} pixels there but {item.width_px} x {item.height_px} here: "
            "give the tool the pictures as they were exported"
        )
    others = sorted({shape.tag for shape in image} - {"box", "tag"})
    if others:
        raise InputError(f"{at} holds {', '.join(others)[:80]}: draw boxes alone, for nothing else can be read")
    return vote_of(
        item, annotator, [_box(box, item, at) for box in image.iter("box")], None, at, adjudicator=adjudicator
    )


def _box(box: ElementTree.Element, item: QueueItem, at: str) -> Box | None:
    if number_of(box.get("rotation", "0"), at) % 360:
        raise InputError(f"{at}: a box is rotated, which boxes around pedestrians never are: turn it back")
    left, top, right, bottom = (number_of(box.get(name), f"{at}: {name}") for name in ("xtl", "ytl", "xbr", "ybr"))
    occlusion = "occluded" if box.get("occluded") == "1" else ""
    return checked_box(item, box.get("label"), (left, top, right - left, bottom - top), at, occlusion)


def _assignee(root: ElementTree.Element, where: str) -> str:
    for path in _NAMES:
        text = (root.findtext(path) or "").strip() or (root.findtext(f"{path}/username") or "").strip()
        if text:
            return annotator_name(text, where)
    raise InputError(f"{where} does not say who drew: name the person with --annotator")


def _unzipped(data: bytes, where: str) -> bytes:
    if not data.startswith(_ZIP_MAGIC):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            names = [name for name in packed.namelist() if name.rsplit("/", 1)[-1] == ANNOTATIONS_FILE]
            if len(names) != 1:
                raise InputError(f"{where} holds {len(names)} files {ANNOTATIONS_FILE}, expected one: export it again")
            with packed.open(names[0]) as stream:
                found = stream.read(MAX_FILE_BYTES + 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise InputError(f"{where} cannot be unpacked ({str(error)[:120]}): export it again") from None
    if len(found) > MAX_FILE_BYTES:
        raise InputError(f"{where} unpacks to more than {MAX_FILE_BYTES} bytes: do not trust it")
    return found


def _root(data: bytes, where: str) -> ElementTree.Element:
    from defusedxml import ElementTree as Defused
    from defusedxml.common import DefusedXmlException

    try:
        root: ElementTree.Element = Defused.fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise InputError(
            f"{where} defines entities or a document type, which exports never do: do not trust it"
        ) from None
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise InputError(f"{where} is not readable as XML ({str(error)[:120]}): export it again") from None
    return root
