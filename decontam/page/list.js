"use strict";
// The list of items: filters, search, order, and a window of rows over thousands of items.

const SORTS = { verdict: "verdict", item: "item", score: "score", documents: "documents", copies: "copies",
  exposure: "exposure" };
const SPARE = 8;

const state = { q: "", deep: false, benchmark: "", split: "", verdict: "found", method: "", both: "", only: "",
  sort: "", up: false, item: "" };

const list = {
  items: null, // columns of all items
  shown: [], // numbers of the items that pass the filters, in order
  current: 0, // the row that the keyboard is on
  rowHeight: 36,
  texts: null, // what a quick search reads, in lower case
  searching: 0, // rises with each search, so that an older one stops
  busy: false, // a search in all text goes on
  printing: false,
};

function byId(id) {
  return document.getElementById(id);
}

// The columns that verdict, score, documents and copies are read from.
function columns() {
  return state.method ? list.items.methods[state.method] : list.items;
}

function verdictOf(number) {
  return +columns().verdict[number];
}

function idOf(number) {
  return list.items.item[number];
}

function passes(number) {
  const [benchmark, split] = summary.groups[list.items.group[number]];
  if (state.benchmark && benchmark !== state.benchmark) return false;
  if (state.split && split !== state.split) return false;
  const verdict = verdictOf(number);
  if (state.verdict === "found") {
    if (verdict === 0) return false;
  } else if (state.verdict !== "any" && VERDICTS[verdict] !== state.verdict) return false;
  const pair = (state.both || state.only).split(",");
  if (pair.length === 2) {
    const [one, other] = pair.map((name) => list.items.methods[name].verdict[number] === "2");
    if (!one || other !== Boolean(state.both)) return false;
  }
  return true;
}

function quickText(number) {
  if (!list.texts) {
    list.texts = list.items.item.map((id, i) => (id + "\n" + list.items.question[i]).toLowerCase());
  }
  return list.texts[number];
}

async function deepText(number) {
  const block = await blockOf(Math.floor(number / summary.block)), k = number % summary.block;
  const matches = block.matches[k].flatMap((m) =>
    [m.before + m.text + m.after, m.url, m.record_file, m.source, m.document]);
  const parts = [...(block.choices[k] || []), block.answer[k], block.passage[k]];
  return [quickText(number), ...parts, ...matches].join("\n").toLowerCase();
}

// Filters, searches and orders anew; a search in all text shows what it has found as it goes on.
async function refresh() {
  const mine = ++list.searching;
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const candidates = [];
  for (let i = 0; i < list.items.item.length; i++) if (passes(i)) candidates.push(i);
  const quick = words.length ? candidates.filter((i) => words.every((w) => quickText(i).includes(w))) : candidates;
  show(quick);
  list.busy = words.length > 0 && state.deep;
  if (!list.busy) return;
  const found = new Set(quick);
  let told = performance.now();
  for (const number of candidates) {
    if (!found.has(number)) {
      const text = await deepText(number);
      if (mine !== list.searching) return;
      if (words.every((w) => text.includes(w))) found.add(number);
    }
    if (performance.now() - told > 100) {
      show([...found], `searching all text, ${count(number)} items read …`);
      await new Promise((resume) => setTimeout(resume));
      if (mine !== list.searching) return;
      told = performance.now();
    }
  }
  show([...found]);
  list.busy = false;
}

function compare(name) {
  if (name === "item") return new Intl.Collator("en", { numeric: true });
  const column = columns()[name];
  if (name === "verdict") return { compare: (a, b) => +column[a] - +column[b] };
  const source = column || list.items[name];
  return { compare: (a, b) => (source[a] ?? -1) - (source[b] ?? -1) };
}

function ordered(numbers) {
  numbers.sort((a, b) => a - b);
  if (!state.sort) return numbers;
  const order = compare(state.sort), sign = state.up ? 1 : -1;
  if (state.sort === "item") return numbers.sort((a, b) => sign * order.compare(idOf(a), idOf(b)));
  return numbers.sort((a, b) => sign * order.compare(a, b) || a - b);
}

