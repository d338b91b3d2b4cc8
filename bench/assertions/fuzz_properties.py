#!/usr/bin/env python3
"""Random concurrent assertions over random small machines: `callie assert prove` beside an evaluator written from the
standard.

The evaluator shares nothing with the prover. It enumerates every run of a window (all reachable states times all inputs)
as one bit of a big integer, and evaluates a property by the definitions of IEEE 1800-2017, annex F: tight satisfaction of
sequences by splitting words, properties on a finite prefix that is continued by letters that satisfy everything (under a
negation: nothing), `disable iff` by cutting the word, and vacuity by the matches of the antecedent. It does not simplify
and knows no automata or SAT.

A difference is: proven or vacuous although a run of the window fails; refuted although the window decides the property
and no run of it fails; a witness whose last cycle does not fail; vacuous although the antecedent matches somewhere, or
proven although it matches nowhere (plain implications only).

    bench/assertions/fuzz_properties.py [--modules N] [--seed S] [--callie PATH] [--seconds T]
"""
import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time

INPUTS = ["a", "b", "r"]
REGISTERS = ["p", "q"]
MAX_BITS = 17  # of a window: 2**17 runs


# Booleans. A signal is (name, age): age 1 is $past.

def make_boolean(rng, depth, past):
    if depth == 0 or rng.random() < 0.3:
        if past and rng.random() < 0.3:
            inner = make_boolean(rng, rng.choice([0, 0, 1]), False)
            kind = rng.choice(["past", "past", "past2", "rose", "fell", "stable", "changed"])
            return (kind, inner)
        return ("name", rng.choice(INPUTS[:2] + REGISTERS))
    kind = rng.choice(["not", "and", "or", "xor", "and", "or"])
    if kind == "not":
        return ("not", make_boolean(rng, depth - 1, past))
    return (kind, make_boolean(rng, depth - 1, past), make_boolean(rng, depth - 1, past))


def text_boolean(e):
    kind = e[0]
    if kind == "name":
        return e[1]
    if kind == "const":
        return f"1'b{e[1]}"
    if kind == "not":
        return f"!({text_boolean(e[1])})"
    if kind in ("and", "or", "xor"):
        return f"({text_boolean(e[1])} {dict(**{'and': '&&', 'or': '||', 'xor': '!='})[kind]} {text_boolean(e[2])})"
    if kind == "past2":
        return f"$past({text_boolean(e[1])}, 2)"
    return f"${kind}({text_boolean(e[1])})"


def depth_of_past(e):
    if e[0] in ("name", "const"):
        return 0
    below = max(depth_of_past(x) for x in e[1:])
    return below + {"past": 1, "past2": 2, "rose": 1, "fell": 1, "stable": 1, "changed": 1}.get(e[0], 0)


# Sequences and properties.

