"use strict";
// One item beside the training text that it was found in.

const LONG = 20000; // UTF-16 units of a text that are drawn at once
const BEFORE_MARK = 2000;

const NO_WORD = /^[^\p{L}\p{N}]{0,3}$/u;

// Text with `spans` ([start, end]) marked, over the signs between marked words too; of a long text the part around its
// first mark.
function marked(text, spans, all) {
  const merged = [];
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = merged[merged.length - 1];
    if (last && (start <= last[1] || (start - last[1] < 7 && NO_WORD.test(text.slice(last[1], start))))) last[1] = Math.max(last[1], end);
    else if (end > start) merged.push([start, end]);
  }
  let low = 0, high = text.length;
  if (!all && text.length > LONG) {
    low = Math.max(0, (merged.length ? merged[0][0] : 0) - BEFORE_MARK);
    high = Math.min(text.length, low + LONG);
    if (isLow(text, low)) low--;
    if (isLow(text, high)) high--;
  }
  const out = document.createDocumentFragment();
  let at = low;
  for (const [start, end] of merged) {
    if (end <= low || start >= high) continue;
    if (start > at) out.append(visible(text.slice(at, start)));
    at = Math.min(end, high);
    out.append(make("mark", null, visible(text.slice(Math.max(start, low), at))));
  }
  out.append(visible(text.slice(at, high)));
  if (low) out.prepend("… ");
  if (high < text.length) out.append(" …");
  if (low || high < text.length) {
    const more = make("button", { type: "button", class: "more" }, `show all ${count(text.length)} characters`);
    more.addEventListener("click", () => more.parentElement.replaceChildren(marked(text, spans, true)));
    out.append(more);
  }
  return out;
}

function isLow(text, at) {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code < 0xe000;
}

function link(text) {
  if (!/^https?:\/\/[^\s\u0000-\u001f]+$/i.test(text)) return make("bdi", null, visible(text));
  return make("a", { href: text, rel: "noopener noreferrer nofollow", target: "_blank", dir: "ltr" }, visible(text));
}

function fact(name, value) {
  return value === null || value === undefined || value === "" ? null
    : make("div", null, make("dt", null, name), make("dd", null, value));
}

// The item's parts with what the match has of them marked.
function partsOf(number, block, match) {
  const k = number % summary.block, answer = block.answer[k];
  const spans = (part) => pairs((match && match.item_overlap[part]) || []);
  const box = (name, text) => text ? [make("h5", null, name), make("div", { class: "text", dir: "auto" }, marked(text, spans(name.toLowerCase())))] : [];
  const out = [...box("Passage", block.passage[k]), ...box("Question", list.items.question[number])];
  const choices = block.choices[k] || [];
  if (choices.length) {
    out.push(make("h5", null, "Choices"), make("ol", { class: "text choices" }, ...choices.map((choice, i) =>
      make("li", { dir: "auto", class: choice === answer ? "right" : null }, marked(choice, spans(`choice ${i + 1}`)),
        choice === answer ? make("span", { class: "hint" }, " (the answer)") : null))));
  }
  if (!choices.includes(answer)) out.push(...box("Answer", answer));
  return out;
}

function trainingText(match) {
  const text = make("div", { class: "text", dir: "auto" });
  text.append(make("span", { class: "context" }, visible(match.before)), marked(match.text, pairs(match.overlap)),
    match.shortened ? make("span", { class: "hint" }, " [… the match goes on …] ") : "",
    make("span", { class: "context" }, visible(match.after)));
  return text;
}

function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

function matchFacts(match) {
  const record = match.record_file === null ? null
    : visible(match.record_file) + (match.record_offset === null ? "" : `, offset ${count(match.record_offset)}`);
  return make("dl", { class: "facts" },
    fact("URL", match.url ? link(match.url) : null),
    fact("WARC record", record),
    fact("in the corpus", match.source ? make("bdi", null, visible(match.source)) : null),
    fact("document", match.document ? make("bdi", null, visible(match.document)) : null),
    fact("bytes of its text", match.start === null ? null : `${count(match.start)} to ${count(match.end)}`));
}

function matchLabel(match) {
  return [make("span", { class: "verdict " + VERDICTS[match.verdict] }, VERDICTS[match.verdict]),
    ` ${summary.methods[match.method]} ${decimal(match.score, 3)}, by its ${match.part || "text"}`];
}

