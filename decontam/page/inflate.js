"use strict";
// Inflates zlib data (RFC 1950 and 1951), for browsers without DecompressionStream.

const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163,
  195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCES = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

// counts[n]: codes of n bits; symbols: in the order of their codes.
function codesOf(lengths) {
  const counts = new Uint16Array(16), places = new Uint16Array(16), symbols = new Uint16Array(lengths.length);
  for (const length of lengths) counts[length]++;
  counts[0] = 0;
  for (let n = 1; n < 16; n++) places[n] = places[n - 1] + counts[n - 1];
  lengths.forEach((length, symbol) => {
    if (length) symbols[places[length]++] = symbol;
  });
  return { counts, symbols };
}

function inflated(bytes) {
  let at = 2, held = 0, heldBits = 0, out = new Uint8Array(bytes.length * 6 + 1024), made = 0;

  function bits(n) {
    while (heldBits < n) {
      if (at >= bytes.length) throw new Error("the packed data ends too early");
      held |= bytes[at++] << heldBits;
      heldBits += 8;
    }
    const value = held & ((1 << n) - 1);
    held >>>= n;
    heldBits -= n;
    return value;
  }

  function symbol(codes) {
    let code = 0, first = 0, place = 0;
    for (let n = 1; n < 16; n++) {
      code |= bits(1);
      const some = codes.counts[n];
      if (code - first < some) return codes.symbols[place + code - first];
      place += some;
      first = (first + some) << 1;
      code <<= 1;
    }
    throw new Error("the packed data has a code that is none");
  }

  function room(n) {
    if (made + n <= out.length) return;
    const larger = new Uint8Array(Math.max(out.length * 2, made + n));
    larger.set(out.subarray(0, made));
    out = larger;
  }

  function dynamicCodes() {
    const literals = bits(5) + 257, distances = bits(5) + 1, some = bits(4) + 4;
    const order = new Array(19).fill(0);
    for (let i = 0; i < some; i++) order[CODE_ORDER[i]] = bits(3);
    const codes = codesOf(order), lengths = [];
    while (lengths.length < literals + distances) {
      const one = symbol(codes);
      if (one < 16) lengths.push(one);
      else {
        const value = one === 16 ? lengths[lengths.length - 1] : 0;
        let again = one === 16 ? 3 + bits(2) : one === 17 ? 3 + bits(3) : 11 + bits(7);
        while (again--) lengths.push(value);
      }
    }
    return [codesOf(lengths.slice(0, literals)), codesOf(lengths.slice(literals))];
  }

  function fixedCodes() {
    const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
    return [codesOf(lengths), codesOf(new Array(30).fill(5))];
  }

  function stored() {
    held = heldBits = 0;
    const length = bytes[at] | (bytes[at + 1] << 8);
    at += 4;
    room(length);
    out.set(bytes.subarray(at, at + length), made);
    at += length;
    made += length;
  }

  let last = 0;
  while (!last) {
    last = bits(1);
    const kind = bits(2);
    if (kind === 0) {
      stored();
      continue;
    }
    const [literals, distances] = kind === 1 ? fixedCodes() : dynamicCodes();
    for (;;) {
      const one = symbol(literals);
      if (one === 256) break;
      if (one < 256) {
        room(1);
        out[made++] = one;
        continue;
      }
      const length = LENGTHS[one - 257] + bits(LENGTH_BITS[one - 257]);
      const code = symbol(distances);
      const back = DISTANCES[code] + bits(code < 2 ? 0 : (code >> 1) - 1);
      room(length);
      for (let i = 0; i < length; i++, made++) out[made] = out[made - back];
    }
  }
  return out.subarray(0, made);
}
