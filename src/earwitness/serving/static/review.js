// One clip after another: what was decided is on the server's disk before the next one is shown, and the next one is
// here before that. No library, nothing from elsewhere.
"use strict";

const $ = (id) => document.getElementById(id);
const audio = $("audio");
const MOST_FOUND = 50;
const UNREACHED = "The server does not answer. Is `earwitness review` still running?";
// seconds: how long the clip is, 0 where it cannot be heard. insisted: whether it was said that nobody heard it.
// left: the clip and its ticks that the page was left with. byMouse: whether a mouse was used last, and no key since.
// waiting: whether others have the last clips. frame: the playhead's next picture.
const state = { classes: [], review: "", reviewer: "", holder: "", queue: [], ticked: new Set(), added: [], active: null, busy: false, seconds: 0, insisted: false, left: null, byMouse: false, shownAt: 0, stopAt: null, waiting: false, frame: 0, paceFrom: Date.now(), decided: 0 };
const media = new Map(); // number -> promise of {sound, picture, seconds}

// --- the server ---

async function ask(path, extra = {}) {
  const body = JSON.stringify({ reviewer: state.reviewer, holder: state.holder, review: state.review, ...extra });
  let response;
  try {
    response = await fetch("/api/" + path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  } catch {
    throw new Error(`${UNREACHED} Nothing that was decided is lost.`);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `The server answered ${response.status}. Nothing that was decided is lost.`);
  return answer;
}

function fetchMedia(number) {
  if (!media.has(number)) {
    const loading = load(number);
    loading.catch(() => media.delete(number)); // so that it is tried again
    media.set(number, loading);
  }
  return media.get(number);
}

async function load(number) {
  const [picture, sound] = await Promise.all(["picture.png", "sound.wav"].map((name) => fetched(`/api/clips/${number}/${name}`)));
  const urls = [picture, sound].map((one) => URL.createObjectURL(one.blob));
  const image = new Image();
  image.src = urls[0];
  await image.decode();
  return { picture: urls[0], sound: urls[1], seconds: picture.seconds };
}

async function fetched(address) {
  let response;
  try {
    response = await fetch(address);
    if (response.ok) return { blob: await response.blob(), seconds: Number(response.headers.get("X-Seconds")) };
  } catch {
    throw new Error(UNREACHED); // the browser's own words are "Failed to fetch"
  }
  throw new Error((await response.json().catch(() => ({}))).error || "The sound cannot be fetched.");
}

function forgetMedia() {
  const wanted = new Set(state.queue.map((clip) => clip.number));
  for (const [number, loading] of media) {
    if (wanted.has(number) || media.size <= 4) continue;
    media.delete(number);
    loading.then((one) => { URL.revokeObjectURL(one.picture); URL.revokeObjectURL(one.sound); }, () => {});
  }
}

// --- one clip ---

async function receive(answer) {
  const [clip] = answer.clips;
  audio.pause();
  showProgress(answer.progress);
  const ready = clip && await hear(clip); // on a slow line the clip before it stays, with rows of its own
  state.queue = answer.clips;
  state.waiting = answer.held_elsewhere > 0 && !clip;
  if (!clip) return showFinished(answer);
  show(clip, ready, answer.undone);
  for (const clip of state.queue.slice(1)) fetchMedia(clip.number).catch(() => {});
  forgetMedia();
}

function show(clip, ready, undone) {
  const chosen = chosenBefore(clip, undone) || clip.tags.filter((tag) => tag.proposed).map((tag) => tag.label);
  state.ticked = new Set(chosen);
  state.added = chosen.filter((label) => !clip.tags.some((tag) => tag.label === label));
  state.active = mostDoubtful(clip);
  state.shownAt = performance.now();
  $("finished").hidden = true;
  $("review").hidden = false;
  $("fname").textContent = clip.fname;
  closeFound();
  $("add").value = "";
  present(clip, ready);
  if (document.activeElement !== $("fname")) $("fname").focus({ preventScroll: true });
  if ($("at-once").checked && ready.sound) play();
}

// What was ticked when a clip was last before the reviewer: it is undone, or the page was left and came back.
function chosenBefore(clip, undone) {
  const { left } = state;
  state.left = null;
  if (undone) return undone.outcome === "skipped" ? null : undone.labels;
  return left && left.number === clip.number ? left.labels : null;
}

// A clip's sound and picture; where they cannot be had, why.
async function hear(clip) {
  try {
    return { ...(await fetchMedia(clip.number)), trouble: "" };
  } catch (error) {
    const trouble = `${error.message.replace(/[^.!?]$/, "$&.")} You can try again with Play, or skip the clip.`;
    return { picture: "", sound: "", seconds: 0, trouble };
  }
}

function present(clip, ready) {
  state.seconds = ready.seconds;
  state.stopAt = null;
  state.insisted = false;
  $("about-clip").textContent = ready.sound ? `${clip.role} · ${ready.seconds.toFixed(1)} s` : clip.role;
  $("picture").classList.toggle("blank", !ready.picture);
  for (const [shown, source] of [[$("spectrogram"), ready.picture], [audio, ready.sound]]) {
    if (source) shown.src = source;
    else shown.removeAttribute("src");
  }
  drawSeconds();
  drawTags();
  drawPlayhead();
  complain(ready.trouble);
  say(clip);
}

async function hearAgain() {
  if (state.busy) return;
  setBusy(true); // the clip stays until its sound is here
  const [clip] = state.queue;
  present(clip, await hear(clip));
  setBusy(false);
  if (document.activeElement === document.body) $("fname").focus({ preventScroll: true });
  if (state.seconds) play();
}

function mostDoubtful(clip) {
  const doubts = clip.tags.filter((tag) => tag.start_seconds !== null);
  doubts.sort((a, b) => Math.abs(a.probability - 0.5) - Math.abs(b.probability - 0.5));
  return doubts.length ? doubts[0].label : null;
}

function rows() {
  const clip = state.queue[0];
  return [...clip.tags, ...state.added.map((label) => ({ label, given: false, verdict: "", probability: null, start_seconds: null }))];
}

function drawTags() {
  $("tags").replaceChildren(...rows().map((tag, index) => tagRow(tag, index)));
  markTags();
}

// Shows what is ticked and which tag is marked; rows stay, so that the focus stays in them.
function markTags() {
  const tags = rows();
  [...$("tags").children].forEach((row, index) => {
    const { label, given } = tags[index];
    const ticked = state.ticked.has(label);
    row.classList.toggle("active", label === state.active);
    row.classList.toggle("untick", !ticked);
    row.classList.toggle("remove", given && !ticked);
    row.querySelector("input").checked = ticked;
  });
  const labels = tags.filter((tag) => state.ticked.has(tag.label)).map((tag) => tag.label);
  $("accept-word").textContent = labels.length ? `Accept ${labels.length === 1 ? shownAs(labels[0]) : labels.length + " tags"}` : "Accept: none of these";
  drawEvidence();
}

function tagRow(tag, index) {
  const row = element("li", "tag");
  row.append(index < 9 ? element("kbd", "", String(index + 1)) : element("span"));
  const box = element("input");
  box.type = "checkbox";
  box.id = `tag-${index}`;
  box.setAttribute("aria-describedby", `about-${index}`);
  box.addEventListener("change", () => { toggle(tag.label); leave(); });
  const label = element("label", "", shownAs(tag.label));
  label.htmlFor = box.id;
  const pills = element("span", "pills");
  pills.id = `about-${index}`;
  if (tag.given) pills.append(element("span", "pill is-given", "given"));
  pills.append(element("span", `pill ${tag.verdict}`, tag.verdict || "yours"));
  if (tag.probability !== null) pills.append(element("span", "unseen", ` ${percent(tag.probability)}`));
  row.append(box, label, pills, likely(tag), where(tag));
  row.addEventListener("mouseenter", () => activate(tag.label));
  row.addEventListener("focusin", () => activate(tag.label));
  return row;
}

function likely(tag) {
  const cell = element("span", "likely");
  if (tag.probability === null) return cell;
  const track = element("span", "track");
  const fill = element("i");
  fill.style.width = `${100 * tag.probability}%`;
  track.append(fill);
  cell.append(track, element("b", "", percent(tag.probability)));
  cell.title = `${percent(tag.probability)} likely${tag.heard === null ? "" : `; ${percent(tag.heard)} by the sound alone`}`;
  cell.setAttribute("aria-hidden", "true");
  return cell;
}

function where(tag) {
  if (tag.start_seconds === null || !state.seconds) return element("span", "where");
  const button = element("button", "where");
  button.type = "button";
  const track = element("span", "track");
  const part = element("i");
  const end = tag.end_seconds ?? tag.start_seconds;
  part.style.left = `${100 * Math.min(1, tag.start_seconds / state.seconds)}%`;
  part.style.width = `${100 * Math.max(0, end - tag.start_seconds) / state.seconds}%`;
  track.append(part);
  button.append(track, element("span", "", `▸ ${tag.start_seconds.toFixed(1)} s`));
  button.setAttribute("aria-label", `Hear the evidence for ${shownAs(tag.label)}, from ${tag.start_seconds.toFixed(1)} seconds`);
  button.addEventListener("click", () => { playEvidence(tag.label); leave(); });
  return button;
}

function activate(label) {
  if (state.active === label) return;
  state.active = label;
  markTags();
}

function toggle(label) {
  if (!state.ticked.delete(label)) state.ticked.add(label);
  state.active = label;
  markTags();
}

// A number ticks a tag whose box has not the focus, of which a screen reader would say nothing.
function toggleByNumber(label) {
  toggle(label);
  $("spoken").textContent = `${shownAs(label)} ${state.ticked.has(label) ? "ticked" : "not ticked"}`;
}

function drawEvidence() {
  const tag = rows().find((one) => one.label === state.active);
  const box = $("evidence");
  box.hidden = !tag || tag.start_seconds === null || !state.seconds;
  if (box.hidden) return;
  const left = Math.min(1, tag.start_seconds / state.seconds);
  box.style.left = `${100 * left}%`;
  box.style.width = `${100 * Math.min(1 - left, Math.max(0, tag.end_seconds - tag.start_seconds) / state.seconds)}%`;
  box.classList.toggle("right", left > 0.8);
  box.firstElementChild.textContent = shownAs(tag.label);
}

function drawSeconds() {
  if (!state.seconds) return $("seconds").replaceChildren();
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300].find((one) => state.seconds / one <= 10) || 600;
  const marks = [];
  for (let at = 0; at <= state.seconds - 0.7 * step; at += step) marks.push(at);
  const spans = [...marks, state.seconds].map((at, index) => {
    const span = element("span", "", index === marks.length ? `${at.toFixed(1)} s` : String(Number(at.toFixed(1))));
    span.style.left = `${(100 * at) / state.seconds}%`;
    return span;
  });
  $("seconds").replaceChildren(...spans);
}

