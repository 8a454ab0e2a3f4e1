// The page: a picture, the part of it that is on the screen, and who draws it on either side.
import * as server from "/page/server.js";
import { Side, choicesOf, nameOf } from "/page/sides.js";
import { Viewport } from "/page/viewport.js";
import { followHands } from "/page/hands.js";
import { offerDownload } from "/page/saving.js";

const SETTLED_MS = 90; // without a movement, before a view is asked for
const LOOK_MS = 300; // between looks at the work
const OVERVIEW_PX = 1600; // of its longer side: what is shown until a part is drawn
const SMALL = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

const one = (identity) => document.getElementById(identity);
const [stage, canvas, split] = [one("stage"), one("canvas"), one("split")];
const context = canvas.getContext("2d");
const sides = ["left", "right"].map((name) => new Side(one(name), changed, complain));
let about = null;
let picture = null; // {picture, height, width, file}
let opening = null; // the file that was chosen last
let view = null;
let at = 0.5; // of the slider
let asking = null; // AbortController of the views that are asked for
let timer = 0;

start();

async function start() {
  try {
    about = await server.model();
    const choices = choicesOf(about, await server.models());
    const generating = about.task === "generation";
    one("model").textContent = nameOf(about);
    one("model").title = [about.where, about.sha256].filter(Boolean).join(" · ");
    one("generate").hidden = !generating;
    one("choose").hidden = generating;
    one("drop").querySelector("p").textContent = generating ? "Generate a picture" : "Drop a picture";
    await Promise.all(sides.map((side, index) => side.offer(choices, choices[index].value)));
    sides.forEach((side) => { side.element.hidden = true; });
  } catch (error) {
    complain(error);
  }
}

async function open(file) {
  if (about?.task === "generation") return complain(new Error("this model draws from noise; give it a height and a width"));
  opening = file;
  await showing(async () => {
    const kept = await server.keep(file);
    if (opening === file) await show({ ...kept, file, name: file.name });
  }, "reading the picture");
}

async function generate(height, width) {
  await showing(() => show({ picture: `${height}x${width}`, height, width, name: "generated" }), "generating");
}

async function show(next) {
  asking?.abort();
  picture = next;
  view = new Viewport(picture, about.limits);
  measure();
  view.fit();
  for (const side of sides) Object.assign(side, { sharp: null, overview: null });
  document.body.classList.remove("empty");
  one("name").textContent = `${picture.name}   ${picture.width} × ${picture.height}`;
  one("download").disabled = false;
  sides.forEach((side) => { side.element.hidden = false; });
  if (picture.file) await overview();
  changed();
}

/** The whole picture, small: what is seen until a part of it is drawn. */
async function overview() {
  const seen = picture;
  const share = Math.min(1, OVERVIEW_PX / Math.max(seen.height, seen.width));
  const height = Math.max(1, Math.round(seen.height * share));
  const width = Math.max(1, Math.round(seen.width * share));
  const region = { height, width, top: 0, left: 0, rows: height, columns: width };
  const bitmap = await server.view(seen.picture, region, { model: "bicubic" });
  if (picture === seen) for (const side of sides) side.overview = { bitmap, region };
}

/** Something that takes a while: what it is stands in the status, what is wrong with it on the page. */
async function showing(work, what) {
  complain(null);
  document.body.dataset.state = "drawing";
  one("status").textContent = `${what} …`;
  try {
    await work();
  } catch (error) {
    complain(error);
    document.body.dataset.state = "still";
  }
}

// --- the view -----------------------------------------------------------------------------------------

function measure() {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(stage.clientWidth * ratio));
  canvas.height = Math.max(1, Math.round(stage.clientHeight * ratio));
  view?.resize(canvas.height, canvas.width);
}

/** Where something has changed: paint what is there, and ask for what is not. */
function changed() {
  if (!view) return;
  paint();
  document.body.dataset.state = "drawing";
  clearTimeout(timer);
  timer = setTimeout(draw, SETTLED_MS);
}

async function draw() {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const region = view.seen;
  const began = performance.now();
  const wanted = region ? sides.filter((side) => side.draws).map((side) => ({ side, drawn: drawnBy(side) })) : [];
  const missing = wanted.filter(({ side, drawn }) => side.sharp?.key !== keyOf(region, drawn));
  const looking = missing.length ? setInterval(look, LOOK_MS) : 0;
  try {
    await Promise.all(missing.map(async ({ side, drawn }) => {
      const bitmap = await viewOf(region, drawn, mine.signal);
      if (mine.signal.aborted) return;
      side.sharp = { bitmap, region, key: keyOf(region, drawn) };
      paint();
    }));
    if (mine.signal.aborted) return;
    complain(null);
    const seconds = (performance.now() - began) / 1000;
    const { height, width } = view.placed;
    const took = missing.length ? ` · drawn in ${SMALL.format(seconds)} s` : "";
    one("status").textContent = `${width.toLocaleString("en")} × ${height.toLocaleString("en")} px${took}`;
    canvas.dataset.seconds = seconds;
    document.body.dataset.state = "still";
  } catch (error) {
    if (error.name === "AbortError") return;
    complain(error);
    document.body.dataset.state = "still";
  } finally {
    clearInterval(looking);
    if (asking === mine) one("progress").hidden = true;
  }
}

