// Joins the queue, the stage, the keys and the saver.

const $ = (id) => document.getElementById(id);
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const NAME = /^[A-Za-z0-9._@+-]{1,64}$/;
const WORDS = {
  uncertain: "the model was unsure", disagreement: "two models disagree", drifted: "new conditions", uniform: "random check",
};

const app = {pictures: [], answers: {}, models: new Map(), index: -1, turn: 0, seconds: new Map(), since: 0, annotator: "", adjudicate: false, unreachable: false};
const stage = new Stage($("stage"), changed, showBoxes);
const saver = new Saver(showSaving);

function complain(sentence) {
  $("message").textContent = sentence;
  $("message").hidden = !sentence;
}

function showSaving(state, sentence) {
  $("saved").textContent = {saving: "saving …", saved: "saved", failed: "not saved, trying again …", refused: "not saved"}[state];
  $("saved").className = state === "failed" || state === "refused" ? "bad" : "";
  if (state === "refused") complain(sentence);
  if (state === "saved" && app.unreachable) complain("");
  app.unreachable = state === "failed" || (app.unreachable && state === "saving");
  if (state === "failed") complain("The page's server cannot be reached: is `belisha review serve` still running? Nothing is lost while this page stays open.");
}

const now = () => app.pictures[app.index];
const isDone = (picture) => Boolean(app.answers[picture.picture_id] && app.answers[picture.picture_id].done);

async function load(annotator) {
  const response = await fetch(`/api/v1/queue?annotator=${encodeURIComponent(annotator)}`);
  const value = await response.json();
  if (!response.ok) throw new Error(value.error);
  Object.assign(app, {annotator: value.annotator, adjudicate: value.adjudicate, pictures: value.pictures, answers: value.answers, models: new Map(), index: -1});
  app.seconds = new Map(Object.entries(value.answers).map(([picture, answer]) => [picture, answer.seconds || 0]));
  saver.begin(value.annotator, value.answers);
  $("who").textContent = value.adjudicate ? `${value.annotator} (adjudicator)` : value.annotator;
  $("saved").textContent = "";
  showStrip();
  $("empty").hidden = value.pictures.length > 0;
  const first = value.pictures.findIndex((picture) => !isDone(picture));
  if (value.pictures.length) await open(Math.max(0, first));
}

function modelOf(picture) {
  if (!app.models.has(picture.picture_id)) {
    const answer = app.answers[picture.picture_id];
    const boxes = answer ? answer.boxes.map((box) => ({...box, suggested: false})) : suggestionsOf(picture);
    app.models.set(picture.picture_id, new BoxModel(picture.width_px, picture.height_px, boxes));
  }
  return app.models.get(picture.picture_id);
}

// To an adjudicator, what people agree on is settled, and what they do not comes first.
function suggestionsOf(picture) {
  const boxes = picture.suggestions.map(({x, y, width, height, label, score, models}) => {
    const disputed = app.adjudicate && models.includes("disputed");
    const tag = disputed ? "disputed" : score.toFixed(2);
    return {x, y, width, height, label, models, tag, disputed, suggested: disputed || !app.adjudicate};
  });
  return boxes.sort((one, other) => other.disputed - one.disputed);
}

async function open(index) {
  if (index < 0 || index >= app.pictures.length) return;
  countSeconds();
  if (!app.unreachable) complain("");
  const turn = ++app.turn;
  app.index = index;
  const picture = now(), model = modelOf(picture);
  if (app.adjudicate && model.selected < 0) model.selected = model.boxes.findIndex((box) => box.disputed);
  stage.show(model, null);
  showAll();
  try {
    const bitmap = await bitmapOf(picture);
    if (turn === app.turn) { stage.picture = bitmap; stage.draw(); }
  } catch (error) {
    if (turn === app.turn) complain("This picture cannot be shown: go on with the next, and tell whoever runs the store.");
  }
  if (app.pictures[index + 1]) bitmapOf(app.pictures[index + 1]).catch(() => {});
}

const bitmaps = new Map();
function bitmapOf(picture) {
  const id = picture.picture_id;
  if (!bitmaps.has(id)) {
    const read = fetch(`/pictures/${id}`).then((response) => { if (!response.ok) throw new Error(); return response.blob(); });
    bitmaps.set(id, read.then((blob) => createImageBitmap(blob, {imageOrientation: "from-image"})));
    if (bitmaps.size > 8) bitmaps.delete(bitmaps.keys().next().value);
  }
  return bitmaps.get(id);
}

function countSeconds() {
  const at = performance.now();
  if (now() && app.since && !document.hidden) {
    const id = now().picture_id;
    app.seconds.set(id, (app.seconds.get(id) || 0) + (at - app.since) / 1000);
  }
  app.since = at;
}

function changed() { save(false); showAll(); }

function save(done) {
  countSeconds();
  const picture = now(), model = modelOf(picture);
  const boxes = model.boxes.map(({x, y, width, height, label}) => ({x, y, width, height, label}));
  const seconds = Math.round(10 * (app.seconds.get(picture.picture_id) || 0)) / 10;
  const answer = {boxes, done, seconds};
  app.answers[picture.picture_id] = answer;
  saver.save(picture.picture_id, answer);
}