def make_sequence(rng, budget, past):
    """A random sequence that looks at most `budget` cycles ahead."""
    choice = rng.random()
    if budget == 0 or choice < 0.2:
        return ("bool", make_boolean(rng, rng.choice([0, 1, 1]), past))
    kind = rng.choice(["delay", "delay", "delay", "range", "lead", "repeat", "repeat", "sor", "sand", "intersect", "within",
                       "throughout", "first_match", "group"])
    if kind in ("delay", "range"):
        low = rng.randint(0, min(2, budget))
        high = low if kind == "delay" else rng.randint(low, budget)
        left = rng.randint(0, budget - high)
        return ("delay", make_sequence(rng, left, past), low, high, make_sequence(rng, budget - high - left, past))
    if kind == "lead":
        low = rng.randint(0, min(2, budget))
        high = rng.randint(low, budget)
        return ("lead", low, high, make_sequence(rng, budget - high, past))
    if kind == "repeat":
        inner = rng.randint(0, min(1, budget))
        high = rng.randint(1, max(1, (budget + 1) // (inner + 1)))
        return ("repeat", make_sequence(rng, inner, past), rng.randint(0, high), high)
    if kind in ("sor", "sand", "intersect", "within"):
        return (kind, make_sequence(rng, budget, past), make_sequence(rng, budget, past))
    if kind == "throughout":
        return ("throughout", make_boolean(rng, 1, past), make_sequence(rng, budget, past))
    if kind == "first_match":
        return ("first_match", make_sequence(rng, budget, past))
    return make_sequence(rng, budget - 1, past)


def text_sequence(s):
    kind = s[0]
    if kind == "bool":
        return text_boolean(s[1])
    if kind in ("delay", "lead"):
        low, high = (s[2], s[3]) if kind == "delay" else (s[1], s[2])
        delay = f"##{low}" if low == high else f"##[{low}:{high}]"
        return f"({text_sequence(s[1])} {delay} {text_sequence(s[4])})" if kind == "delay" else f"({delay} {text_sequence(s[3])})"
    if kind == "repeat":
        count = str(s[2]) if s[2] == s[3] else f"{s[2]}:{s[3]}"
        return f"(({text_sequence(s[1])})[*{count}])"
    if kind == "throughout":
        return f"({text_boolean(s[1])} throughout {text_sequence(s[2])})"
    if kind == "first_match":
        return f"first_match({text_sequence(s[1])})"
    word = {"sor": "or", "sand": "and"}.get(kind, kind)
    return f"({text_sequence(s[1])} {word} {text_sequence(s[2])})"


def make_property(rng, depth, budget, past, unbounded):
    if depth == 0 or rng.random() < 0.1:
        return ("seq", make_sequence(rng, budget, past))
    kind = rng.choice(["overlap"] * 4 + ["nonoverlap"] * 4 + ["not", "and", "or", "implies", "iff", "if", "ifelse", "nexttime",
                      "always", "eventually", "followed", "followednext", "strong", "weak"] + (["until", "until_with", "forever"] * 2 if unbounded else []))
    if kind in ("overlap", "nonoverlap", "followed", "followednext"):
        after = kind in ("nonoverlap", "followednext")
        left = rng.randint(0, max(0, budget - after))
        if after and budget == 0:
            kind, after = "overlap", 0
        return (kind, make_sequence(rng, left, past), make_property(rng, depth - 1, budget - left - after, past, unbounded))
    if kind in ("not", "strong", "weak"):
        if kind == "not":
            return ("not", make_property(rng, depth - 1, budget, past, False))
        return (kind, make_sequence(rng, budget, past))
    if kind in ("and", "or", "implies", "iff"):
        keep = unbounded and kind == "and"
        return (kind, make_property(rng, depth - 1, budget, past, keep), make_property(rng, depth - 1, budget, past, keep))
    if kind == "if":
        return ("if", make_boolean(rng, 1, past), make_property(rng, depth - 1, budget, past, unbounded))
    if kind == "ifelse":
        return ("ifelse", make_boolean(rng, 1, past), make_property(rng, depth - 1, budget, past, unbounded),
                make_property(rng, depth - 1, budget, past, unbounded))
    if kind == "nexttime":
        n = rng.randint(0, min(2, budget))
        return ("nexttime", n, make_property(rng, depth - 1, budget - n, past, unbounded))
    if kind in ("always", "eventually"):
        high = rng.randint(0, budget)
        return (kind, rng.randint(0, high), high, make_property(rng, depth - 1, budget - high, past, False))
    if kind == "forever":
        return ("forever", ("seq", ("bool", make_boolean(rng, 2, past))))
    return (kind, ("seq", ("bool", make_boolean(rng, 1, past))), ("seq", ("bool", make_boolean(rng, 1, past))))


def text_property(p):
    kind = p[0]
    if kind == "seq":
        return text_sequence(p[1])
    if kind in ("strong", "weak"):
        return f"{kind}({text_sequence(p[1])})"
    if kind in ("overlap", "nonoverlap", "followed", "followednext"):
        word = {"overlap": "|->", "nonoverlap": "|=>", "followed": "#-#", "followednext": "#=#"}[kind]
        return f"({text_sequence(p[1])} {word} {text_property(p[2])})"
    if kind == "not":
        return f"(not {text_property(p[1])})"
    if kind == "if":
        return f"(if ({text_boolean(p[1])}) {text_property(p[2])})"
    if kind == "ifelse":
        return f"(if ({text_boolean(p[1])}) {text_property(p[2])} else {text_property(p[3])})"
    if kind == "nexttime":
        return f"(nexttime[{p[1]}] {text_property(p[2])})"
    if kind in ("always", "eventually"):
        return f"({'s_eventually' if kind == 'eventually' else 'always'} [{p[1]}:{p[2]}] {text_property(p[3])})"
    if kind == "forever":
        return f"(always {text_property(p[1])})"
    return f"({text_property(p[1])} {kind} {text_property(p[2])})"


def length_sequence(s):
    kind = s[0]
    if kind == "bool":
        return 0
    if kind == "delay":
        return length_sequence(s[1]) + s[3] + length_sequence(s[4])
    if kind == "lead":
        return s[2] + length_sequence(s[3])
    if kind == "repeat":
        return s[3] * (length_sequence(s[1]) + 1) - 1 if s[3] else 0
    return max(length_sequence(x) for x in s[1:] if isinstance(x, tuple) and x[0] not in BOOLEAN_KINDS)


BOOLEAN_KINDS = {"name", "const", "not", "and", "or", "xor", "past", "past2", "rose", "fell", "stable", "changed"}
UNBOUNDED = {"until", "until_with", "forever"}


def length_property(p):
    kind = p[0]
    if kind in ("seq", "strong", "weak"):
        return length_sequence(p[1])
    if kind in ("overlap", "followed"):
        return length_sequence(p[1]) + length_property(p[2])
    if kind in ("nonoverlap", "followednext"):
        return length_sequence(p[1]) + 1 + length_property(p[2])
    if kind == "if":
        return length_property(p[2])
    if kind == "ifelse":
        return max(length_property(p[2]), length_property(p[3]))
    if kind == "nexttime":
        return p[1] + length_property(p[2])
    if kind in ("always", "eventually"):
        return p[2] + length_property(p[3])
    if kind in UNBOUNDED:
        return 0
    return max(length_property(x) for x in p[1:])


def is_unbounded(p):
    return p[0] in UNBOUNDED or any(is_unbounded(x) for x in p[1:] if isinstance(x, tuple) and x[0] not in BOOLEAN_KINDS and p[0] not in ("seq", "strong", "weak"))


def past_of(p):
    return max([depth_of_past(p) if p[0] in BOOLEAN_KINDS and _is_boolean(p) else 0] + [past_of(x) for x in p[1:] if isinstance(x, tuple)])


def _is_boolean(p):
    if p[0] in ("name", "const"):
        return True
    return p[0] in BOOLEAN_KINDS and all(isinstance(x, tuple) and _is_boolean(x) for x in p[1:])


class Words:
    """All runs at once: value(boolean, t) is a mask over the runs."""

    def __init__(self, letters, count):
        self.letters = letters  # letters[t + history][signal] = mask
        self.count = count
        self.all = (1 << count) - 1
        self.memo = {}

    def value(self, e, t):
        key = (e, t)
        if key in self.memo:
            return self.memo[key]
        kind = e[0]
        if kind == "name":
            out = self.letters[t + 4][e[1]]
        elif kind == "const":
            out = self.all if e[1] else 0
        elif kind == "not":
            out = self.all ^ self.value(e[1], t)
        elif kind == "and":
            out = self.value(e[1], t) & self.value(e[2], t)
        elif kind == "or":
            out = self.value(e[1], t) | self.value(e[2], t)
        elif kind == "xor":
            out = self.value(e[1], t) ^ self.value(e[2], t)
        elif kind == "past":
            out = self.value(e[1], t - 1)
        elif kind == "past2":
            out = self.value(e[1], t - 2)
        else:
            now, before = self.value(e[1], t), self.value(e[1], t - 1)
            out = {"rose": now & ~before, "fell": ~now & before, "stable": ~(now ^ before), "changed": now ^ before}[kind] & self.all
        self.memo[key] = out
        return out


class Semantics:
    """A property on the prefix 0..k of each run; behind it a letter that satisfies all (`top`) or nothing."""

    def __init__(self, words, k):
        self.w, self.k, self.memo = words, k, {}

    def letter(self, e, t, top):
        if t > self.k:
            return self.w.all if top else 0
        return self.w.value(e, t)

    def tight(self, s, i, j, top):
        key = (s, i, j, top)
        if key not in self.memo:
            self.memo[key] = self._tight(s, i, j, top)
        return self.memo[key]

    def _tight(self, s, i, j, top):
        kind = s[0]
        one = self.w.all
        if kind == "bool":
            return self.letter(s[1], i, top) if i == j else 0
        if kind == "any":  # 1'b1[*n]
            return one if j - i + 1 == s[1] else 0
        if kind == "delay":
            out = 0
            for n in range(s[2], s[3] + 1):
                if n == 0:
                    for m in range(i, j + 1):
                        out |= self.tight(s[1], i, m, top) & self.tight(s[4], m, j, top)
                else:
                    for m in range(i - 1, j - n + 2):
                        out |= self.tight(s[1], i, m, top) & self.tight(s[4], m + n, j, top)
            return out
        if kind == "lead":
            out = 0
            for n in range(s[1], s[2] + 1):
                if i + n <= j + 1:
                    out |= self.tight(s[3], i + n, j, top)
            return out
        if kind == "repeat":
            out = 0
            for n in range(s[2], s[3] + 1):
                out |= self.times(s[1], n, i, j, top)
            return out
        if kind == "sor":
            return self.tight(s[1], i, j, top) | self.tight(s[2], i, j, top)
        if kind == "intersect":
            return self.tight(s[1], i, j, top) & self.tight(s[2], i, j, top)
        if kind == "sand":
            out = 0
            for m in range(i - 1, j + 1):
                out |= self.tight(s[1], i, m, top) & self.tight(s[2], i, j, top)
                out |= self.tight(s[1], i, j, top) & self.tight(s[2], i, m, top)
            return out
        if kind == "within":
            inner = 0
            for x in range(i, j + 2):
                for y in range(x - 1, j + 1):
                    inner |= self.tight(s[1], x, y, top)
            return inner & self.tight(s[2], i, j, top)
        if kind == "throughout":
            out = self.tight(s[2], i, j, top)
            for t in range(i, j + 1):
                out &= self.letter(s[1], t, top)
            return out
        if kind == "first_match":
            out = self.tight(s[1], i, j, top)
            for m in range(i - 1, j):
                out &= ~self.tight(s[1], i, m, not top)
            return out & one
        raise ValueError(kind)

    def times(self, s, n, i, j, top):
        key = ("times", s, n, i, j, top)
        if key in self.memo:
            return self.memo[key]
        if n == 0:
            out = self.w.all if j == i - 1 else 0
        else:
            out = 0
            for m in range(i - 1, j + 1):
                left = self.tight(s, i, m, top)
                if left:
                    out |= left & self.times(s, n - 1, m + 1, j, top)
        self.memo[key] = out
        return out

    def sat(self, p, i, top=True):
        key = ("sat", p, i, top)
        if key not in self.memo:
            self.memo[key] = self._sat(p, i, top)
        return self.memo[key]

    def _sat(self, p, i, top):
        kind, one = p[0], self.w.all
        if kind in ("seq", "weak", "strong"):
            # On a word that goes on with satisfying letters, weak and strong agree for sequences with an end.
            out = 0
            for j in range(i - 1, i + length_sequence(p[1]) + 1):
                if j >= i:
                    out |= self.tight(p[1], i, j, top)
            return out
        if kind == "not":
            return one ^ self.sat(p[1], i, not top)
        if kind == "and":
            return self.sat(p[1], i, top) & self.sat(p[2], i, top)
        if kind == "or":
            return self.sat(p[1], i, top) | self.sat(p[2], i, top)
        if kind == "implies":
            return (one ^ self.sat(p[1], i, not top)) | self.sat(p[2], i, top)
        if kind == "iff":
            return self.sat(("and", ("implies", p[1], p[2]), ("implies", p[2], p[1])), i, top)
        if kind == "if":
            return self.sat(("overlap", ("bool", p[1]), p[2]), i, top)
        if kind == "ifelse":
            return self.sat(("overlap", ("bool", p[1]), p[2]), i, top) & self.sat(("overlap", ("bool", ("not", p[1])), p[3]), i, top)
        if kind in ("overlap", "nonoverlap"):
            out = one
            for j in range(i - 1, i + length_sequence(p[1]) + 1):
                if kind == "overlap" and j < i:
                    continue
                m = self.tight(p[1], i, j, not top)
                if m:
                    out &= (one ^ m) | self.sat(p[2], j + (kind == "nonoverlap"), top)
            return out
        if kind in ("followed", "followednext"):
            dual = "overlap" if kind == "followed" else "nonoverlap"
            return self.sat(("not", (dual, p[1], ("not", p[2]))), i, top)
        if kind == "nexttime":
            return self.sat(p[2], i + p[1], top)
        if kind == "always":
            out = one
            for n in range(p[1], p[2] + 1):
                out &= self.sat(p[3], i + n, top)
            return out
        if kind == "eventually":
            out = 0
            for n in range(p[1], p[2] + 1):
                out |= self.sat(p[3], i + n, top)
            return out
        if kind == "forever":
            out = one
            for t in range(i, max(i, self.k + 1) + 1):
                out &= self.sat(p[1], t, top)
            return out
        if kind in ("until", "until_with"):
            first, second = self.sat(p[1], i, top), self.sat(p[2], i, top)
            if i > self.k:
                return first | second if kind == "until" else first
            later = self.sat(p, i + 1, top)
            return second | (first & later) if kind == "until" else first & (second | later)
        raise ValueError(kind)


# Machines: two registers with random next values, explicit.

class Machine:
    def __init__(self, rng):
        self.next = [make_boolean(rng, 2, False) for _ in REGISTERS]
        self.init = [rng.choice([0, 0, 1, None]) for _ in REGISTERS]
        self.reset = rng.choice(["none", "sync", "async"])
        self.level = rng.choice([0, 1])
        self.resets_to = [rng.choice([0, 1]) for _ in REGISTERS]

    def text(self, name, lines):
        declared = ", ".join(f"output logic {r}" + ("" if v is None else f" = 1'b{v}") for r, v in zip(REGISTERS, self.init))
        body = "\n".join(f"    {r} <= {text_boolean(e)};" for r, e in zip(REGISTERS, self.next))
        resets = " ".join(f"{r} <= 1'b{v};" for r, v in zip(REGISTERS, self.resets_to))
        edge = f" or {'posedge' if self.level else 'negedge'} r" if self.reset == "async" else ""
        guard = "r" if self.level else "!r"
        if self.reset == "none":
            process = f"  always_ff @(posedge clk) begin\n{body}\n  end"
        else:
            process = f"  always_ff @(posedge clk{edge}) if ({guard}) begin {resets} end else begin\n{body}\n  end"
        return f"module {name}(input logic clk, {', '.join(INPUTS)}, {declared});\n{process}\n" + "\n".join(lines) + "\nendmodule\n"

    def evaluate(self, e, letter):
        kind = e[0]
        if kind == "name":
            return letter[e[1]]
        if kind == "not":
            return 1 - self.evaluate(e[1], letter)
        x, y = self.evaluate(e[1], letter), self.evaluate(e[2], letter)
        return x & y if kind == "and" else x | y if kind == "or" else x ^ y

    def see(self, registers, inputs):
        """The letter of a cycle: an asynchronous reset acts in it."""
        letter = dict(zip(INPUTS, inputs))
        letter.update(zip(REGISTERS, registers))
        if self.reset == "async" and letter["r"] == self.level:
            letter.update(zip(REGISTERS, self.resets_to))
        return letter

    def step(self, registers, inputs):
        letter = self.see(registers, inputs)
        if self.reset != "none" and letter["r"] == self.level:
            return tuple(self.resets_to)
        return tuple(self.evaluate(e, letter) for e in self.next)

    def starts(self):
        return itertools.product(*[[v] if v is not None else [0, 1] for v in self.init])


def states_with_history(machine, history):
    """Reachable (registers, letters before: newest first); before the first clock every variable has its start value."""
    everything = list(itertools.product([0, 1], repeat=len(INPUTS)))
    freeze = lambda letter: tuple(sorted(letter.items()))
    found = set()
    for registers in machine.starts():
        if history == 0:
            found.add((registers, ()))
            continue
        for inputs in everything:
            for before in machine.starts():
                # A register without an initializer may have held anything before.
                first = dict(zip(INPUTS, inputs))
                first.update(zip(REGISTERS, before))
                found.add((registers, (freeze(first),) * history))
    todo = list(found)
    while todo:
        registers, past = todo.pop()
        for inputs in everything:
            letter = freeze(machine.see(registers, inputs))
            after = (machine.step(registers, inputs), ((letter,) + past)[:history])
            if after not in found:
                found.add(after)
                todo.append(after)
    return sorted(found)


def window(machine, states, history, cycles):
    runs = [(s[0], s[1], ()) for s in states]
    everything = list(itertools.product([0, 1], repeat=len(INPUTS)))
    for _ in range(cycles):
        runs = [(machine.step(r, i), past, letters + (machine.see(r, i),)) for r, past, letters in runs for i in everything]
    letters = [{} for _ in range(cycles + 4)]
    signals = INPUTS + REGISTERS
    for t in range(cycles):
        for s in signals:
            letters[t + 4][s] = int("".join(str(run[2][t][s]) for run in reversed(runs)), 2)
    for n in range(history):
        for s in signals:
            letters[3 - n][s] = int("".join(str(dict(run[1][n])[s]) for run in reversed(runs)), 2)
    return Words(letters, len(runs))


def fails_in(words, prop, disable, cycles):
    """Mask of the runs in which the attempt that begins at 0 fails within the window."""
    alive, bad = words.all, 0
    for k in range(cycles):
        alive &= ~words.value(disable, k)
        bad |= alive & ~Semantics(words, k).sat(prop, 0)
    return bad & words.all


def fires_in(words, prop, disable, cycles):
    alive, fired = words.all, 0
    for k in range(cycles):
        alive &= ~words.value(disable, k)
        s = Semantics(words, k)
        for j in range(-1 if prop[0] == "nonoverlap" else 0, k + 1):
            fired |= alive & s.tight(prop[1], 0, j, False)
    return fired


def replay(machine, witness, prop, disable, history):
    """Does some attempt of the witness's run fail in its last cycle? Histories before the start are tried out."""
    cycles = witness["cycles"]
    n = len(cycles)
    value = lambda c, s: int(c[s]) if not isinstance(c[s], str) else int(c[s].split("'")[1][1:], 16 if "'h" in c[s] else 2)
    starts = [None]
    if history:
        starts = [dict(zip(INPUTS + REGISTERS, i + b)) for i in itertools.product([0, 1], repeat=len(INPUTS)) for b in machine.starts()]
    for before in starts:
        for begin in range(n):
            letters = [{} for _ in range(n - begin + 4)]
            for t in range(-4, n - begin):
                if begin + t >= 0:
                    letters[t + 4] = {s: value(cycles[begin + t], s) for s in INPUTS + REGISTERS}
                elif before:
                    letters[t + 4] = before
            words = Words(letters, 1)
            if any(words.value(disable, t) for t in range(n - begin)):
                continue
            if not Semantics(words, n - begin - 1).sat(prop, 0):
                return True
    return False


def legal_run(machine, witness):
    value = lambda c, s: int(c[s]) if not isinstance(c[s], str) else int(c[s].split("'")[1][1:], 16 if "'h" in c[s] else 2)
    state = None
    for c in witness["cycles"]:
        inputs = [value(c, s) for s in INPUTS]
        seen = [value(c, s) for s in REGISTERS]
        if state is None:
            possible = [r for r in machine.starts() if [machine.see(r, inputs)[x] for x in REGISTERS] == seen]
            if not possible:
                return False
            state = possible[0]
        elif [machine.see(state, inputs)[x] for x in REGISTERS] != seen:
            return False
        state = machine.step(state, inputs)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="build/release/callie")
    parser.add_argument("--modules", type=int, default=100)
    parser.add_argument("--properties", type=int, default=12, help="of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long")
    args = parser.parse_args()
    begin = time.time()
    counts, differences, checked = {}, 0, {"failing runs found": 0, "windows that decide": 0, "witnesses": 0, "antecedents": 0}
    for number in range(args.modules):
        if args.seconds and time.time() - begin > args.seconds:
            break
        rng = random.Random(f"{args.seed}/{number}")
        machine = Machine(rng)
        props, lines = [], []
        while len(props) < args.properties:
            past = rng.random() < 0.4
            prop = make_property(rng, rng.choice([1, 1, 2, 2, 3]), rng.choice([0, 1, 2, 3]), past, rng.random() < 0.25)
            if length_property(prop) > 4 or past_of(prop) > 3:
                continue
            disable = rng.choice([None, None, ("name", "r"), ("not", ("name", "r")), make_boolean(rng, 1, False)])
            clause = "" if disable is None else f"disable iff ({text_boolean(disable)}) "
            lines.append(f"  x{len(props)}: assert property (@(posedge clk) {clause}{text_property(prop)});")
            props.append((prop, disable or ("const", 0)))
        text = machine.text("m", lines)
        with tempfile.NamedTemporaryFile("w", suffix=".sv", delete=False) as out:
            out.write(text)
        done = subprocess.run([args.callie, "assert", "prove", out.name, "--json"], capture_output=True, text=True)
        os.unlink(out.name)
        if done.returncode != 0:
            print(f"module {number}: {done.stderr}\n{text}")
            differences += 1
            continue
        results = {r["name"]: r for r in json.loads(done.stdout)["assertions"]}
        reached = {}
        for i, (prop, disable) in enumerate(props):
            result = results[f"x{i}"]
            verdict = result["verdict"]
            counts[verdict] = counts.get(verdict, 0) + 1
            problem = None
            if verdict in ("unsupported", "undetermined"):
                counts[result["reason"]] = counts.get(result["reason"], 0) + 1
                continue
            history = past_of(prop)
            if history not in reached:
                reached[history] = states_with_history(machine, history)
            cycles = length_property(prop) + 1
            if is_unbounded(prop):
                cycles += 3
            states = reached[history]
            fit = cycles
            while fit > 1 and len(states) << (len(INPUTS) * fit) > 1 << MAX_BITS:
                fit -= 1
            if len(states) << (len(INPUTS) * fit) > 1 << MAX_BITS + 2:
                continue
            words = window(machine, states, history, fit)
            bad = fails_in(words, prop, disable, fit)
            decided = fit == cycles and not is_unbounded(prop)
            checked["failing runs found"] += bool(bad)
            checked["windows that decide"] += decided
            if verdict in ("proven", "vacuous") and bad:
                problem = "a run of the window fails"
            if verdict == "refuted":
                checked["witnesses"] += 1
                if decided and not bad:
                    problem = "no run of the window fails"
                elif not legal_run(machine, result["witness"]):
                    problem = "the witness is no run of the machine"
                elif not replay(machine, result["witness"], prop, disable, history):
                    problem = "the witness does not fail in its last cycle"
            if verdict in ("proven", "vacuous") and prop[0] in ("overlap", "nonoverlap") and fit == cycles and prop[2][0] == "seq":
                checked["antecedents"] += 1
                fired = bool(fires_in(words, prop, disable, fit))
                if fired != (verdict == "proven"):
                    problem = f"the antecedent {'matches' if fired else 'never matches'}"
            if problem:
                differences += 1
                print(f"module {number}, x{i}: {verdict}, but {problem}\n{machine.text('m', [lines[i]])}")
                if result["witness"]:
                    print(json.dumps(result["witness"]))
    print(json.dumps({"verdicts": counts, "checked": checked, "differences": differences, "seconds": round(time.time() - begin, 1)}))
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
