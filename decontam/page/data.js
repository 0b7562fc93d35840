"use strict";
// What the page carries: JSON elements, those of class "packed" deflated and in base64.

const VERDICTS = ["clean", "suspect", "dirty"];
// The fields of a match, in the order of decontam/page/data.py.
const MATCH = ["method", "verdict", "score", "part", "document", "url", "record_file", "record_offset", "source",
  "start", "end", "before", "text", "after", "shortened", "overlap", "item_overlap"];
const KEPT_BLOCKS = 12;

function embedded(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

async function unpacked(id) {
  const binary = atob(embedded(id));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  if (typeof DecompressionStream === "undefined") return JSON.parse(new TextDecoder().decode(inflated(bytes)));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

// Blocks of opened items; the last few are kept.
const blocks = new Map();

async function blockOf(number) {
  let block = blocks.get(number);
  if (!block) {
    block = await unpacked("block-" + number);
    for (const matches of block.matches) {
      matches.forEach((values, i) => {
        matches[i] = Object.fromEntries(MATCH.map((name, k) => [name, values[k]]));
      });
    }
  }
  blocks.delete(number);
  blocks.set(number, block);
  if (blocks.size > KEPT_BLOCKS) blocks.delete(blocks.keys().next().value);
  return block;
}

// Control characters and those that turn the direction of text around, made visible.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]/g;

function visible(text) {
  return text.replace(HIDDEN, (c) => "[U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "]");
}

const formats = [0, 1, 2, 3].map((n) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: n, maximumFractionDigits: n }));

// A number with thousands parted; up to three decimals.
function decimal(value, digits) {
  return value === null ? "–" : formats[digits].format(value);
}

function count(value) {
  return decimal(value, 0);
}

// An element with attributes and children; strings become text.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("aria-")) element.setAttribute(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Lets the user save lines of text as a file.
function save(name, lines) {
  const url = URL.createObjectURL(new Blob([lines.map((line) => line + "\n").join("")], { type: "text/plain" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
