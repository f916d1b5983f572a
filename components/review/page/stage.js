// Draws a picture with its boxes on a canvas, and turns pointers into changes of a BoxModel.

const HANDLE_PX = 7;
const MAX_ZOOM = 40;
const COLOURS = {pedestrian: "#12a150", suggested: "#f59e0b", ignore: "#9aa4ae", selected: "#ffffff"};

class Stage {
  constructor(canvas, changed, selected) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.changed = changed;
    this.selected = selected;
    this.model = null;
    this.picture = null;
    this.hidden = false;
    this.fitted = true;
    this.view = {scale: 1, x: 0, y: 0};
    this.drag = null;
    this.pointer = null;
    this.spaceHeld = false;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", () => this.cancel());
    canvas.addEventListener("wheel", (event) => this.wheel(event), {passive: false});
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(model, picture) {
    this.model = model;
    this.picture = picture;
    this.drag = null;
    this.fit();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    // Who has zoomed in keeps the place when the window changes.
    if (this.fitted) this.fit();
    else this.draw();
  }

  fit() {
    if (!this.model) return;
    const {clientWidth: width, clientHeight: height} = this.canvas;
    const scale = Math.max(0.01, Math.min((width - 24) / this.model.widthPx, (height - 24) / this.model.heightPx));
    this.view = {scale, x: (width - this.model.widthPx * scale) / 2, y: (height - this.model.heightPx * scale) / 2};
    this.fitScale = scale;
    this.fitted = true;
    this.draw();
  }

  zoom(factor, at) {
    if (!this.model) return;
    const {clientWidth: width, clientHeight: height} = this.canvas;
    const centre = at || {x: width / 2, y: height / 2};
    const scale = Math.min(MAX_ZOOM, Math.max(this.fitScale * 0.5, this.view.scale * factor));
    const grown = scale / this.view.scale;
    this.view = {scale, x: centre.x - (centre.x - this.view.x) * grown, y: centre.y - (centre.y - this.view.y) * grown};
    this.fitted = false;
    this.draw();
  }

  zoomToBox() {
    const box = this.model && this.model.current;
    if (!box) return;
    const {clientWidth: width, clientHeight: height} = this.canvas;
    const scale = Math.min(MAX_ZOOM, 0.45 * Math.min(width / box.width, height / box.height));
    this.view = {scale, x: width / 2 - (box.x + box.width / 2) * scale, y: height / 2 - (box.y + box.height / 2) * scale};
    this.fitted = false;
    this.draw();
  }

  place(event) {
    const frame = this.canvas.getBoundingClientRect();
    const screen = {x: event.clientX - frame.left, y: event.clientY - frame.top};
    return {screen, x: (screen.x - this.view.x) / this.view.scale, y: (screen.y - this.view.y) / this.view.scale};
  }

  down(event) {
    if (!this.model || event.button > 1) return;
    this.canvas.focus({preventScroll: true});
    try { this.canvas.setPointerCapture(event.pointerId); } catch (error) { /* the pointer has gone already */ }
    const at = this.place(event);
    if (event.button === 1 || this.spaceHeld) {
      event.preventDefault();
      this.drag = {kind: "pan", from: at.screen, view: {...this.view}};
      return;
    }
    const slack = HANDLE_PX / this.view.scale;
    const current = this.model.current;
    const edges = current && !event.shiftKey && edgesNear(current, at.x, at.y, slack);
    const hit = event.shiftKey || this.hidden ? -1 : this.model.at(at.x, at.y, 0);
    if (edges) this.begin({kind: "resize", edges, start: {...current}, from: at});
    else if (hit >= 0) {
      this.model.selected = hit;
      this.begin({kind: "move", start: {...this.model.current}, from: at});
    } else {
      this.model.selected = -1;
      this.drag = {kind: "draw", from: at, box: null};
    }
    this.selected();
    this.draw();
  }

  begin(drag) {
    this.model.remember();
    this.drag = {...drag, moved: false};
  }

  move(event) {
    if (!this.model) return;
    const at = this.place(event);
    this.pointer = at;
    const drag = this.drag;
    if (!drag) { this.cursor(at); return; }
    if (drag.kind === "pan") {
      this.view = {...drag.view, x: drag.view.x + at.screen.x - drag.from.x, y: drag.view.y + at.screen.y - drag.from.y};
      this.fitted = false;
    } else if (drag.kind === "draw") {
      const clip = (value, most) => Math.min(Math.max(0, value), most);
      const [left, right] = [drag.from.x, at.x].map((x) => clip(x, this.model.widthPx)).sort((a, b) => a - b);
      const [top, bottom] = [drag.from.y, at.y].map((y) => clip(y, this.model.heightPx)).sort((a, b) => a - b);
      drag.box = {x: left, y: top, width: right - left, height: bottom - top};
    } else this.pull(drag, at.x - drag.from.x, at.y - drag.from.y);
    this.draw();
  }

