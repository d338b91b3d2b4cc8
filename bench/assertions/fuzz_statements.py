#!/usr/bin/env python3
"""Random processes beside an interpreter: what `callie assert prove` makes of statements.

A process of random statements (nested if, case, casez, for, while, do, repeat, foreach, break, continue, return in
functions, part and indexed writes, blocking and nonblocking assignments, enumerations, packed structs) is run here for all 256
values of what it reads. The table of its results becomes an assertion, which must be proven; with one entry changed it
must be refuted, with a witness that shows that entry. Half of the processes are combinational, half are clocked.

    bench/assertions/fuzz_statements.py [--callie FILE] [--seed N] [--count N] [--keep FOLDER]
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

MASK = 255
VARIABLES = ["x", "y", "z"]


class Left(Exception):
    """break, continue or return."""

    def __init__(self, how):
        super().__init__(how)
        self.how = how


class Expression:
    """Text and meaning of an unsigned expression of 8 bits, or of a condition."""

    def __init__(self, text, value):
        self.text, self.value = text, value


def expression(rng, names, depth):
    """Over variables of 8 bits and loop variables (`int`, cut to 8 bits)."""
    if depth <= 0 or rng.random() < 0.25:
        if rng.random() < 0.3:
            n = rng.randrange(256) if rng.random() < 0.5 else rng.randrange(4)
            return Expression(rng.choice([f"8'd{n}", f"8'h{n:x}", f"8'b{n:b}"]), lambda env: n)
        name = rng.choice(names)
        return Expression(f"8'(unsigned'({name}))" if name.islower() and name[0] in "ij" else name, lambda env: env[name] & MASK)
    a, b = expression(rng, names, depth - 1), expression(rng, names, depth - 1)
    kind = rng.randrange(15)
    if kind < 6:
        op, f = rng.choice([("+", lambda p, q: p + q), ("-", lambda p, q: p - q), ("*", lambda p, q: p * q), ("&", lambda p, q: p & q),
                            ("|", lambda p, q: p | q), ("^", lambda p, q: p ^ q)])
        return Expression(f"({a.text} {op} {b.text})", lambda env: f(a.value(env), b.value(env)) & MASK)
    if kind < 9:
        c = condition(rng, names, depth - 1)
        return Expression(f"8'{c.text}", c.value)
    if kind == 9:
        return Expression(f"(~{a.text})", lambda env: ~a.value(env) & MASK)
    if kind == 10:
        amount = rng.randrange(8)
        if rng.random() < 0.5:
            return Expression(f"({a.text} << {amount})", lambda env: a.value(env) << amount & MASK)
        return Expression(f"({a.text} >> {amount})", lambda env: a.value(env) >> amount)
    if kind == 11:
        c = condition(rng, names, depth - 1)
        return Expression(f"({c.text} ? {a.text} : {b.text})", lambda env: a.value(env) if c.value(env) else b.value(env))
    name = rng.choice(VARIABLES)
    if name not in names:
        name = names[0]
    if kind == 12:
        low = rng.randrange(7)
        high = rng.randrange(low, 8)
        return Expression(f"8'({name}[{high}:{low}])", lambda env: env[name] >> low & ((1 << (high - low + 1)) - 1))
    if kind == 13:
        low = rng.randrange(1, 8)
        return Expression(f"{{{name}[{low - 1}:0], {name}[7:{low}]}}", lambda env: (env[name] << (8 - low) | env[name] >> low) & MASK)
    return Expression(f"8'({name}[3'({a.text})])", lambda env: env[name] >> (a.value(env) & 7) & 1)


def condition(rng, names, depth):
    a, b = expression(rng, names, depth - 1), expression(rng, names, depth - 1)
    kind = rng.randrange(8)
    if kind < 4:
        op, f = rng.choice([("<", lambda p, q: p < q), ("<=", lambda p, q: p <= q), ("==", lambda p, q: p == q), ("!=", lambda p, q: p != q),
                            (">", lambda p, q: p > q), (">=", lambda p, q: p >= q)])
        return Expression(f"({a.text} {op} {b.text})", lambda env: int(f(a.value(env), b.value(env))))
    if kind == 4:
        return Expression(f"(!{a.text})", lambda env: int(a.value(env) == 0))
    if kind == 5:
        op, f = rng.choice([("&", lambda p: p == MASK), ("|", lambda p: p != 0), ("^", lambda p: bin(p).count("1") & 1)])
        name = rng.choice(names[:1] + [n for n in names if n in VARIABLES])
        return Expression(f"({op}{name})", lambda env: int(f(env[name] & MASK)))
    op, f = rng.choice([("&&", lambda p, q: p and q), ("||", lambda p, q: p or q)])
    return Expression(f"({a.text} {op} {b.text})", lambda env: int(bool(f(a.value(env), b.value(env)))))


class Process:
    """Statements with their meaning. `env` holds the variables, `later` what nonblocking assignments will write."""

    def __init__(self, rng, clocked):
        self.rng, self.clocked = rng, clocked
        self.loops = 0
        self.functions = []

    # Which variables of a clocked process are assigned with <= (x, y) and which with = (z).
    def deferred(self, name):
        return self.clocked and name in ("x", "y")

    def write(self, name, value, low, width):
        deferred = self.deferred(name)

        def act(env):
            store = env["later"] if deferred else env
            old = store.get(name, env[name])
            at, bits = low(env), value(env)
            mask = (1 << width) - 1
            for i in range(width):
                if 0 <= at + i < 8:
                    old = old & ~(1 << (at + i)) | (bits & mask) >> i % width << (at + i) & (1 << (at + i))
            store[name] = old
        return "<=" if deferred else "=", act

    def assignment(self, names, depth):
        rng = self.rng
        name = rng.choice(VARIABLES)
        kind = rng.randrange(8)
        if kind < 4:
            e = expression(rng, names, depth)
            op, act = self.write(name, e.value, lambda env: 0, 8)
            return f"{name} {op} {e.text};", act
        if kind == 4:
            low = rng.randrange(7)
            high = rng.randrange(low, 8)
            e = expression(rng, names, depth)
            op, act = self.write(name, e.value, lambda env: low, high - low + 1)
            return f"{name}[{high}:{low}] {op} {e.text};", act
        if kind == 5:
            at, e = expression(rng, names, 1), condition(rng, names, depth)
            op, act = self.write(name, e.value, lambda env: at.value(env) & 7, 1)
            return f"{name}[3'({at.text})] {op} {e.text};", act
        if kind == 6:
            at, e = expression(rng, names, 1), expression(rng, names, depth)
            width = rng.choice([2, 3, 4])
            up = rng.random() < 0.5
            first = (lambda env: at.value(env) & 3) if up else (lambda env: (at.value(env) & 3) + 4 - width + 1)
            op, act = self.write(name, e.value, first, width)
            index = f"2'({at.text})" if up else f"3'({{1'b1, 2'({at.text})}})"
            return f"{name}[{index} {'+' if up else '-'}: {width}] {op} {e.text};", act
        if self.deferred(name):
            return self.assignment(names, depth)
        e = expression(rng, names, depth)
        op, f = rng.choice([("+=", lambda p, q: p + q), ("-=", lambda p, q: p - q), ("^=", lambda p, q: p ^ q), ("|=", lambda p, q: p | q)])

        def act(env):
            env[name] = f(env[name], e.value(env)) & MASK
        return f"{name} {op} {e.text};", act

    def block(self, names, depth, in_loop, in_function, indent):
        parts = [self.statement(names, depth, in_loop, in_function, indent + 1) for _ in range(self.rng.randrange(1, 4))]

        def act(env):
            for _, one in parts:
                one(env)
        pad = "  " * indent
        return "begin\n" + "".join(f"{pad}  {text}\n" for text, _ in parts) + pad + "end", act

    def statement(self, names, depth, in_loop, in_function, indent):
        rng = self.rng
        kind = rng.randrange(20) if depth > 0 else rng.randrange(7)
        if kind < 5:
            return self.assignment(names, 2)
        if kind == 5 and in_loop:
            how = rng.choice(["break", "continue"])
            c = condition(rng, names, 2)

            def leave(env):
                if c.value(env):
                    raise Left(how)
            return f"if ({c.text}) {how};", leave
        if kind == 6 and in_function:
            c, e = condition(rng, names, 2), expression(rng, names, 2)

            def back(env):
                if c.value(env):
                    env["result"] = e.value(env)
                    raise Left("return")
            return f"if ({c.text}) return {e.text};", back
        if kind < 7:
            return self.assignment(names, 2)
        if kind < 11:
            c = condition(rng, names, 2)
            yes, act_yes = self.block(names, depth - 1, in_loop, in_function, indent)
            if rng.random() < 0.5:
                return f"if ({c.text}) {yes}", lambda env: act_yes(env) if c.value(env) else None
            no, act_no = self.block(names, depth - 1, in_loop, in_function, indent)
            return f"if ({c.text}) {yes} else {no}", lambda env: act_yes(env) if c.value(env) else act_no(env)
        if kind < 14:
            return self.case(names, depth, in_loop, in_function, indent)
        if kind < 18:
            return self.loop(names, depth, in_function, indent)
        return self.call(names, depth, in_function)

    def case(self, names, depth, in_loop, in_function, indent):
        rng = self.rng
        wild = rng.random() < 0.4
        e = expression(rng, names, 1)
        arms = []
        for _ in range(rng.randrange(1, 4)):
            care = rng.randrange(1, 8) if wild else 7
            value = rng.randrange(8) & care
            label = "3'b" + "".join(str(value >> i & 1) if care >> i & 1 else "?" for i in (2, 1, 0))
            arms.append((label, care, value, self.block(names, depth - 1, in_loop, in_function, indent + 1)))
        default = self.block(names, depth - 1, in_loop, in_function, indent + 1) if rng.random() < 0.6 else None
        place = rng.randrange(len(arms) + 1)

        def act(env):
            selector = e.value(env) & 7
            for _, care, value, (_, body) in arms:
                if selector & care == value:
                    return body(env)
            return default[1](env) if default else None
        pad = "  " * indent
        lines = [f"{pad}  {label}: {body}" for label, _, _, (body, _) in arms]
        if default:
            lines.insert(place, f"{pad}  default: {default[0]}")
        return f"case{'z' if wild else ''} (3'({e.text}))\n" + "\n".join(lines) + f"\n{pad}endcase", act

    def loop(self, names, depth, in_function, indent):
        rng = self.rng
        self.loops += 1
        i = f"{'ij'[self.loops % 2]}{self.loops}"
        kind = rng.choice(["for", "for", "down", "while", "do", "repeat", "foreach"])
        turns = rng.randrange(1, 4)
        inner = names + ([] if kind == "repeat" else [i])
        # The counter of while and do moves first, so that continue cannot hold it.
        text, body = self.block(inner, depth - 1, True, in_function, indent)
        values = {"for": range(turns), "down": range(turns - 1, -1, -1), "while": range(1, turns + 1), "do": range(1, turns + 1),
                  "repeat": range(turns), "foreach": range(7, -1, -1)}[kind]

        def act(env):
            for n in values:
                env[i] = n
                try:
                    body(env)
                except Left as left:
                    if left.how == "break":
                        break
                    if left.how == "return":
                        raise
        pad = "  " * indent
        head = {"for": f"for (int {i} = 0; {i} < {turns}; {i}++) ", "down": f"for (int {i} = {turns - 1}; {i} >= 0; {i}--) ",
                "repeat": f"repeat ({turns}) ", "foreach": f"foreach (a8[{i}]) "}
        if kind in head:
            return head[kind] + text, act
        moved = text.replace("begin\n", f"begin\n{pad}    {i} = {i} + 1;\n", 1)
        if kind == "while":
            return f"begin\n{pad}  int {i};\n{pad}  {i} = 0;\n{pad}  while ({i} < {turns}) {moved}\n{pad}end", act
        return f"begin\n{pad}  int {i};\n{pad}  {i} = 0;\n{pad}  do {moved} while ({i} < {turns});\n{pad}end", act

    def call(self, names, depth, in_function):
        """name = f(e) with a function whose body may return from inside of loops."""
        rng = self.rng
        if in_function or self.clocked and rng.random() < 0.3:
            return self.assignment(names, 2)
        e = expression(rng, names, 1)
        name = rng.choice(VARIABLES)
        function = f"f{len(self.functions)}"
        inner = Process(rng, False)
        inner.loops = self.loops + 10
        body, act = inner.block(["p", "x", "y", "z"], depth - 1, False, True, 1)
        last = expression(rng, ["p", "x", "y", "z"], 2)
        self.loops = inner.loops
        text = (f"  function automatic logic [7:0] {function}(logic [7:0] p);\n    logic [7:0] x, y, z;\n    x = p; y = 8'd1; z = ~p;\n"
                f"    {body}\n    return {last.text};\n  endfunction\n")
        self.functions.append(text.replace("a8[", "p["))

        def value(env):
            own = {"p": e.value(env), "x": e.value(env), "y": 1, "z": ~e.value(env) & MASK, "later": {}}
            try:
                act(own)
                return last.value(own)
            except Left:
                return own["result"]
        op, write = self.write(name, value, lambda env: 0, 8)
        return f"{name} {op} {function}({e.text});", write


def design(seed, wrong):
    """A module, and what its process gives for each of the 256 values of a (and, clocked, of the state x)."""
    rng = random.Random(seed)
    clocked = rng.random() < 0.5
    process = Process(rng, clocked)
    names = ["a8", "x", "y", "z"] if not clocked else ["a8", "x"]
    body, act = process.block(names, 3, False, False, 2)
    table = []
    for a in range(256):
        env = {"a8": a & 15 if clocked else a, "x": a >> 4 if clocked else a ^ 85, "y": 3, "z": 0, "later": {}}
        if clocked:
            env["y"] = env["z"] = 0
        act(env)
        env.update(env["later"])
        table.append((env["x"], env["y"] ^ env["z"]))
    entry = rng.randrange(256)
    claimed = list(table)
    if wrong:
        claimed[entry] = (claimed[entry][0] ^ 1 << rng.randrange(4 if clocked else 8), claimed[entry][1])
    rows = "".join(f"      8'd{i}: want = 16'd{p << 8 | q};\n" for i, (p, q) in enumerate(claimed))
    functions = "".join(process.functions)
    lookup = f"  function automatic logic [15:0] want(logic [7:0] at);\n    case (at)\n{rows}      default: want = 16'd0;\n    endcase\n  endfunction\n"
    if not clocked:
        return (f"module m(input logic [7:0] a8);\n  logic [7:0] x, y, z;\n{functions}{lookup}"
                f"  always_comb begin\n    x = a8 ^ 8'd85; y = 8'd3; z = 8'd0;\n    {body}\n"
                f"    t: assert ({{x, y ^ z}} == want(a8));\n  end\nendmodule\n"), entry
    # The state is the low half of x; y is only written, z is written with = and read in the process only.
    return (f"module m(input logic clk, input logic [3:0] a, output logic [7:0] x, y);\n  wire [7:0] a8 = 8'(a);\n  logic [7:0] z;\n{functions}{lookup}"
            f"  always_ff @(posedge clk) begin\n    z = 8'd0; y <= 8'd0; x <= x;\n    {body}\n  end\n"
            f"  t: assert property (@(posedge clk) x < 16 |=> {{x, y ^ z}} == $past(want({{x[3:0], a}})));\nendmodule\n"), entry


def prove(callie, file):
    done = subprocess.run([callie, "assert", "prove", file, "--json", "--time-limit", "60"], capture_output=True, text=True)
    try:
        return json.loads(done.stdout)["assertions"][0]
    except (ValueError, KeyError, IndexError):
        return {"verdict": "error", "reason": done.stderr.strip()[:300], "witness": None}


def number(value):
    if isinstance(value, int):
        return value
    width, digits = value.split("'")
    return int(digits[1:], {"h": 16, "b": 2, "d": 10}[digits[0]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callie", default="build/release/callie")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--keep", help="a folder for the modules with a difference")
    args = parser.parse_args()
    different = refused = decided = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seed, args.seed + args.count):
            for wrong in (False, True):
                text, entry = design(seed, wrong)
                file = f"{folder}/m.sv"
                with open(file, "w") as out:
                    out.write(text)
                found = prove(args.callie, file)
                fine = found["verdict"] == ("refuted" if wrong else "proven")
                if fine and wrong:
                    cycle = found["witness"]["cycles"][-2 if "input logic clk" in text else -1]
                    shown = number(cycle["a8"]) if "a8" in cycle else number(cycle["x"]) << 4 | number(cycle["a"])
                    fine = shown == entry
                if found["verdict"] in ("error", "unsupported", "undetermined"):
                    refused += 1
                else:
                    decided += 1
                if fine:
                    continue
                different += found["verdict"] not in ("error", "unsupported", "undetermined")
                print(f"seed {seed}{' wrong entry ' + str(entry) if wrong else ''}: {found['verdict']} {found['reason']}")
                if args.keep:
                    os.makedirs(args.keep, exist_ok=True)
                    with open(f"{args.keep}/{seed}{'w' if wrong else ''}.sv", "w") as out:
                        out.write(text)
    print(f"{decided} decided, {different} different, {refused} refused")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
