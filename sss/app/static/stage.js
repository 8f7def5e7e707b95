// The photo with its layers. Gradio hands over: element, props, trigger, watch.
// props: photo, result, labels (data: URLs), names, colours ("r,g,b"), selected, view.
const stage = element.querySelector(".stage");
const frame = stage.querySelector(".stage-frame");
const canvas = stage.querySelector("canvas");
const before = stage.querySelector(".stage-before");
const after = stage.querySelector(".stage-after");
const tip = stage.querySelector(".stage-tip");
const wipe = stage.querySelector(".stage-wipe");
const add = stage.querySelector(".stage-add");
const ink = canvas.getContext("2d");
let labels = null; // Uint8Array: the strongest layer of each pixel
let hovered = -1;

const view = () => stage.dataset.view;

function setView(name) {
  stage.dataset.view = name;
  stage.querySelectorAll(".stage-views button").forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset.view === name)));
  setWipe();
  draw();
}

function setWipe() {
  const share = view() === "compare" ? Number(wipe.value) : view() === "layers" ? 100 : 0;
  before.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  frame.style.setProperty("--wipe", `${share}%`);
}

// Fill of a layer in the overlay: [red, green, blue, alpha] or null.
function tint(number, selected) {
  if (number === hovered) return 0.55;
  if (view() === "layers") return selected.size === 0 ? 0.42 : selected.has(number) ? 0.5 : 0.12;
  return 0;
}

function draw() {
  const width = canvas.width, height = canvas.height;
  ink.clearRect(0, 0, width, height);
  if (!labels) return;
  const selected = new Set(props.selected || []);
  const colours = (props.colours || []).map((colour) => colour.split(",").map(Number));
  const tints = colours.map((_, number) => Math.round(255 * tint(number, selected)));
  const marked = colours.map((_, number) => number === hovered || selected.has(number));
  const picture = ink.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer); // little-endian: ABGR
  const reach = Math.max(1, Math.round(Math.max(width, height) / 700));
  const fills = colours.map((c, n) => ((tints[n] << 24) | (c[2] << 16) | (c[1] << 8) | c[0]) >>> 0);
  const rims = { in: 0xffffffff, out: 0xff202020 };
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const own = labels[at];
      pixels[at] = fills[own];
      const right = x + reach < width ? labels[at + reach] : own;
      const below = y + reach < height ? labels[at + reach * width] : own;
      if (right === own && below === own) continue;
      const inside = marked[own], beyond = marked[right] || marked[below];
      if (inside !== beyond) pixels[at] = inside ? rims.in : rims.out;
    }
  }
  ink.putImageData(picture, 0, 0);
}

let drawing = 0; // not more than once a frame
const drawSoon = () => { drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); }); };

function place(event) { // share of width and height, and the layer there
  const box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  if (!labels || x < 0 || y < 0 || x >= 1 || y >= 1) return null;
  const at = Math.floor(y * canvas.height) * canvas.width + Math.floor(x * canvas.width);
  return { x, y, number: labels[at], left: event.clientX - box.left, top: event.clientY - box.top };
}

function hover(event) {
  const spot = event && event.pointerType !== "touch" ? place(event) : null;
  tip.hidden = !spot;
  if (spot) {
    tip.textContent = props.names[spot.number];
    tip.style.transform =
      `translate(${Math.min(spot.left + 14, frame.clientWidth - tip.offsetWidth - 4)}px, ` +
      `${Math.max(spot.top - 34, 4)}px)`;
  }
  const number = spot ? spot.number : -1;
  if (number !== hovered) { hovered = number; drawSoon(); }
}

canvas.addEventListener("pointermove", hover);
canvas.addEventListener("pointerleave", () => hover(null));
canvas.addEventListener("click", (event) => {
  const spot = place(event);
  const several = event.shiftKey || add.getAttribute("aria-pressed") === "true";
  if (spot) trigger("pick", { x: spot.x, y: spot.y, add: several });
});
canvas.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault());
add.addEventListener("click", () =>
  add.setAttribute("aria-pressed", String(add.getAttribute("aria-pressed") !== "true")));
wipe.addEventListener("input", setWipe);
stage.querySelectorAll(".stage-views button").forEach((button) =>
  button.addEventListener("click", () => setView(button.dataset.view)));

async function pixelsOf(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

async function readLabels() {
  const url = props.labels;
  if (!url) { labels = null; draw(); return; }
  const image = await pixelsOf(url);
  if (url !== props.labels) return; // there are newer ones
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  ink.drawImage(image, 0, 0);
  const rgba = ink.getImageData(0, 0, canvas.width, canvas.height).data;
  labels = Uint8Array.from({ length: rgba.length / 4 }, (_, at) => rgba[4 * at]);
  frame.style.setProperty("--ratio", canvas.width / canvas.height);
  hovered = -1;
  tip.hidden = true;
  draw();
}

async function show(picture, url) {
  if (!url) { picture.removeAttribute("src"); return; }
  await pixelsOf(url); // decoded: nothing flickers
  picture.src = url;
}

function showPhoto() {
  stage.toggleAttribute("data-empty", !props.photo);
  show(before, props.photo);
}

watch("photo", showPhoto);
watch("labels", readLabels);
watch("result", () => show(after, props.result || props.photo));
watch(["selected", "colours", "names"], drawSoon);
watch("view", () => props.view && setView(props.view.split(" ")[0]));
tip.hidden = true;
showPhoto();
readLabels();
show(after, props.result || props.photo);
setWipe();
