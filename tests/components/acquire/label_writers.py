"""Writers of every label format, for round trips: they are written from the formats' descriptions, not from the readers."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

SIZE_PX = (640, 480)
XYWH = tuple[float, float, float, float]
# Picture stem to (class name, box) pairs; boxes 0-based and continuous.
Truth = Mapping[str, Sequence[tuple[str, XYWH]]]


def write_picture(path: Path, size_px: tuple[int, int] = SIZE_PX, orientation: int = 1) -> Path:
    """A grey picture; `orientation` is its EXIF tag, and the size that of the stored, not yet upright pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encoded(path.suffix, size_px, orientation))
    return path


@functools.cache
def _encoded(suffix: str, size_px: tuple[int, int], orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.new("L", size_px, 128).save(stream, "JPEG" if suffix == ".jpg" else suffix[1:], exif=exif.tobytes())
    return stream.getvalue()


def write_text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding=encoding)
    return path


def write_json(path: Path, value: object) -> Path:
    return write_text(path, json.dumps(value))


def write_coco(root: Path, truth: Truth, **annotation_keys: object) -> Path:
    names = sorted({name for boxes in truth.values() for name, _ in boxes})
    ids = {name: number for number, name in enumerate(names, start=1)}
    images, annotations = [], []
    for number, (stem, boxes) in enumerate(truth.items(), start=1):
        write_picture(root / "images" / f"{stem}.jpg")
        images.append({"id": number, "file_name": f"{stem}.jpg", "width": SIZE_PX[0], "height": SIZE_PX[1]})
        for name, box in boxes:
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": ids[name], "bbox": list(box)}
            annotations.append({**annotation, "iscrowd": 0, **annotation_keys})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    write_json(
        root / "annotations" / "instances_all.json",
        {"images": images, "annotations": annotations, "categories": categories},
    )
    return root


def yolo_line(number: int, box: XYWH, size_px: tuple[int, int] = SIZE_PX) -> str:
    x, y, width, height = box
    fractions = (x + width / 2) / size_px[0], (y + height / 2) / size_px[1], width / size_px[0], height / size_px[1]
    return " ".join([str(number), *(f"{value:.9f}" for value in fractions)])


def write_yolo(root: Path, truth: Truth) -> Path:
    """Ultralytics' layout; a picture without boxes has an empty label file."""
    names = sorted({name for boxes in truth.values() for name, _ in boxes})
    for stem, boxes in truth.items():
        write_picture(root / "images" / "train" / f"{stem}.jpg")
        lines = [yolo_line(names.index(name), box) for name, box in boxes]
        write_text(root / "labels" / "train" / f"{stem}.txt", "\n".join(lines))
    listed = "".join(f"  {number}: {json.dumps(name)}\n" for number, name in enumerate(names))
    write_text(root / "data.yaml", f"train: images/train\nval: images/train\nnames:\n{listed}")
    return root


def write_darknet(root: Path, truth: Truth) -> Path:
    names = sorted({name for boxes in truth.values() for name, _ in boxes})
    for stem, boxes in truth.items():
        write_picture(root / "obj_train_data" / f"{stem}.jpg")
        lines = [yolo_line(names.index(name), box) for name, box in boxes]
        write_text(root / "obj_train_data" / f"{stem}.txt", "\n".join(lines))
    write_text(root / "obj.names", "\n".join(names))
    write_text(root / "obj.data", f"classes = {len(names)}\ntrain = data/train.txt\nnames = data/obj.names\n")
    write_text(root / "train.txt", "\n".join(f"data/obj_train_data/{stem}.jpg" for stem in truth))
    return root


def voc_xml(stem: str, boxes: Sequence[tuple[str, XYWH]], flags: str = "", shift: int = 1) -> str:
    """`shift` 1 is VOC's own convention, 0 corners as they are."""
    objects = "".join(
        f"<object><name>{escape(name)}</name>{flags}<bndbox><xmin>{x + shift}</xmin><ymin>{y + shift}</ymin>"
        f"<xmax>{x + width}</xmax><ymax>{y + height}</ymax></bndbox></object>"
        for name, (x, y, width, height) in boxes
    )
    width, height = SIZE_PX
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>{stem}.jpg</filename>{size}{objects}</annotation>"


def write_voc(root: Path, truth: Truth, flags: str = "", shift: int = 1) -> Path:
    for stem, boxes in truth.items():
        write_picture(root / "JPEGImages" / f"{stem}.jpg")
        write_text(root / "Annotations" / f"{stem}.xml", voc_xml(stem, boxes, flags, shift))
    return root


def write_mot(root: Path, truth: Truth, sequence: str = "MOT17-99") -> Path:
    """One sequence; the stems are frame numbers of six digits."""
    rows = []
    for stem, boxes in truth.items():
        write_picture(root / sequence / "img1" / f"{stem}.jpg")
        for number, (name, (x, y, width, height)) in enumerate(boxes, start=1):
            kind = {"pedestrian": 1, "person on vehicle": 2, "car": 3}[name]
            flag = 1 if kind == 1 else 0
            rows.append(f"{int(stem)},{number},{x + 1},{y + 1},{width},{height},{flag},{kind},0.5")
    write_text(root / sequence / "gt" / "gt.txt", "\n".join(rows) + "\n")
    write_text(
        root / sequence / "seqinfo.ini",
        f"[Sequence]\nname={sequence}\nimDir=img1\nimWidth={SIZE_PX[0]}\nimHeight={SIZE_PX[1]}\nimExt=.jpg\n",
    )
    return root