saver.conflict = (pictureId, answer) => {
  app.answers[pictureId] = answer;
  app.models.delete(pictureId);
  if (now() && now().picture_id === pictureId) open(app.index);
  complain("This picture was saved under your name in another window: its boxes are shown now.");
};

function accept() {
  if (!now()) return;
  modelOf(now()).acceptAll();
  save(true);
  const left = nextOpen(app.index);
  if (left >= 0) open(left);
  else showAll();
}

function nextOpen(from) {
  for (let by = 1; by <= app.pictures.length; by++) {
    const place = (from + by) % app.pictures.length;
    if (!isDone(app.pictures[place])) return place;
  }
  return -1;
}

function showStrip() {
  $("strip").replaceChildren(...app.pictures.map((picture, place) => {
    const button = make("button"), image = make("img"), words = make("span", undefined, "words");
    button.type = "button";
    image.src = `/pictures/${picture.picture_id}`;
    image.alt = "";
    image.loading = "lazy";
    words.append(make("i", undefined, "dot"), make("span", `${place + 1}. ${picture.camera || "no camera"}`));
    button.append(image, words);
    button.addEventListener("click", () => open(place));
    const item = make("li");
    item.append(button);
    return item;
  }));
}

function showAll() {
  const picture = now();
  if (!picture) return;
  const done = app.pictures.filter(isDone).length;
  $("progress").max = app.pictures.length;
  $("progress").value = done;
  $("count").textContent = `${done} of ${app.pictures.length} done`;
  [...$("strip").children].forEach((item, place) => {
    const one = app.pictures[place], answer = app.answers[one.picture_id];
    item.className = answer ? (answer.done ? "done" : "started") : "";
    item.firstChild.setAttribute("aria-current", String(place === app.index));
    item.firstChild.setAttribute("aria-label", `Picture ${place + 1}, ${one.camera || "no camera"}, ${answer ? (answer.done ? "done" : "begun") : "not begun"}`);
    if (place === app.index) item.scrollIntoView({block: "nearest"});
  });
  $("facts").replaceChildren(
    make("span", app.adjudicate ? "people disagree" : WORDS[picture.pick] || picture.pick, "pick"),
    make("span", picture.camera || "no camera"),
    make("span", new Date(picture.captured_at).toLocaleString("en-GB", {timeZone: "UTC", dateStyle: "medium", timeStyle: "short"}) + " UTC"),
    ...(picture.condition ? [make("span", picture.condition)] : []),
    ...(isDone(picture) ? [make("span", "done", "done")] : []),
  );
  $("previous").disabled = app.index === 0;
  $("next").disabled = app.index === app.pictures.length - 1;
  showBoxes();
}

function showBoxes() {
  const model = now() && modelOf(now());
  if (!model) return;
  const people = model.boxes.filter((box) => box.label !== "ignore").length, ignored = model.boxes.length - people;
  $("boxCount").textContent = `${people} ${people === 1 ? "pedestrian" : "pedestrians"}${ignored ? `, ${ignored} ignored` : ""}`;
  $("boxes").replaceChildren(...model.boxes.map((box, place) => boxEntry(model, box, place)));
  $("undo").disabled = !model.past.length;
  $("redo").disabled = !model.future.length;
  const open_ = model.boxes.filter((box) => box.suggested).length;
  $("hint").textContent = hintFor(model.boxes.length, open_);
  $("stage").setAttribute("aria-label", `Picture ${app.index + 1} of ${app.pictures.length} with ${model.boxes.length} boxes`);
}

function hintFor(boxes, suggested) {
  if (app.pictures.every(isDone)) return "All pictures are done. Thank you.";
  if (suggested) return app.adjudicate ? `${suggested} disputed: X takes one away, I ignores it, Enter accepts what is left.` : `${suggested} suggested: Enter accepts them all.`;
  return boxes ? "" : "Nobody here? Enter says so.";
}

function boxEntry(model, box, place) {
  const item = make("li"), button = make("button", undefined, box.label === "ignore" ? "ignore" : box.suggested ? "suggested" : "");
  button.type = "button";
  button.setAttribute("aria-pressed", String(place === model.selected));
  const kind = box.label === "ignore" ? "ignore region" : "pedestrian";
  button.append(make("i"), make("span", kind), make("small", box.suggested && box.tag ? box.tag : `${Math.round(box.width)}×${Math.round(box.height)}`));
  if (box.models) button.title = `suggested by ${box.models.join(", ")}`;
  button.addEventListener("click", () => { model.selected = place; showBoxes(); stage.draw(); });
  item.append(button);
  return item;
}

function newBox() {
  const model = modelOf(now()), view = stage.view;
  const inside = stage.pointer && stage.pointer.x > 0 && stage.pointer.y > 0 && stage.pointer.x < model.widthPx && stage.pointer.y < model.heightPx;
  const centre = inside ? stage.pointer : {x: (stage.canvas.clientWidth / 2 - view.x) / view.scale, y: (stage.canvas.clientHeight / 2 - view.y) / view.scale};
  const height = Math.min(model.heightPx, 120 / view.scale), width = 0.41 * height;
  model.add({x: centre.x - width / 2, y: centre.y - height / 2, width, height});
}

