"use strict";
// The page's address keeps its state: #benchmark=…&verdict=…&q=…&item=…

const summary = embedded("summary");
const KEYS = ["q", "benchmark", "split", "verdict", "method", "both", "only", "sort", "item"];
const ABSENT = { verdict: "found" };

function address(changes) {
  const wanted = { ...state, ...changes }, out = new URLSearchParams();
  for (const key of KEYS) if (wanted[key] && wanted[key] !== ABSENT[key]) out.set(key, wanted[key]);
  if (wanted.deep) out.set("in", "all");
  if (wanted.sort && wanted.up) out.set("order", "up");
  return "#" + out.toString().replace(/%2F/g, "/").replace(/%2C/g, ",");
}

// Goes to a state; filters replace the address, an opened item is a step in the history.
function go(changes) {
  const next = address(changes);
  if (next === address({}) && location.hash.length > 1) return;
  ours = true;
  if (changes.item) location.hash = next;
  else location.replace(next);
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const key of KEYS) state[key] = given.get(key) ?? ABSENT[key] ?? "";
  state.deep = given.get("in") === "all";
  state.up = given.get("order") === "up";
  const known = (name) => summary.methods.includes(name);
  if (!known(state.method)) state.method = "";
  if (!(state.sort in SORTS)) state.sort = "";
  if (!["found", "any", ...VERDICTS].includes(state.verdict)) state.verdict = "found";
  for (const key of ["both", "only"]) {
    const pair = state[key].split(",");
    if (pair.length !== 2 || !pair.every(known)) state[key] = "";
  }
}

function fillForm() {
  if (document.activeElement !== byId("q")) byId("q").value = state.q;
  byId("deep").checked = state.deep;
  byId("group").value = state.benchmark ? JSON.stringify([state.benchmark, state.split].filter(Boolean)) : "";
  byId("verdict").value = state.verdict;
  byId("method").value = state.method;
  const pair = (state.both || state.only).split(",");
  byId("pair").hidden = pair.length !== 2;
  byId("pair-text").textContent = `dirty by ${pair.join(state.both ? " and " : ", not by ")}`;
}

let filters = "";
let ours = false; // the address is changed by the list's own controls
let opened = "";

async function follow() {
  if (location.hash && !location.hash.includes("=")) return; // a heading of the page
  readAddress();
  fillForm();
  const wanted = address({ item: "" });
  if (wanted !== filters) {
    filters = wanted;
    byId("rows").scrollTop = 0;
    const led = !ours && location.hash && !state.item;
    refresh();
    if (led) byId("items-title").scrollIntoView({ block: "start" });
  }
  ours = false;
  if (state.item === opened) return;
  opened = state.item;
  const place = list.shown.indexOf(list.numbers.get(opened));
  if (place >= 0) moveTo(place);
  else draw();
  await drawItem(opened, 0);
  const title = byId("item-title");
  if (title && state.item === opened) {
    byId("detail").scrollIntoView({ block: "start" });
    title.focus({ preventScroll: true });
  }
}

function openItem(id) {
  go({ item: id });
}

function closeItem() {
  go({ item: "" });
  byId("rows").focus();
}

function stepTo(place) {
  if (place >= 0 && place < list.shown.length) openItem(idOf(list.shown[place]));
}

function startForm() {
  const groups = byId("group"), benchmarks = new Map();
  for (const [benchmark, split] of summary.groups) {
    benchmarks.set(benchmark, [...(benchmarks.get(benchmark) || []), split]);
  }
  for (const [benchmark, splits] of benchmarks) {
    groups.append(make("option", { value: JSON.stringify([benchmark]) }, visible(benchmark)));
    if (splits.length > 1) for (const split of splits) {
      groups.append(make("option", { value: JSON.stringify([benchmark, split]) }, visible(`${benchmark} / ${split}`)));
    }
  }
  for (const name of summary.methods) byId("method").append(make("option", { value: name }, name));
  let typing = 0;
  byId("q").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => go({ q: byId("q").value.trim() }), 120);
  });
  byId("deep").addEventListener("change", () => go({ deep: byId("deep").checked }));
  groups.addEventListener("change", () => {
    const [benchmark = "", split = ""] = groups.value ? JSON.parse(groups.value) : [];
    go({ benchmark, split });
  });
  byId("verdict").addEventListener("change", () => go({ verdict: byId("verdict").value }));
  byId("method").addEventListener("change", () => go({ method: byId("method").value }));
  byId("no-pair").addEventListener("click", () => go({ both: "", only: "", verdict: "found" }));
  byId("reset").addEventListener("click", () => {
    byId("q").value = "";
    ours = true;
    location.replace("#" + (state.item ? "item=" + encodeURIComponent(state.item) : ""));
  });
  byId("find").addEventListener("submit", (event) => event.preventDefault());
  byId("save-shown").addEventListener("click", () => save("items.txt", list.shown.map(idOf)));
  for (const button of document.querySelectorAll("#heads button")) {
    button.addEventListener("click", () => {
      const name = button.dataset.sort;
      if (state.sort !== name) go({ sort: name, up: name === "item" });
      else if (state.up === (name === "item")) go({ up: !state.up });
      else go({ sort: "", up: false });
    });
  }
  for (const button of document.querySelectorAll("button[data-save]")) {
    const name = button.dataset.save;
    button.addEventListener("click", async () => save(name + ".txt", await unpacked(name)));
  }
}

function startKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && state.item) return closeItem();
    if (event.target.closest("input, select, textarea")) return undefined;
    const place = list.shown.indexOf(list.numbers.get(state.item));
    if (event.key === "/") byId("q").focus();
    else if (event.key === "j") stepTo(state.item ? place + 1 : list.current);
    else if (event.key === "k" && place > 0) stepTo(place - 1);
    else return undefined;
    event.preventDefault();
    return undefined;
  });
}

// Tables of class "sortable": a press on a head orders the rows by it.
function startTables() {
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    const value = (row, i) => row.cells[i].dataset.v ?? row.cells[i].textContent;
    heads.forEach((head, i) => {
      const button = make("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numeric = head.classList.contains("n"), was = head.getAttribute("aria-sort");
        const up = was ? was === "descending" : !numeric;
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const order = (a, b) => (numeric ? value(a, i) - value(b, i) : value(a, i).localeCompare(value(b, i)));
        body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(a, b)));
      });
    });
  }
}

async function start() {
  startTables();
  startForm();
  list.items = await unpacked("items");
  list.numbers = new Map(list.items.item.map((id, i) => [id, i]));
  byId("browser").classList.toggle("no-exposure", list.items.exposure.every((value) => value === null));
  byId("browser").hidden = false;
  startList();
  startKeys();
  addEventListener("hashchange", follow);
  await follow();
  document.documentElement.dataset.ready = Math.round(performance.now());
}

start().catch((error) => {
  byId("failed").hidden = false;
  byId("failed").textContent = `The list of items can't be shown: ${error.message}`;
  throw error;
});