/** The view; a picture that the server has forgotten is sent again. */
async function viewOf(region, drawn, signal) {
  try {
    return await server.view(picture.picture, region, drawn, signal);
  } catch (error) {
    if (error.status !== 404 || !picture.file) throw error;
    await server.keep(picture.file);
    return server.view(picture.picture, region, drawn, signal);
  }
}

/** Below its own size a picture is only made smaller: nothing is to be drawn into it. */
function drawnBy(side) {
  return picture.file && view.scale <= 1 ? { model: "bicubic" } : side.drawn;
}

const keyOf = (region, drawn) => JSON.stringify([picture.picture, region, drawn]);

async function look() {
  try {
    const { share, title } = await server.work();
    one("progress").hidden = false;
    if (share > 0) one("progress").value = share;
    else one("progress").removeAttribute("value");
    if (title) one("status").textContent = `${title} …`;
  } catch { /* the answer that is waited for will say what is wrong */ }
}

function paint() {
  const [left, right] = sides;
  const compared = left.draws && right.draws;
  const edge = compared ? Math.round(at * canvas.width) : left.draws ? canvas.width : 0;
  context.clearRect(0, 0, canvas.width, canvas.height);
  paintSide(left, 0, edge);
  paintSide(right, edge, canvas.width);
  split.hidden = !compared;
  split.style.left = `${100 * at}%`;
  split.setAttribute("aria-valuenow", Math.round(100 * at));
  one("scale").value = view.share;
  one("scale").setAttribute("aria-valuetext", `times ${SMALL.format(view.scale)}`);
  if (document.activeElement !== one("factor")) one("factor").value = SMALL.format(view.scale).replaceAll(",", "");
}

function paintSide(side, from, to) {
  if (to <= from || !side.draws) return;
  context.save();
  context.beginPath();
  context.rect(from, 0, to - from, canvas.height);
  context.clip();
  context.imageSmoothingQuality = "high";
  const whole = view.placed;
  for (const layer of [side.overview, side.sharp]) {
    if (!layer) continue;
    const { region, bitmap } = layer;
    const [down, across] = [whole.height / region.height, whole.width / region.width];
    context.imageSmoothingEnabled = down !== 1 || across !== 1;
    context.drawImage(bitmap, whole.left + region.left * across, whole.top + region.top * down, region.columns * across, region.rows * down);
  }
  context.restore();
}

/** One line of what is wrong; null = nothing is any more. */
function complain(error) {
  one("error").hidden = !error;
  one("error").textContent = error ? error.message : "";
}

// --- what people do -----------------------------------------------------------------------------------

followHands({
  canvas,
  split,
  view: () => view,
  changed,
  slide(share) {
    at = Math.min(1, Math.max(0, share));
    paint();
  },
  place: () => at,
});
offerDownload({ dialog: one("saving"), button: one("download"), progress: one("progress"), status: one("status"), sides, complain, look, now: () => ({ picture, view, about }) });

one("scale").addEventListener("input", (event) => { view.share = Number(event.target.value); changed(); });
one("factor").addEventListener("change", (event) => {
  const scale = Number(event.target.value.replace(",", "."));
  if (scale > 0) view.zoom(scale);
  event.target.blur();
  changed();
});
one("in").addEventListener("click", () => { view.step(1); changed(); });
one("out").addEventListener("click", () => { view.step(-1); changed(); });
one("fit").addEventListener("click", () => { view.fit(); changed(); });
one("own").addEventListener("click", () => { view.zoom(1); changed(); });

for (const button of ["open", "choose"]) one(button).addEventListener("click", () => {
  if (about?.task === "generation") document.body.classList.add("empty");
  else one("file").click();
});
one("file").addEventListener("change", (event) => { if (event.target.files[0]) open(event.target.files[0]); event.target.value = ""; });
one("generate").addEventListener("submit", (event) => {
  event.preventDefault();
  const { height, width } = event.target.elements;
  generate(Number(height.value), Number(width.value));
});
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) open(file);
  else complain(new Error("what was dropped is no file; drop a picture"));
});
document.addEventListener("paste", (event) => { const [file] = event.clipboardData.files; if (file) open(file); });
new ResizeObserver(() => { measure(); changed(); }).observe(stage);
