// The labelling page. What a key press answers is kept in `unsent` until the program says that it is on its disk, and
// sent again, with the same id, for as long as that takes. Names from files and people are only ever set as text.
"use strict";

const token = document.querySelector("meta[name=fledge-token]").content;
const element = (id) => document.getElementById(id);
const storage = "fledge-unsent";

let view = null;
let current = null;
let unsent = JSON.parse(sessionStorage.getItem(storage) || "[]");
let isSending = false;
let mustChooseAnew = false;
let retry = null;

function make(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function newID() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What the program says

async function ask(path, body) {
  const request = body === undefined ? {} : {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", "X-Fledge-Token": token },
  };
  const response = await fetch(path, { ...request, cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (response.ok) return response.json();
  const error = new Error((await response.text()).trim());
  error.status = response.status;
  throw error;
}

function show(trouble) {
  element("trouble").textContent = trouble || "";
  element("trouble").hidden = !trouble;
}

function explain(error) {
  const waiting = unsent.length === 1 ? "1 answer is" : `${unsent.length} answers are`;
  const kept = unsent.length ? ` ${waiting} not saved yet; this page keeps them and tries again.` : "";
  if (error.status === 403) return `The program was started anew: open the link that it printed.${kept}`;
  if (error.status) return `${error.message}${kept}`;
  return `The program does not answer.${kept}`;
}

function keep() {
  sessionStorage.setItem(storage, JSON.stringify(unsent));
}

/** Sends what is not saved yet, one after the other, in its order. */
async function send() {
  if (isSending) return;
  isSending = true;
  clearTimeout(retry);
  while (unsent.length) {
    try {
      const state = await ask("/answers", unsent[0]);
      const sent = unsent.shift();
      keep();
      show();
      if (sent.undo) mustChooseAnew = true;
      element("status").textContent = sent.undo
        ? "took back the last answer"
        : `saved: ${sent.name} ${sent.skip ? "skipped" : `is ${sent.label}`}`;
      take(state);
    } catch (error) {
      // The program understood and refused: it would refuse again.
      if (error.status === 409 || error.status === 400) {
        unsent.shift();
        keep();
        element("status").textContent = error.message;
        mustChooseAnew = true;
        continue;
      }
      show(explain(error));
      draw();
      retry = setTimeout(send, 1500);
      break;
    }
  }
  isSending = false;
}

async function refresh() {
  if (!unsent.length) {
    try {
      take(await ask("/state"));
      show();
    } catch (error) {
      show(explain(error));
    }
  }
  setTimeout(refresh, 2000);
}

/** A new state: the sample on the screen stays until it is answered. */
function take(state) {
  view = state;
  if (mustChooseAnew && !unsent.length) {
    current = null;
    mustChooseAnew = false;
  }
  draw();
}

// What the person says

function answer(choice) {
  if (choice.undo) {
    if (!view.last && !unsent.length) return;
    unsent.push({ id: newID(), undo: true });
  } else {
    if (!current || (choice.label !== undefined && !isSeen(current))) return;
    unsent.push({ id: newID(), sample: current.sample, name: current.name, ...choice });
    current = null;
  }
  keep();
  draw();
  send();
}

function press(button, choice) {
  button.classList.add("pressed");
  setTimeout(() => button.classList.remove("pressed"), 120);
  answer(choice);
}

document.addEventListener("keydown", (event) => {
  if (!view || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.tagName === "INPUT") {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const button = document.querySelector(`button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button && !button.disabled) {
    event.preventDefault();
    button.click();
  }
});

element("undo").dataset.key = "u";
element("skip").dataset.key = "s";
element("undo").addEventListener("click", () => press(element("undo"), { undo: true }));
element("skip").addEventListener("click", () => press(element("skip"), { skip: true }));
element("adding").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = element("new").value.trim();
  if (!name) return;
  try {
    take(await ask("/classes", { name }));
    element("new").value = "";
    element("new").blur();
    element("status").textContent = `added the class ${name}`;
  } catch (error) {
    element("status").textContent = error.status ? error.message : explain(error);
  }
});

// What is on the screen

/** The large pictures of this question and the next ones, so that the next is there when the key is pressed. */
const pictures = new Map();

function preload(samples) {
  const wanted = new Set(samples.map((sample) => sample.sample));
  for (const [number, image] of pictures) {
    if (!wanted.has(number) || (image.complete && !image.naturalWidth)) pictures.delete(number);
  }
  for (const sample of samples) {
    if (sample.values || pictures.has(sample.sample)) continue;
    const image = picture(sample, "picture");
    image.addEventListener("load", draw);
    pictures.set(sample.sample, image);
  }
}

/** Nobody answers for a picture that is not there yet, or not any more. */
function isSeen(sample) {
  return Boolean(sample.values || pictures.get(sample.sample)?.naturalWidth);
}

function picture(sample, kind) {
  const image = make("img", { alt: kind === "picture" ? `sample ${sample.name}` : "", draggable: false });
  image.addEventListener("load", () => {
    const isTiny = Math.max(image.naturalWidth, image.naturalHeight) < 112;
    image.classList.toggle("tiny", isTiny);
    image.style.setProperty("--shape", `${image.naturalWidth} / ${image.naturalHeight}`);
  });
  image.src = `/${kind}/${sample.sample}`;
  return image;
}

function row(values) {
  return make("dl", { className: "row" },
    ...values.map(([name, value]) => make("div", {}, make("dt", { textContent: name, title: name }),
      make("dd", { textContent: value }))));
}

/** Puts children in the place of others only where what they show has changed: pictures are not loaded again. */
function fill(parent, key, children) {
  if (parent.dataset.shows === key) return;
  parent.dataset.shows = key;
  parent.replaceChildren(...children());
}

function draw() {
  const waiting = new Set(unsent.map((answer) => answer.sample));
  const next = view.next.filter((sample) => !waiting.has(sample.sample));
  if (!current && !mustChooseAnew) current = next[0] || null;
  const others = next.filter((sample) => !current || sample.sample !== current.sample);
  const done = view.answered + view.skipped;

  document.title = `Fledge: label ${view.data}`;
  element("data").textContent = view.data;
  element("progress").max = Math.max(1, done + view.left);
  element("progress").value = done;
  element("count").textContent = `${view.answered.toLocaleString("en")} labelled, `
    + (view.skipped ? `${view.skipped.toLocaleString("en")} skipped, ` : "")
    + `${view.left.toLocaleString("en")} to go`
    + (view.known ? `, ${view.known.toLocaleString("en")} known before` : "");

  const isOver = view.left === 0 && !unsent.length;
  preload([...(current ? [current] : []), ...others.slice(0, 3)]);
  const isShown = current && isSeen(current);
  fill(element("stage"), `${current?.sample} ${isShown} ${isOver}`, () => {
    if (isShown) return [current.values ? row(current.values) : pictures.get(current.sample)];
    const why = current ? "The picture is not there yet." : isOver ? "Every sample has an answer." : "Saving …";
    return [make("p", { textContent: why })];
  });
  element("name").textContent = current ? current.name : "";

  fill(element("choices"), JSON.stringify(view.classes.map((one) => [one.name, one.key])), () =>
    view.classes.map((one) => {
      const button = make("button", { type: "button", title: one.name },
        ...(one.key ? [make("kbd", { textContent: one.key })] : []), make("span", { textContent: one.name }));
      if (one.key) {
        button.dataset.key = one.key;
        button.setAttribute("aria-keyshortcuts", one.key);
      }
      button.addEventListener("click", () => press(button, { label: one.name }));
      return button;
    }));
  for (const button of element("choices").children) button.disabled = !isShown;
  element("skip").disabled = !current;
  element("undo").disabled = !view.last && !unsent.length;
  element("undo").title = view.last
    ? `take back: ${view.last.name} ${view.last.label ? `is ${view.last.label}` : "skipped"}` : "";

  fill(element("strip"), others.slice(0, 8).map((sample) => sample.sample).join(" "), () =>
    others.slice(0, 8).map((sample) => sample.values
      ? make("span", { textContent: sample.name }) : picture(sample, "thumbnail")));

  const most = Math.max(1, ...view.classes.map((one) => one.count));
  fill(element("classes").tBodies[0], JSON.stringify(view.classes), () => view.classes.map((one) => {
    const bar = make("div", { className: "bar" });
    bar.style.width = `${(100 * one.count) / most}%`;
    return make("tr", { className: one.count ? "" : "none" }, make("td", { textContent: one.name, title: one.name }),
      make("td", {}, bar), make("td", { textContent: one.count.toLocaleString("en") }));
  }));

  const percent = (share) => `${Math.round(share * 100)} %`;
  element("numbers").hidden = view.sure == null;
  if (view.sure != null) {
    element("sure").textContent = percent(view.sure);
    element("agreement").textContent = view.agreement == null ? "–" : percent(view.agreement);
  }
  element("model").textContent = view.model;
}

refresh().then(send);