// Where a match lies, short: the host of its address, else its place in the corpus.
function whereabouts(match) {
  const host = /^https?:\/\/([^/?#]+)/i.exec(match.url || "");
  return make("bdi", { class: "hint" }, visible(host ? host[1] : match.source || match.document || ""));
}

function methodTable(number) {
  const rows = summary.methods.map((name) => {
    const one = list.items.methods[name], verdict = VERDICTS[+one.verdict[number]];
    return make("tr", null, make("th", { scope: "row" }, name + (name === summary.default ? " (decides)" : "")),
      make("td", null, make("span", { class: "verdict " + verdict }, verdict)),
      make("td", { class: "n" }, decimal(one.score[number], 3)), make("td", { class: "n" }, count(one.documents[number])),
      make("td", { class: "n" }, count(one.copies[number])));
  });
  return make("table", { class: "scores" },
    make("thead", null, make("tr", null, ...["method", "verdict", "score", "documents", "copies"].map((name, i) =>
      make("th", { scope: "col", class: i > 1 ? "n" : null }, name)))), make("tbody", null, ...rows));
}

// Opens an item in the panel; `chosen`: which of its matches.
async function drawItem(id, chosen) {
  const panel = byId("detail"), number = list.numbers.get(id);
  panel.hidden = id === "";
  if (id === "") return panel.replaceChildren();
  if (number === undefined) {
    return panel.replaceChildren(make("p", { class: "hint" }, `No method finds an item with the id ${visible(id)}.`), closer());
  }
  const block = await blockOf(Math.floor(number / summary.block));
  if (state.item !== id) return undefined;
  const matches = block.matches[number % summary.block], match = matches[chosen];
  const place = list.shown.indexOf(number);
  const step = (text, to, key) => {
    const button = make("button", { type: "button", disabled: place < 0 || to < 0 || to >= list.shown.length, title: `key ${key}` }, text);
    button.addEventListener("click", () => stepTo(to));
    return button;
  };
  const verdict = VERDICTS[+list.items.verdict[number]];
  const facts = make("dl", { class: "facts" }, fact("score", decimal(list.items.score[number], 3)),
    fact("documents with it", count(list.items.documents[number])), fact("copies", count(list.items.copies[number])),
    fact("exposure (copies × epochs)", list.items.exposure[number] === null ? "no mixture given" : decimal(list.items.exposure[number], 1)));
  const chooser = make("div", { class: "matches", role: "group", "aria-label": "matches shown" }, ...matches.map((one, i) => {
    const button = make("button", { type: "button", "aria-pressed": i === chosen }, ...matchLabel(one), " ", whereabouts(one));
    button.addEventListener("click", () => drawItem(id, i).then(() => panel.querySelectorAll(".matches button")[i].focus()));
    return button;
  }));
  panel.replaceChildren(
    make("header", null,
      make("h3", { id: "item-title", tabindex: "-1" }, make("span", { class: "verdict " + verdict }, verdict), " ",
        make("a", { href: "#item=" + encodeURIComponent(id).replace(/%2F/g, "/"), title: "link to this item" }, make("bdi", null, visible(id)))),
      make("nav", { "aria-label": "items" }, step("← previous", place - 1, "k"), step("next →", place + 1, "j"), closer())),
    facts,
    make("div", { class: "sides" },
      make("section", { "aria-label": "benchmark item" }, make("h4", null, "Benchmark item"), ...partsOf(number, block, match)),
      make("section", { "aria-label": "training text" }, make("h4", null, "Training text"), matches.length > 1 ? chooser : null,
        ...(match ? [matches.length > 1 ? null : make("p", null, ...matchLabel(match)), trainingText(match), matchFacts(match)]
          : [make("p", { class: "hint" }, "The audit kept no text of this item's matches.")]))),
    make("details", { open: true }, make("summary", null, "What each method says"), make("div", { class: "wide" }, methodTable(number))));
  for (const text of panel.querySelectorAll(".text")) {
    const first = text.querySelector("mark");
    if (first && text.scrollHeight > text.clientHeight) text.scrollTop = Math.max(0, first.offsetTop - text.offsetTop - 40);
  }
  return undefined;
}

function closer() {
  const button = make("button", { type: "button", title: "key Escape" }, "close");
  button.addEventListener("click", closeItem);
  return button;
}
