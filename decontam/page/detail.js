"use strict";
// One item beside the training text that it was found in.

const LONG = 20000; // UTF-16 units of a text that are drawn at once
const BEFORE_MARK = 2000;

const NO_WORD = /^[^\p{L}\p{N}]*$/u;

// Text with `spans` ([start, end]) marked, over the signs between marked words too; of a long text the part around its
// first mark.
function marked(text, spans, all) {
  const merged = [];
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = merged[merged.length - 1];
    const near = last && (start <= last[1] || (start - last[1] < 7 && NO_WORD.test(text.slice(last[1], start))));
    if (near) last[1] = Math.max(last[1], end);
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
  const k = number % summary.block, answer = block.answer[k], choices = block.choices[k] || [];
  const spans = (part) => pairs((match && match.item_overlap[part]) || []);
  const out = [];
  const add = (name, text) => {
    if (text) out.push(make("h5", null, name), textBox(marked(text, spans(name.toLowerCase()))));
  };
  add("Passage", block.passage[k]);
  add("Question", list.items.question[number]);
  if (choices.length) {
    const lines = choices.map((choice, i) => {
      const right = choice === answer, told = right ? make("span", { class: "hint" }, " (the answer)") : null;
      return make("li", { dir: "auto", class: right && "right" }, marked(choice, spans(`choice ${i + 1}`)), told);
    });
    out.push(make("h5", null, "Choices"), make("ol", { class: "text choices" }, ...lines));
  }
  if (!choices.includes(answer)) add("Answer", answer);
  return out;
}

function textBox(...children) {
  return make("div", { class: "text", dir: "auto" }, ...children);
}

function trainingText(match) {
  return textBox(make("span", { class: "context" }, visible(match.before)), marked(match.text, pairs(match.overlap)),
    match.shortened ? make("span", { class: "hint" }, " [… the match goes on …] ") : null,
    make("span", { class: "context" }, visible(match.after)));
}

// A flat list of starts and ends as spans.
function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

function matchFacts(match) {
  const offset = match.record_offset === null ? "" : `, offset ${count(match.record_offset)}`;
  return make("dl", { class: "facts" },
    fact("URL", match.url && link(match.url)),
    fact(/\.w?arc(\.gz)?$/i.test(match.record_file) ? "WARC record" : "record", match.record_file && make("bdi", null, visible(match.record_file) + offset)),
    fact("in the corpus", match.source && make("bdi", null, visible(match.source))),
    fact("document", match.document && make("bdi", null, visible(match.document))),
    fact("bytes of its text", match.start === null ? null : `${count(match.start)} to ${count(match.end)}`));
}

function badge(verdict) {
  return make("span", { class: "verdict " + VERDICTS[verdict] }, VERDICTS[verdict]);
}

function matchLabel(match) {
  const told = ` ${summary.methods[match.method]} ${decimal(match.score, 3)}, by its ${match.part || "text"}`;
  return [badge(match.verdict), told];
}

// Where a match lies, short: the host of its address, else its place in the corpus.
function whereabouts(match) {
  const host = /^https?:\/\/([^/?#]+)/i.exec(match.url || "");
  return make("bdi", { class: "hint" }, visible(host ? host[1] : match.source || match.document || ""));
}

function methodTable(number) {
  const right = (value) => make("td", { class: "n" }, value);
  const rows = summary.methods.map((name) => {
    const one = list.items.methods[name], label = name === summary.default ? name + " (decides)" : name;
    return make("tr", null, make("th", { scope: "row" }, label), make("td", null, badge(+one.verdict[number])),
      right(decimal(one.score[number], 3)), right(count(one.documents[number])), right(count(one.copies[number])));
  });
  const heads = ["method", "verdict", "score", "documents", "copies"].map((name, i) =>
    make("th", { scope: "col", class: i > 1 && "n" }, name));
  return make("table", { class: "scores" }, make("thead", null, make("tr", null, ...heads)),
    make("tbody", null, ...rows));
}

function itemHeader(id, number) {
  const place = list.shown.indexOf(number);
  const step = (text, to, key) => {
    const disabled = place < 0 || to < 0 || to >= list.shown.length;
    const button = make("button", { type: "button", disabled, title: `key ${key}` }, text);
    button.addEventListener("click", () => stepTo(to));
    return button;
  };
  const address = "#item=" + encodeURIComponent(id).replace(/%2F/g, "/");
  const anchor = make("a", { href: address, title: "link to this item" }, make("bdi", null, visible(id)));
  const buttons = [step("← previous", place - 1, "k"), step("next →", place + 1, "j"), closer()];
  return make("header", null,
    make("h3", { id: "item-title", tabindex: "-1" }, badge(+list.items.verdict[number]), " ", anchor),
    make("nav", { "aria-label": "items" }, ...buttons));
}

function itemFacts(number) {
  const { score, documents, copies, exposure } = list.items;
  const shown = exposure[number] === null ? "no mixture given" : decimal(exposure[number], 1);
  return make("dl", { class: "facts" }, fact("score", decimal(score[number], 3)),
    fact("documents with it", count(documents[number])), fact("copies", count(copies[number])),
    fact("exposure (copies × epochs)", shown));
}

// The right side: the matches to choose from, and the chosen one.
function trainingSide(id, matches, chosen) {
  const out = [make("h4", null, "Training text")], match = matches[chosen];
  if (!match) return [...out, make("p", { class: "hint" }, "The audit kept no text of this item's matches.")];
  if (matches.length > 1) {
    const buttons = matches.map((one, i) => {
      const button = make("button", { type: "button", "aria-pressed": i === chosen },
        ...matchLabel(one), " ", whereabouts(one));
      button.addEventListener("click", async () => {
        await drawItem(id, i);
        byId("detail").querySelectorAll(".matches button")[i].focus();
      });
      return button;
    });
    out.push(make("div", { class: "matches", role: "group", "aria-label": "matches shown" }, ...buttons));
  } else out.push(make("p", null, ...matchLabel(match)));
  return [...out, trainingText(match), matchFacts(match)];
}

// Opens an item in the panel; `chosen`: which of its matches.
async function drawItem(id, chosen) {
  const panel = byId("detail"), number = list.numbers.get(id);
  panel.hidden = id === "";
  if (number === undefined) {
    const told = make("p", { class: "hint" }, `No method finds an item with the id ${visible(id)}.`);
    panel.replaceChildren(...(id === "" ? [] : [told, closer()]));
    return;
  }
  const block = await blockOf(Math.floor(number / summary.block));
  if (state.item !== id) return; // another one was opened meanwhile
  const matches = block.matches[number % summary.block];
  panel.replaceChildren(itemHeader(id, number), itemFacts(number),
    make("div", { class: "sides" },
      make("section", { "aria-label": "benchmark item" }, make("h4", null, "Benchmark item"),
        ...partsOf(number, block, matches[chosen])),
      make("section", { "aria-label": "training text" }, ...trainingSide(id, matches, chosen))),
    make("details", { open: true }, make("summary", null, "What each method says"),
      make("div", { class: "wide" }, methodTable(number))));
  for (const text of panel.querySelectorAll(".text")) {
    const first = text.querySelector("mark");
    if (first && text.scrollHeight > text.clientHeight) text.scrollTop = Math.max(0, first.offsetTop - 40);
  }
}

function closer() {
  const button = make("button", { type: "button", title: "key Escape" }, "close");
  button.addEventListener("click", closeItem);
  return button;
}