def write_citypersons(root: Path, truth: Truth) -> Path:
    """One JSON a picture; each visible box is the left half of the full one."""
    for stem, boxes in truth.items():
        write_picture(root / "leftImg8bit" / "val" / "ulm" / f"{stem}_leftImg8bit.png")
        objects = [
            {"label": name, "bbox": list(box), "bboxVis": [box[0], box[1], box[2] / 2, box[3]], "instanceId": 24000}
            for name, box in boxes
        ]
        write_json(
            root / "gtBboxCityPersons" / "val" / "ulm" / f"{stem}_gtBboxCityPersons.json",
            {"imgWidth": SIZE_PX[0], "imgHeight": SIZE_PX[1], "objects": objects},
        )
    return root


def write_crowdhuman(root: Path, truth: Truth) -> Path:
    lines = []
    for stem, boxes in truth.items():
        write_picture(root / "Images" / f"{stem}.jpg")
        gtboxes = [
            {"tag": name, "fbox": list(box), "vbox": [box[0], box[1], box[2] / 2, box[3]], "hbox": [1, 1, 2, 2]}
            for name, box in boxes
        ]
        lines.append(json.dumps({"ID": stem, "gtboxes": gtboxes}))
    write_text(root / "annotation_train.odgt", "\n".join(lines) + "\n")
    return root


def write_widerperson(root: Path, truth: Truth) -> Path:
    numbers = {"pedestrian": 1, "rider": 2, "partially visible person": 3, "ignore region": 4, "crowd": 5}
    for stem, boxes in truth.items():
        write_picture(root / "Images" / f"{stem}.jpg")
        lines = [f"{numbers[name]} {x} {y} {x + width} {y + height}" for name, (x, y, width, height) in boxes]
        write_text(root / "Annotations" / f"{stem}.jpg.txt", "\n".join([str(len(lines)), *lines]) + "\n")
    return root


def eurocity_object(
    name: str, box: XYWH, tags: Sequence[str] = (), children: Sequence[object] = ()
) -> dict[str, object]:
    x, y, width, height = box
    corners = {"x0": x, "y0": y, "x1": x + width, "y1": y + height}
    return {"identity": name, **corners, "tags": list(tags), "children": list(children)}


def eurocity_frame(objects: Sequence[object], tags: Sequence[str] = ()) -> dict[str, object]:
    size = {"imagewidth": SIZE_PX[0], "imageheight": SIZE_PX[1]}
    return {"identity": "frame", **size, "tags": list(tags), "children": list(objects)}


def write_eurocity(root: Path, truth: Truth, time: str = "day") -> Path:
    for stem, boxes in truth.items():
        write_picture(root / time / "img" / "val" / "berlin" / f"berlin_{stem}.png")
        frame = eurocity_frame([eurocity_object(name, box) for name, box in boxes])
        write_json(root / time / "labels" / "val" / "berlin" / f"berlin_{stem}.json", frame)
    return root


def penn_fudan_text(stem: str, boxes: Sequence[tuple[str, XYWH]], first_pixel: int = 1) -> str:
    names = " ".join(f'"{name}"' for name, _ in boxes)
    lines = [
        "# Compatible with PASCAL Annotation Version 1.00",
        f'Image filename : "PennFudanPed/PNGImages/{stem}.png"',
        f"Image size (X x Y x C) : {SIZE_PX[0]} x {SIZE_PX[1]} x 3",
        'Database : "The Penn-Fudan-Pedestrian Database"',
        f"Objects with ground truth : {len(boxes)} {{ {names} }}",
        "# Note there may be some objects not included in the ground truth list for they are severe-occluded",
        f"# Top left pixel co-ordinates : ({first_pixel}, {first_pixel})",
    ]
    for number, (name, (x, y, width, height)) in enumerate(boxes, start=1):
        corners = f"({x + first_pixel}, {y + first_pixel}) - ({x + width}, {y + height})"
        lines.append(f'# Details for pedestrian {number} ("{name}")')
        lines.append(f'Bounding box for object {number} "{name}" (Xmin, Ymin) - (Xmax, Ymax) : {corners}')
        lines.append(f'Pixel mask for object {number} "{name}" : "PennFudanPed/PedMasks/{stem}_mask.png"')
    return "\n".join(lines) + "\n"


def write_penn_fudan(root: Path, truth: Truth) -> Path:
    for stem, boxes in truth.items():
        write_picture(root / "PNGImages" / f"{stem}.png")
        write_picture(root / "PedMasks" / f"{stem}_mask.png")
        write_text(root / "Annotation" / f"{stem}.txt", penn_fudan_text(stem, boxes), encoding="latin-1")
    return root