  pull(drag, across, down) {
    if (Math.hypot(across, down) * this.view.scale < 2 && !drag.moved) return;
    drag.moved = true;
    const box = this.model.current, start = drag.start;
    box.suggested = false;
    if (drag.kind === "move") {
      Object.assign(box, start, {x: start.x + across, y: start.y + down, suggested: false});
      this.model.clamp(box, true);
      return;
    }
    const edges = drag.edges;
    let left = start.x + (edges.left ? across : 0), right = start.x + start.width + (edges.right ? across : 0);
    let top = start.y + (edges.top ? down : 0), bottom = start.y + start.height + (edges.bottom ? down : 0);
    [left, right] = left <= right ? [left, right] : [right, left];
    [top, bottom] = top <= bottom ? [top, bottom] : [bottom, top];
    Object.assign(box, {x: left, y: top, width: right - left, height: bottom - top});
    this.model.clamp(box, false);
  }

  up() {
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.kind === "draw" && drag.box && Math.min(drag.box.width, drag.box.height) * this.view.scale >= 4) {
      this.model.add(drag.box);
      this.changed();
    } else if (drag.kind === "move" || drag.kind === "resize") {
      if (drag.moved) this.changed();
      else this.model.forget();
    }
    this.draw();
  }

  cancel() {
    if (this.drag && (this.drag.kind === "move" || this.drag.kind === "resize")) this.model.undo();
    this.drag = null;
    this.draw();
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * 0.0015), this.place(event).screen);
  }

  cursor(at) {
    const current = this.model.current;
    const edges = current && edgesNear(current, at.x, at.y, HANDLE_PX / this.view.scale);
    let cursor = this.spaceHeld ? "grab" : this.model.at(at.x, at.y, 0) >= 0 ? "move" : "crosshair";
    if (edges) {
      const diagonal = (edges.left && edges.top) || (edges.right && edges.bottom) ? "nwse-resize" : "nesw-resize";
      const corner = (edges.left || edges.right) && (edges.top || edges.bottom);
      cursor = corner ? diagonal : edges.left || edges.right ? "ew-resize" : "ns-resize";
    }
    this.canvas.style.cursor = cursor;
  }

  draw() {
    const pen = this.pen, ratio = window.devicePixelRatio || 1;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.model) return;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const {scale, x, y} = this.view;
    pen.imageSmoothingEnabled = scale < 3;
    if (this.picture) pen.drawImage(this.picture, x, y, this.model.widthPx * scale, this.model.heightPx * scale);
    if (!this.hidden) {
      this.model.boxes.forEach((box, place) => { if (place !== this.model.selected) this.drawBox(box, false); });
      if (this.model.current) this.drawBox(this.model.current, true);
    }
    if (this.drag && this.drag.kind === "draw" && this.drag.box) this.drawBox({...this.drag.box, label: "pedestrian"}, true);
  }

  drawBox(box, selected) {
    const pen = this.pen, {scale} = this.view;
    const [x, y, width, height] = [this.view.x + box.x * scale, this.view.y + box.y * scale, box.width * scale, box.height * scale];
    const colour = box.label === "ignore" ? COLOURS.ignore : box.suggested ? COLOURS.suggested : COLOURS.pedestrian;
    if (box.label === "ignore") this.hatch(x, y, width, height);
    pen.setLineDash([]);
    pen.lineWidth = selected ? 5 : 4;
    pen.strokeStyle = selected ? COLOURS.selected : "#0009";
    pen.strokeRect(x, y, width, height);
    pen.setLineDash(box.suggested ? [7, 4] : []);
    pen.lineWidth = selected ? 2.5 : 2;
    pen.strokeStyle = colour;
    pen.strokeRect(x, y, width, height);
    pen.setLineDash([]);
    // In a crowd of small boxes the scores would hide the people.
    if (box.suggested && box.tag && (selected || box.disputed || width >= 30)) this.tag(box.tag, x, y, colour);
    if (selected) this.handles(x, y, width, height, colour);
  }

  hatch(x, y, width, height) {
    const pen = this.pen;
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, height);
    pen.clip();
    pen.fillStyle = "#9aa4ae33";
    pen.fillRect(x, y, width, height);
    pen.strokeStyle = "#e3e8ed99";
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let at = -height; at < width; at += 10) { pen.moveTo(x + at, y + height); pen.lineTo(x + at + height, y); }
    pen.stroke();
    pen.restore();
  }

  tag(text, x, y, colour) {
    const pen = this.pen;
    pen.font = "600 11px system-ui, sans-serif";
    pen.textBaseline = "top";
    const width = pen.measureText(text).width + 8, top = Math.max(0, y - 17);
    pen.fillStyle = colour;
    pen.fillRect(x - 1, top, width, 15);
    pen.fillStyle = "#1d2125";
    pen.fillText(text, x + 3, top + 2);
  }

  handles(x, y, width, height, colour) {
    const pen = this.pen;
    for (const [across, down] of [[0, 0], [.5, 0], [1, 0], [0, .5], [1, .5], [0, 1], [.5, 1], [1, 1]]) {
      pen.fillStyle = "#fff";
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.rect(x + across * width - 3.5, y + down * height - 3.5, 7, 7);
      pen.fill();
      pen.stroke();
    }
  }
}