function drawBands() { // the mel scale of the picture: 0 to 16 kHz
  const mel = (hz) => (hz < 1000 ? (3 * hz) / 200 : 15 + (27 * Math.log(hz / 1000)) / Math.log(6.4));
  $("bands").replaceChildren(...[500, 1000, 2000, 4000, 8000].map((hz) => {
    const span = element("span", "", hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`);
    span.style.bottom = `${(100 * mel(hz)) / mel(16000)}%`;
    return span;
  }));
}

function say(clip) {
  const word = (tag) => `${shownAs(tag.label)}, ${tag.given ? "given, " : ""}${tag.verdict}, ${percent(tag.probability)}`;
  const length = state.seconds ? `of ${state.seconds.toFixed(1)} seconds` : "that cannot be heard";
  $("spoken").textContent = `${clip.role} clip ${length}. ${clip.tags.map(word).join(". ")}`;
}

// --- deciding ---

async function send(path, extra) {
  if (state.busy) return;
  setBusy(true);
  const began = performance.now();
  try {
    const answer = await ask(path, extra);
    if (path === "decide") state.decided += 1;
    await receive(answer);
    if (path === "decide") await measure(began);
  } catch (error) {
    complain(error.message); // the clip and what is ticked stay as they are
  } finally {
    setBusy(false);
  }
}

function setBusy(busy) {
  state.busy = busy;
  $("review").setAttribute("aria-busy", String(busy));
}

async function measure(began) {
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  performance.measure("decision", { start: began, end: performance.now() });
}

function decide(labels) {
  if (!state.queue.length || state.busy) return;
  if (labels && !state.seconds && !state.insisted) {
    state.insisted = true;
    return complain("You have not heard this clip. Do that again to decide on it all the same; or try again with Play, or skip it.");
  }
  send("decide", { number: state.queue[0].number, labels, seconds: (performance.now() - state.shownAt) / 1000 });
}

const actions = {
  accept: () => decide(rows().map((tag) => tag.label).filter((label) => state.ticked.has(label))),
  given: () => decide(state.queue[0].tags.filter((tag) => tag.given).map((tag) => tag.label)),
  nothing: () => decide([]),
  skip: () => decide(null),
  undo: () => send("undo"),
  again: () => send("skipped"),
  play: () => (audio.paused ? play() : audio.pause()),
  replay: () => { audio.currentTime = 0; play(); },
  listen: () => playEvidence(state.active),
  add: () => $("add").focus(),
  name: () => askName(),
};

// --- playing ---

function play(until = null) {
  if (!state.seconds) return hearAgain();
  state.stopAt = until;
  audio.play().catch(() => {}); // until a key or button was pressed, browsers play nothing
}

function playEvidence(label) {
  const tag = rows().find((one) => one.label === label);
  if (!tag || tag.start_seconds === null || !state.seconds) return actions.replay();
  activate(label);
  audio.currentTime = Math.max(0, tag.start_seconds - 0.2);
  play((tag.end_seconds ?? tag.start_seconds) + 0.2);
}

function drawPlayhead() {
  const share = state.seconds ? Math.min(1, audio.currentTime / state.seconds) : 0;
  $("playhead").style.left = `${100 * share}%`;
  if (state.stopAt !== null && audio.currentTime >= state.stopAt) { audio.pause(); state.stopAt = null; }
  cancelAnimationFrame(state.frame);
  if (!audio.paused) state.frame = requestAnimationFrame(drawPlayhead);
}

// --- adding a tag ---

// Without accents: a keyboard may have none, and the same accent may be encoded in two ways.
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("_", " ");

function matches(text) {
  const wanted = plain(text.trim());
  const shown = new Set(rows().map((tag) => tag.label));
  const rank = (name) => {
    const known = plain(name);
    if (known.startsWith(wanted)) return 0;
    if (known.includes(" " + wanted)) return 1;
    return known.includes(wanted) ? 2 : 3;
  };
  const found = state.classes.filter((name) => !shown.has(name)).map((name) => ({ name, rank: rank(name) }));
  return found.filter((one) => one.rank < 3).sort((a, b) => a.rank - b.rank || a.name.localeCompare(b.name)).map((one) => one.name);
}

function showFound() {
  const found = matches($("add").value);
  const names = found.slice(0, MOST_FOUND);
  const options = names.map((name, index) => {
    const option = element("li", "", shownAs(name));
    option.id = `found-${index}`;
    option.dataset.label = name;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", String(index === 0));
    option.addEventListener("mousedown", (event) => { event.preventDefault(); addTag(name); });
    return option;
  });
  if (!options.length) options.push(remark("no such tag"));
  if (found.length > names.length) options.push(remark(`${found.length - names.length} more: type on`));
  $("found").replaceChildren(...options);
  $("found").hidden = false;
  $("add").setAttribute("aria-expanded", "true");
  pointAt(names.length ? 0 : -1);
}

// A line in the list that cannot be chosen, and is said at once: the keys do not come to it.
function remark(text) {
  const line = element("li", "dim", text);
  line.setAttribute("role", "option");
  line.setAttribute("aria-disabled", "true");
  $("spoken").textContent = text;
  return line;
}

function choices() { return [...$("found").querySelectorAll("[role=option]:not([aria-disabled])")]; }

function pointAt(index) {
  const options = choices();
  options.forEach((option, place) => option.setAttribute("aria-selected", String(place === index)));
  if (options[index]) { options[index].scrollIntoView({ block: "nearest" }); $("add").setAttribute("aria-activedescendant", options[index].id); }
  else $("add").removeAttribute("aria-activedescendant");
}

function closeFound() {
  $("found").hidden = true;
  $("add").setAttribute("aria-expanded", "false");
  $("add").removeAttribute("aria-activedescendant");
}

function addTag(label) {
  if (!rows().some((tag) => tag.label === label)) state.added.push(label);
  state.ticked.add(label);
  state.active = label;
  $("add").value = "";
  closeFound();
  drawTags();
  $("spoken").textContent = `${shownAs(label)} added`;
  $("fname").focus({ preventScroll: true });
}

function typeAhead(event) {
  const options = choices();
  const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  if (event.key === "Escape") { closeFound(); $("add").value = ""; $("fname").focus({ preventScroll: true }); }
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if ($("found").hidden) return showFound();
    if (options.length) pointAt((at + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
  } else if (event.key === "Enter" && !$("found").hidden && options[at]) addTag(options[at].dataset.label);
  else return;
  event.preventDefault();
}

// --- keys ---

const keys = { enter: "accept", g: "given", n: "nothing", s: "skip", u: "undo", " ": "play", r: "replay", e: "listen", a: "add", "/": "add" };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("ask").open) return;
  const target = event.target;
  if (target.matches("input[type=text]")) return;
  const finished = $("review").hidden;
  if (!$("keys").checked || (finished && event.key.toLowerCase() !== "u")) return;
  // A button or a box that has the focus keeps the keys that are its own.
  if (event.key === " " && target.closest("button, a, input")) return;
  if (event.key === "Enter" && target.closest("button, a")) return;
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
  if (digit) {
    const tag = rows()[Number(digit[1]) - 1];
    if (tag) event.shiftKey ? playEvidence(tag.label) : toggleByNumber(tag.label);
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    if (state.seconds) audio.currentTime = Math.max(0, audio.currentTime + (event.key === "ArrowRight" ? 0.5 : -0.5));
    drawPlayhead();
  } else if (keys[event.key.toLowerCase()]) {
    if (!event.repeat) actions[keys[event.key.toLowerCase()]]();
  } else return;
  event.preventDefault();
}

// After a click of the mouse the focus goes back, so that Space plays and does not press the button or box again.
function leave() { if (state.byMouse) $("fname").focus({ preventScroll: true }); }

// --- around it ---

function showProgress(progress) {
  const minutes = (Date.now() - state.paceFrom) / 60000;
  const pace = state.decided >= 5 ? ` · ${(state.decided / minutes).toFixed(1)} a minute` : "";
  $("progress").max = progress.clips;
  $("progress").value = progress.settled;
  $("progress-text").textContent = `${progress.settled} of ${progress.clips} settled${pace}`;
  state.progress = progress;
}

function showFinished(answer) {
  const waiting = answer.held_elsewhere;
  const skipped = answer.progress.own_skipped;
  const heading = waiting ? "Nothing free at the moment" : "All done";
  const news = $("finished").hidden || $("finished-heading").textContent !== heading;
  complain("");
  $("review").hidden = true;
  $("finished").hidden = false;
  $("finished-heading").textContent = heading;
  const said = `${answer.progress.settled} of ${answer.progress.clips} clips are settled.`;
  $("finished-text").textContent = waiting ? `${said} Another reviewer has the last ${waiting}; what they leave comes here.` : said;
  $("again").hidden = !skipped;
  $("again").textContent = skipped === 1 ? "Hear the clip you skipped" : `Hear the ${skipped} clips you skipped`;
  $("undo-last").hidden = !answer.progress.own;
  if (news) $("finished-heading").focus();
}

function complain(text) { $("error").hidden = !text; $("error").textContent = text; }

function percent(share) { return `${Math.round(100 * share)} %`; }

function element(name, classes = "", text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}

function shownAs(label) { return label.replaceAll("_", " "); }

function kept(key, value) { // storage may be forbidden, and then naming it is as well
  try { if (value !== undefined) localStorage.setItem(key, value); return localStorage.getItem(key); } catch { return value ?? null; }
}

// Of its own for each time that a page is loaded: a tab that is duplicated has all that was stored by the first.
function newHolder() { return String(Math.random()).slice(2) + Date.now(); }

function askName() {
  $("ask-name").value = state.reviewer;
  $("ask").returnValue = "";
  $("ask").showModal();
}

async function begin(name) {
  state.reviewer = name;
  kept("earwitness.reviewer", name);
  $("name").textContent = name;
  await send("next");
}

// The clips are let go of as the page is left: they may be another's when it comes back as it was.
function goAway() {
  const asking = JSON.stringify({ reviewer: state.reviewer, holder: state.holder, review: state.review });
  if (state.reviewer) navigator.sendBeacon("/api/release", new Blob([asking], { type: "application/json" }));
  state.left = state.queue.length ? { number: state.queue[0].number, labels: [...state.ticked] } : null;
}

function comeBack(event) {
  if (!event.persisted || !state.reviewer) return;
  state.holder = newHolder(); // letting go of the old one's clips may still be on its way
  takeAgain();
}

function takeAgain() { // after what was under way as the page was left
  if (state.busy) setTimeout(takeAgain, 200);
  else send("next");
}

function attachKeys() {
  document.addEventListener("pointerdown", (event) => { state.byMouse = event.pointerType === "mouse"; }, true);
  document.addEventListener("keydown", () => { state.byMouse = false; }, true);
  document.addEventListener("keydown", onKey);
  for (const id of ["at-once", "keys"]) {
    $(id).checked = kept(`earwitness.${id}`) !== "no";
    $(id).addEventListener("change", () => { kept(`earwitness.${id}`, $(id).checked ? "yes" : "no"); leave(); });
  }
}

function attachButtons() {
  for (const id of ["accept", "given", "nothing", "skip", "undo", "again", "play", "replay", "listen", "name"]) {
    $(id).addEventListener("click", () => { actions[id](); if (id !== "name") leave(); });
  }
  $("undo-last").addEventListener("click", actions.undo);
  $("picture").addEventListener("click", (event) => {
    const box = $("picture").getBoundingClientRect();
    audio.currentTime = (state.seconds * (event.clientX - box.left)) / box.width;
    play();
  });
  $("ask").addEventListener("close", () => {
    const name = $("ask").returnValue && $("ask-name").value.trim(); // Escape returns nothing
    if (name) begin(name);
    else if (!state.reviewer) askName();
  });
}

function attachAdding() {
  $("add").addEventListener("input", showFound);
  $("add").addEventListener("focus", showFound);
  $("add").addEventListener("blur", closeFound);
  $("add").addEventListener("keydown", typeAhead);
}

async function start() {
  drawBands();
  state.holder = newHolder();
  attachKeys();
  attachButtons();
  attachAdding();
  for (const name of ["play", "pause", "ended", "seeked"]) {
    audio.addEventListener(name, () => { $("play-word").textContent = audio.paused ? "Play" : "Pause"; drawPlayhead(); });
  }
  setInterval(() => { if (state.reviewer) ask("renew").catch(() => {}); }, 60000);
  setInterval(() => { if (state.waiting) send("next"); }, 5000);
  window.addEventListener("pagehide", goAway);
  window.addEventListener("pageshow", comeBack);
  try {
    const about = await (await fetch("/api/about")).json();
    state.classes = about.classes;
    state.review = about.review;
    const asked = (new URLSearchParams(location.search).get("reviewer") || "").trim();
    const here = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
    const name = asked || kept("earwitness.reviewer") || (here ? about.reviewer : "");
    if (name) await begin(name); else askName();
  } catch { complain(UNREACHED); }
}

start();
