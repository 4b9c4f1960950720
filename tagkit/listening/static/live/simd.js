"use strict";
// Products of matrices in WebAssembly, four numbers at a time. The page holds no binary: the few instructions below are
// assembled when it starts.
const Simd = (() => {
  const LANES = 8; // outputs of a panel of weights: two vectors of four
  const ROWS = 4; // rows that are computed at a time; with a panel they are eight sums, which stay in registers
  const STEPS = 4; // inputs that one turn of the innermost loop takes
  const PAGE = 65_536 / 4; // floats of a page of memory

  // ---- the instructions -------------------------------------------------------------------------------------------

  // Unsigned and signed numbers of any length, seven bits to a byte.
  const unsigned = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >>> 7)]);
  const signed = (n) => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...signed(n >> 7)]);
  const [I32, V128, NOTHING] = [0x7f, 0x7b, 0x40];
  const get = (local) => [0x20, local];
  const set = (local) => [0x21, local];
  const constant = (n) => [0x41, ...signed(n)];
  const plus = [0x6a];
  const times = [0x6c];
  const load = (at) => [0xfd, 0, 2, ...unsigned(at)];
  const spread = (at) => [0xfd, 9, 2, ...unsigned(at)]; // one number four times
  const store = (at) => [0xfd, 11, 2, ...unsigned(at)];
  const plus4 = [0xfd, ...unsigned(0xe4)];
  const times4 = [0xfd, ...unsigned(0xe6)];
  const advance = (local, step) => [...get(local), ...step, ...plus, ...set(local)];
  // Do this as many times as a local says, at least once.
  const repeat = (local, body) =>
    [0x03, NOTHING, ...body, ...get(local), ...constant(-1), ...plus, 0x22, local, 0x0d, 0, 0x0b];

  const each = (count, part) => Array.from({ length: count }, (_, i) => part(i)).flat();
  const section = (id, content) => [id, ...unsigned(content.length), ...content];
  const text = (word) => [word.length, ...[...word].map((letter) => letter.charCodeAt(0))];

  // product(a, aStep, b, turns, c, cStep, groups, panels): c += a b. Addresses and steps from row to row are in bytes;
  // rows come in `groups` of four, inputs in `turns` of four, outputs in panels.
  function assemble() {
    const [A, A_STEP, B, TURNS, C, C_STEP, GROUPS, PANELS] = each(8, (i) => i);
    const [A_ROW, C_ROW, PANEL, GROUP, TURN] = each(5, (i) => 8 + i);
    const row = (r) => 13 + r; // where the inputs of row r are read
    const sum = (r, half) => 13 + ROWS + 2 * r + half;
    const weights = (half) => 13 + 3 * ROWS + half;
    const input = 13 + 3 * ROWS + 2;

    const address = (base, step, r) => [...get(base), ...get(step), ...constant(r), ...times, ...plus];
    const begin = each(ROWS, (r) =>
      each(2, (half) => [...address(C_ROW, C_STEP, r), ...load(16 * half), ...set(sum(r, half))]));
    const step = (k) => [
      ...each(2, (half) => [...get(PANEL), ...load(4 * LANES * k + 16 * half), ...set(weights(half))]),
      ...each(ROWS, (r) => [
        ...get(row(r)), ...spread(4 * k), ...set(input),
        ...each(2, (half) =>
          [...get(sum(r, half)), ...get(input), ...get(weights(half)), ...times4, ...plus4, ...set(sum(r, half))]),
      ]),
    ];
    const inputs = repeat(TURN, [
      ...each(STEPS, step),
      ...each(ROWS, (r) => advance(row(r), constant(4 * STEPS))),
      ...advance(PANEL, constant(4 * LANES * STEPS)),
    ]);
    const end = each(ROWS, (r) =>
      each(2, (half) => [...address(C_ROW, C_STEP, r), ...get(sum(r, half)), ...store(16 * half)]));
    const rows = repeat(GROUP, [
      ...begin,
      ...each(ROWS, (r) => [...address(A_ROW, A_STEP, r), ...set(row(r))]),
      ...get(B), ...set(PANEL), ...get(TURNS), ...set(TURN),
      ...inputs,
      ...end,
      ...address(A_ROW, A_STEP, ROWS), ...set(A_ROW),
      ...address(C_ROW, C_STEP, ROWS), ...set(C_ROW),
    ]);
    const body = repeat(PANELS, [
      ...get(A), ...set(A_ROW), ...get(C), ...set(C_ROW), ...get(GROUPS), ...set(GROUP),
      ...rows,
      ...get(PANEL), ...set(B), // the last row has read the panel to its end
      ...advance(C, constant(4 * LANES)),
    ]);
    const locals = [2, ...unsigned(5 + ROWS), I32, ...unsigned(2 * ROWS + 3), V128];
    const code = [...locals, ...body, 0x0b];
    return Uint8Array.from([
      0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, // "\0asm", version 1
      ...section(1, [1, 0x60, 8, ...new Array(8).fill(I32), 0]), // one type of function
      ...section(2, [1, ...text("page"), ...text("memory"), 2, 0, 1]), // the memory comes from the page
      ...section(3, [1, 0]), // one function, of this type
      ...section(7, [1, ...text("product"), 0, 0]), // its name
      ...section(10, [1, ...unsigned(code.length), ...code]),
    ]);
  }

  const compiled = new WebAssembly.Module(assemble());

  // ---- memory -------------------------------------------------------------------------------------------------------

  const upTo = (n, step) => Math.ceil(n / step) * step;

  // Memory that products are computed in: matrices, which stay, and behind them what a product reads and writes.
  class Room {
    constructor() {
      this.memory = new WebAssembly.Memory({ initial: 1 });
      this.product = new WebAssembly.Instance(compiled, { page: { memory: this.memory } }).exports.product;
      this.floats = new Float32Array(this.memory.buffer);
      this.kept = 0; // floats of matrices
    }

    // Make sure that there are so many floats.
    grow(count) {
      if (count <= this.floats.length) return;
      this.memory.grow(Math.ceil((count - this.floats.length) / PAGE));
      this.floats = new Float32Array(this.memory.buffer);
    }

    // A matrix (inputs, outputs) that stays; zeros fill up its inputs and outputs.
    matrix(inputs, outputs, value) {
      const depth = upTo(inputs, STEPS);
      const padded = upTo(outputs, LANES);
      const at = this.kept;
      this.kept += depth * padded;
      this.grow(this.kept);
      this.floats.fill(0, at, this.kept); // products may have been computed here
      for (let o = 0; o < outputs; o++) {
        const panel = at + (o - (o % LANES)) * depth + (o % LANES);
        for (let k = 0; k < inputs; k++) this.floats[panel + k * LANES] = value(k, o);
      }
      return { at, inputs, outputs, depth, padded };
    }

    // Two places for a product, {a, c}: for inputs, and for so many rows of outputs. The next call gives them anew.
    places(inputs, outputs) {
      const a = this.kept;
      const c = a + upTo(inputs, LANES);
      this.grow(c + outputs);
      return { a, c };
    }

    // c (rows, padded) += a (rows, inputs) times the matrix. Rows lie so many floats apart; their number is filled up to a
    // multiple of four, and so many are read and written.
    multiply({ at, depth, padded }, a, aStep, c, cStep, rows) {
      this.product(4 * a, 4 * aStep, 4 * at, depth / STEPS, 4 * c, 4 * cStep, upTo(rows, ROWS) / ROWS, padded / LANES);
    }
  }

  return { Room, LANES, ROWS, upTo };
})();