function show(numbers, told) {
  const kept = list.shown[list.current];
  list.shown = ordered(numbers);
  list.current = Math.max(0, list.shown.indexOf(kept));
  const counts = `${count(numbers.length)} of ${count(list.items.item.length)} items`;
  byId("shown").textContent = told ? `${counts}; ${told}` : counts;
  byId("save-shown").textContent = `Save these ${count(numbers.length)} ids`;
  byId("save-shown").disabled = !numbers.length;
  byId("none").hidden = numbers.length > 0;
  byId("rows").hidden = !numbers.length;
  byId("window").style.height = list.shown.length * list.rowHeight + "px";
  for (const button of document.querySelectorAll("#heads button")) {
    const on = button.dataset.sort === state.sort;
    button.setAttribute("aria-pressed", on);
    button.dataset.way = on ? (state.up ? "up" : "down") : "";
  }
  draw();
}

function oneLine(text) {
  return text.slice(0, 300).replace(/\s+/g, " ");
}

function rowOf(place) {
  const number = list.shown[place], from = columns(), verdict = VERDICTS[verdictOf(number)];
  const exposure = state.method && state.method !== summary.default ? null : list.items.exposure[number];
  return make("div", { role: "option", id: "row-" + place, class: "row", "aria-selected": idOf(number) === state.item,
    "aria-posinset": place + 1, "aria-setsize": list.shown.length, "data-place": place },
    make("span", { class: "verdict " + verdict }, verdict),
    make("span", { class: "id" }, visible(idOf(number))),
    make("span", { class: "question", dir: "auto" }, visible(oneLine(list.items.question[number]))),
    make("span", { class: "n" }, decimal(from.score[number], 3)),
    make("span", { class: "n documents" }, count(from.documents[number])),
    make("span", { class: "n" }, count(from.copies[number])),
    make("span", { class: "n exposure" }, decimal(exposure, 1)));
}

// Draws the rows that are in sight, and a few around them; for a print the first ones.
function draw() {
  const box = byId("rows"), height = list.rowHeight;
  let first = 0, end = summary.print_rows;
  if (!list.printing) {
    first = Math.max(0, Math.floor(box.scrollTop / height) - SPARE);
    end = Math.ceil((box.scrollTop + box.clientHeight) / height) + SPARE;
  }
  end = Math.min(end, list.shown.length);
  const rows = [];
  for (let place = first; place < end; place++) {
    const row = rowOf(place);
    row.style.top = place * list.rowHeight + "px";
    row.classList.toggle("current", place === list.current);
    rows.push(row);
  }
  byId("window").replaceChildren(...rows);
  if (first <= list.current && list.current < end) box.setAttribute("aria-activedescendant", "row-" + list.current);
  else box.removeAttribute("aria-activedescendant");
}

function moveTo(place) {
  if (!list.shown.length) return;
  list.current = Math.min(Math.max(place, 0), list.shown.length - 1);
  const box = byId("rows"), top = list.current * list.rowHeight;
  if (top < box.scrollTop) box.scrollTop = top;
  const below = top + list.rowHeight - box.clientHeight;
  if (below > box.scrollTop) box.scrollTop = below;
  draw();
}

function startList() {
  const box = byId("rows");
  let waiting = false;
  box.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  });
  box.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    list.current = +row.dataset.place;
    openItem(idOf(list.shown[list.current]));
  });
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(box.clientHeight / list.rowHeight) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in steps) moveTo(list.current + steps[event.key]);
    else if (["Enter", " "].includes(event.key) && list.shown.length) openItem(idOf(list.shown[list.current]));
    else return;
    event.preventDefault();
  });
  const measure = () => {
    const style = getComputedStyle(box);
    list.rowHeight = parseFloat(style.getPropertyValue("--row")) * parseFloat(style.fontSize);
    byId("window").style.height = list.shown.length * list.rowHeight + "px";
    draw();
  };
  new ResizeObserver(measure).observe(box);
  for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      list.printing = on;
      draw();
    });
  }
  measure();
}
