// The boxes of one picture and what was done to them, apart from any pixels. A box is {x, y, width, height, label, suggested, tag}.

const MIN_SIDE_PX = 2;
const MAX_HISTORY = 200;

class BoxModel {
  constructor(widthPx, heightPx, boxes) {
    this.widthPx = widthPx;
    this.heightPx = heightPx;
    this.boxes = boxes;
    this.selected = -1;
    this.past = [];
    this.future = [];
  }

  get current() { return this.boxes[this.selected] || null; }

  // Remember the boxes as they are, so that what comes next can be undone as one step.
  remember() {
    this.past.push(JSON.stringify(this.boxes));
    if (this.past.length > MAX_HISTORY) this.past.shift();
    this.future = [];
  }

  // Forget the last step: nothing came of it.
  forget() { this.past.pop(); }

  undo() { return this.travel(this.past, this.future); }

  redo() { return this.travel(this.future, this.past); }

  travel(from, to) {
    if (!from.length) return false;
    to.push(JSON.stringify(this.boxes));
    this.boxes = JSON.parse(from.pop());
    this.selected = Math.min(this.selected, this.boxes.length - 1);
    return true;
  }

  // Cut at the picture's border; `move` keeps the size.
  clamp(box, move) {
    if (move) {
      box.x = Math.min(Math.max(0, box.x), Math.max(0, this.widthPx - box.width));
      box.y = Math.min(Math.max(0, box.y), Math.max(0, this.heightPx - box.height));
    }
    const right = Math.min(this.widthPx, box.x + box.width), bottom = Math.min(this.heightPx, box.y + box.height);
    box.x = Math.max(0, box.x);
    box.y = Math.max(0, box.y);
    box.width = Math.max(MIN_SIDE_PX, right - box.x);
    box.height = Math.max(MIN_SIDE_PX, bottom - box.y);
    return box;
  }

  add(box) {
    this.remember();
    this.boxes.push(this.clamp({label: "pedestrian", suggested: false, ...box}, false));
    this.selected = this.boxes.length - 1;
  }

  change(change, move) {
    if (!this.current) return false;
    this.remember();
    Object.assign(this.current, change, {suggested: false});
    this.clamp(this.current, move);
    return true;
  }

  remove() {
    if (!this.current) return false;
    this.remember();
    this.boxes.splice(this.selected, 1);
    this.selected = Math.min(this.selected, this.boxes.length - 1);
    return true;
  }

  acceptAll() {
    if (!this.boxes.some((box) => box.suggested)) return;
    this.remember();
    for (const box of this.boxes) box.suggested = false;
  }

  step(by) {
    if (!this.boxes.length) return;
    this.selected = this.selected < 0 ? (by > 0 ? 0 : this.boxes.length - 1) : (this.selected + by + this.boxes.length) % this.boxes.length;
  }

  // The smallest box around a point: what lies in front of a large one can always be reached.
  at(x, y, slack) {
    let found = -1, area = Infinity;
    this.boxes.forEach((box, place) => {
      const inside = x >= box.x - slack && x <= box.x + box.width + slack && y >= box.y - slack && y <= box.y + box.height + slack;
      if (inside && box.width * box.height < area) { found = place; area = box.width * box.height; }
    });
    return found;
  }
}

// Edges of a box near a point, as {left, right, top, bottom} booleans; null when none is near.
function edgesNear(box, x, y, slack) {
  if (x < box.x - slack || x > box.x + box.width + slack || y < box.y - slack || y > box.y + box.height + slack) return null;
  const near = (one, other) => Math.abs(one - other) <= slack;
  const edges = {
    left: near(x, box.x), right: !near(x, box.x) && near(x, box.x + box.width),
    top: near(y, box.y), bottom: !near(y, box.y) && near(y, box.y + box.height),
  };
  return edges.left || edges.right || edges.top || edges.bottom ? edges : null;
}