function nudge(event) {
  const model = modelOf(now()), box = model.current;
  if (!box) return false;
  const step = event.ctrlKey ? 10 : 1;
  const across = {ArrowLeft: -step, ArrowRight: step}[event.key] || 0, down = {ArrowUp: -step, ArrowDown: step}[event.key] || 0;
  if (event.shiftKey) return model.change({width: Math.max(MIN_SIDE_PX, box.width + across), height: Math.max(MIN_SIDE_PX, box.height + down)}, false);
  return model.change({x: box.x + across, y: box.y + down}, true);
}

// Each gives true when the boxes have changed.
const ACTIONS = {
  n: () => { open(app.index + 1); },
  p: () => { open(app.index - 1); },
  g: () => { open(nextOpen(app.index)); },
  j: () => { modelOf(now()).step(1); },
  k: () => { modelOf(now()).step(-1); },
  a: () => { const changed_ = modelOf(now()).change({}, false); modelOf(now()).step(1); return changed_; },
  x: () => modelOf(now()).remove(),
  delete: () => modelOf(now()).remove(),
  backspace: () => modelOf(now()).remove(),
  i: () => { const box = modelOf(now()).current; return box && modelOf(now()).change({label: box.label === "ignore" ? "pedestrian" : "ignore"}, false); },
  d: () => { newBox(); return true; },
  u: () => modelOf(now()).undo(),
  r: () => { const model = modelOf(now()); model.remember(); model.boxes = suggestionsOf(now()); model.selected = -1; return true; },
  z: () => { stage.zoomToBox(); },
  h: () => { stage.hidden = !stage.hidden; $("hide").setAttribute("aria-pressed", String(stage.hidden)); },
  "+": () => { stage.zoom(1.35); }, "=": () => { stage.zoom(1.35); },
  "-": () => { stage.zoom(1 / 1.35); },
  0: () => { stage.fit(); },
  escape: () => { modelOf(now()).selected = -1; },
  enter: () => { accept(); },
};

function act(name) {
  if (!now() || !ACTIONS[name]) return false;
  if (ACTIONS[name]()) changed();
  else showBoxes();
  stage.draw();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]") || event.target instanceof HTMLInputElement || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "?") { $("help").showModal(); return; }
  if (key === " " && !(event.target instanceof HTMLButtonElement)) { stage.spaceHeld = true; event.preventDefault(); return; }
  // A button that has the focus is pressed by Enter, as anywhere.
  if (key === "enter" && event.target instanceof HTMLButtonElement) return;
  if (event.ctrlKey && (key === "z" || key === "y")) {
    event.preventDefault();
    const model = now() && modelOf(now());
    if (model && (key === "y" || event.shiftKey ? model.redo() : model.undo())) { changed(); stage.draw(); }
    return;
  }
  if (event.key.startsWith("Arrow") && now() && nudge(event)) { event.preventDefault(); changed(); stage.draw(); return; }
  if (event.ctrlKey && !event.key.startsWith("Arrow")) return;
  if (act(key)) event.preventDefault();
});
document.addEventListener("keyup", (event) => { if (event.key === " ") stage.spaceHeld = false; });
for (const [id, key] of [["previous", "p"], ["next", "n"], ["undo", "u"], ["add", "d"], ["hide", "h"], ["fit", "0"], ["accept", "enter"]]) {
  $(id).addEventListener("click", () => { act(key); $("stage").focus({preventScroll: true}); });
}
$("redo").addEventListener("click", () => { if (now() && modelOf(now()).redo()) { changed(); stage.draw(); } });
$("helpButton").addEventListener("click", () => $("help").showModal());
document.addEventListener("visibilitychange", () => { if (document.hidden) { countSeconds(); app.since = 0; } else app.since = performance.now(); });
window.addEventListener("beforeunload", (event) => { if (saver.busy) event.preventDefault(); });

async function begin(name) {
  try {
    await load(name);
    try { localStorage.setItem("belisha.annotator", name); } catch (error) { /* a private window keeps nothing */ }
    $("stage").focus({preventScroll: true});
  } catch (error) { complain(error.message || "The page's server cannot be reached."); }
}

function askName(known) {
  $("name").value = known || "";
  $("nameDialog").showModal();
  $("name").select();
}
$("nameForm").addEventListener("submit", () => begin($("name").value.trim()));
$("nameDialog").addEventListener("cancel", (event) => { if (!app.annotator) event.preventDefault(); });
$("who").addEventListener("click", () => askName(app.annotator));

const asked = new URLSearchParams(location.search).get("annotator");
let known = "";
try { known = localStorage.getItem("belisha.annotator") || ""; } catch (error) { /* a private window knows nothing */ }
if (asked && NAME.test(asked)) begin(asked);
else askName(known);
