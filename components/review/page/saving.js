// Saves drafts one after another, the newest of each picture; what could not be saved is tried again until it is.

const RETRY_MS = 2500;

class Saver {
  constructor(told) {
    this.told = told;
    this.waiting = new Map();
    this.revisions = new Map();
    this.running = false;
    this.annotator = "";
    this.conflict = () => {};
  }

  begin(annotator, answers) {
    this.annotator = annotator;
    this.waiting.clear();
    this.revisions = new Map(Object.entries(answers).map(([picture, answer]) => [picture, answer.revision]));
  }

  get busy() { return this.running || this.waiting.size > 0; }

  save(pictureId, answer) {
    this.waiting.set(pictureId, answer);
    this.told("saving");
    this.run();
  }

  async run() {
    if (this.running) return;
    this.running = true;
    try {
      while (this.waiting.size) {
        const [pictureId, answer] = this.waiting.entries().next().value;
        const outcome = await this.put(pictureId, answer);
        if (outcome === "again") { this.told("failed"); await new Promise((done) => setTimeout(done, RETRY_MS)); continue; }
        if (this.waiting.get(pictureId) === answer) this.waiting.delete(pictureId);
      }
    } finally { this.running = false; }
    this.told("saved");
  }

  // `done`, or `again` when it could not be saved for a reason that may pass.
  async put(pictureId, answer) {
    const body = JSON.stringify({...answer, revision: this.revisions.get(pictureId) || 0});
    const address = `/api/v1/answers/${encodeURIComponent(this.annotator)}/${pictureId}`;
    try {
      const headers = {"Content-Type": "application/json", "X-Belisha-Review": "1"};
      const response = await fetch(address, {method: "PUT", headers, body, keepalive: body.length < 60000});
      const value = await response.json();
      if (response.ok) this.revisions.set(pictureId, value.revision);
      else if (response.status === 409) {
        this.revisions.set(pictureId, value.revision);
        this.waiting.delete(pictureId);
        this.conflict(pictureId, value);
      } else if (response.status >= 500) return "again";
      else this.told("refused", value.error);
      return "done";
    } catch (error) { return "again"; }
  }
}
