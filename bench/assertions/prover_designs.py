"""Small designs with right and wrong properties, written for prover_check.py. Each property is an immediate assertion in
the subset that Yosys reads too; `expected` is what its author meant, or None.
"""


def module(name, ports, body, prop, clocked=True):
    assertion = (f"  reg f_past_valid = 0;\n  always @(posedge clk) f_past_valid <= 1;\n  always @(posedge clk) begin\n{prop}\n  end\n"
                 if clocked else f"  always @* begin\n{prop}\n  end\n")
    return f"module {name}(input clk, {ports});\n{body}\n{assertion}endmodule\n"


def designs():
    """(name, source, expected) for each property."""
    out = []

    def add(name, ports, body, properties, clocked=True):
        for i, (prop, expected) in enumerate(properties):
            out.append((f"{name}_{i}", module("m", ports, body, "    " + prop, clocked), expected))

    for width, top in [(3, 5), (4, 11), (5, 20), (6, 40), (7, 60)]:
        body = f"  reg [{width - 1}:0] n = 0;\n  always @(posedge clk) if (rst || n == {top}) n <= 0; else if (en) n <= n + 1;"
        add(f"counter{top}", "input rst, en", body, [
            (f"assert (n <= {top});", True), (f"assert (n < {top});", False),
            (f"assert (n != {2 ** width - 1});", True),
            (f"if (f_past_valid && $past(en) && !$past(rst) && $past(n) != {top}) assert (n == $past(n) + 1'b1);", True),
            (f"if (f_past_valid && $past(rst)) assert (n == 0);", True),
            (f"if (f_past_valid && $past(en)) assert (n == $past(n) + 1'b1);", False),
            (f"if (f_past_valid && !$past(en) && !$past(rst)) assert ($stable(n));", False),
        ])
    for depth in [2, 3, 5, 8, 12]:
        stages = "\n".join(f"  always @(posedge clk) s{i} <= {'d' if i == 0 else f's{i - 1}'};" for i in range(depth))
        body = "  reg " + ", ".join(f"s{i} = 0" for i in range(depth)) + ";\n" + stages + \
            f"\n  reg [{depth}:0] h = 0; always @(posedge clk) h <= {{h[{depth - 1}:0], d}};"
        add(f"shift{depth}", "input d", body, [
            (f"assert (s{depth - 1} == h[{depth - 1}]);", True), (f"assert (s{depth - 1} == h[{depth - 2}]);", False),
            (f"if (f_past_valid) assert (s{depth - 1} == $past(s{depth - 2}));", True),
            ("if (f_past_valid) assert (s0 == $past(d));", True), (f"assert (!(s0 && s{depth - 1} && !h[0]));", True),
        ])
    for bits in [2, 3, 4, 5]:
        size = 2 ** bits
        body = (f"  reg [{bits}:0] wp = 0, rp = 0;\n  wire [{bits}:0] fill = wp - rp;\n  wire full = fill == {size}, empty = fill == 0;\n"
                "  always @(posedge clk) if (rst) begin wp <= 0; rp <= 0; end else begin\n"
                "    if (push && !full) wp <= wp + 1;\n    if (pop && !empty) rp <= rp + 1;\n  end")
        add(f"fifo{size}", "input rst, push, pop", body, [
            (f"assert (fill <= {size});", True), (f"assert (fill < {size});", False), ("assert (!(full && empty));", True),
            ("if (f_past_valid && $past(full) && !$past(rst)) assert (wp == $past(wp));", True),
            ("if (f_past_valid && $past(empty)) assert (rp == $past(rp));", None if size else None),
            ("if (f_past_valid && $past(push) && !$past(pop) && !$past(full) && !$past(rst)) assert (fill == $past(fill) + 1'b1);", True),
            ("if (f_past_valid && $past(push) && !$past(rst)) assert (wp != $past(wp));", False),
        ])
    for bits in [4, 5, 7, 8]:
        body = (f"  reg [{bits - 1}:0] x = 1;\n  always @(posedge clk) x <= {{x[{bits - 2}:0], x[{bits - 1}] ^ x[{bits - 2}]}};")
        add(f"lfsr{bits}", "input unused", body, [
            ("assert (x != 0);", True), (f"assert (x != {2 ** bits - 1});", None), ("assert (x[0] || x[1] || x != 4);", None),
            ("if (f_past_valid) assert (x[1] == $past(x[0]));", True), ("if (f_past_valid) assert (x != $past(x));", True),
        ])
    for n in [2, 3, 4, 6]:
        body = (f"  reg [{n - 1}:0] t = 1, g = 0;\n  always @(posedge clk) t <= {{t[{n - 2}:0], t[{n - 1}]}};\n"
                "  always @(posedge clk) g <= rst ? 0 : r & t;")
        add(f"arbiter{n}", f"input rst, input [{n - 1}:0] r", body, [
            ("assert ((t & (t - 1'b1)) == 0);", True), ("assert (t != 0);", True), ("assert ((g & (g - 1'b1)) == 0);", True),
            ("if (f_past_valid && g != 0) assert (($past(r) & g) != 0);", True), ("assert (g == 0 || g == t);", False),
            ("if (f_past_valid && !$past(rst) && ($past(r) & $past(t)) != 0) assert (g != 0);", True), ("assert (!(g[0] && r[0]));", False),
        ])
    for bits in [3, 4, 6]:
        body = (f"  reg [{bits - 1}:0] b = 0, g = 0;\n  wire [{bits - 1}:0] c = b + 1'b1;\n"
                "  always @(posedge clk) if (en) begin b <= c; g <= c ^ (c >> 1); end")
        add(f"gray{bits}", "input en", body, [
            ("assert (g == (b ^ (b >> 1)));", True),
            ("if (f_past_valid) assert (((g ^ $past(g)) & ((g ^ $past(g)) - 1'b1)) == 0);", True),
            ("if (f_past_valid && $past(en)) assert (g != $past(g));", True), (f"assert (g != {2 ** (bits - 1)});", False),
            ("assert (g == b);", False),
        ])
    body = ("  localparam IDLE = 0, REQ = 1, WAIT = 2, DONE = 3, BAD = 4;\n  reg [2:0] s = IDLE;\n  reg [1:0] k = 0;\n"
            "  always @(posedge clk) if (rst) begin s <= IDLE; k <= 0; end else case (s)\n"
            "    IDLE: if (go) s <= REQ;\n    REQ: if (ack) begin s <= WAIT; k <= 3; end\n"
            "    WAIT: if (k == 0) s <= DONE; else k <= k - 1;\n    DONE: s <= IDLE;\n    default: s <= BAD;\n  endcase")
    add("machine", "input rst, go, ack", body, [
        ("assert (s != BAD);", True), ("assert (s < 4);", True), ("assert (s != DONE);", False),
        ("if (s == DONE) assert (k == 0);", True), ("if (s == WAIT) assert (k != 0);", False),
        ("if (f_past_valid && s == DONE) assert ($past(s) == WAIT);", True), ("if (f_past_valid && s == REQ) assert ($past(go));", False),
        ("if (f_past_valid && $past(s) == DONE) assert (s == IDLE);", True), ("if (s == REQ) assert (k == 0);", True),
        ("if (s == IDLE) assert (!ack);", False),
    ])
    body = ("  reg v = 0; reg [3:0] x = 0;\n  always @(posedge clk) if (rst) v <= 0;\n"
            "    else if (!v || ready) begin v <= take; if (take) x <= d; end")
    add("handshake", "input rst, take, ready, input [3:0] d", body, [
        ("if (f_past_valid && !$past(rst) && $past(v) && !$past(ready)) assert (v && $stable(x));", True),
        ("if (f_past_valid && $past(v) && !$past(ready)) assert (v);", False),
        ("if (f_past_valid && !$past(rst) && $past(take) && (!$past(v) || $past(ready))) assert (v && x == $past(d));", True),
        ("if (f_past_valid && !$past(v) && v) assert (x == $past(d));", True), ("if (v) assert (ready);", False),
    ])
    for width in [4, 8, 16, 24]:
        ports = f"input [{width - 1}:0] a, b"
        add(f"arithmetic{width}", ports, f"  wire [{width}:0] s = a + b;\n  wire [{width - 1}:0] d = a - b, m = a < b ? a : b, x = a < b ? b : a;", [
            ("assert (s >= a);", True), ("assert (m <= x);", True), ("assert (m + x == s);", True), ("assert (d + b == a);", None),
            ("assert (s[" + str(width - 1) + ":0] >= a);", False), ("if (a >= b) assert (d <= a);", True), ("assert ((a ^ b) == (a | b) - (a & b));", True),
            ("assert (d <= a);", False),
        ], clocked=False)
    for width in [3, 4, 5, 6]:
        add(f"product{width}", f"input [{width - 1}:0] a, b, c", f"  wire [{2 * width - 1}:0] p = a * b, q = b * a;", [
            ("assert (p == q);", True), (f"assert (p[0] == (a[0] & b[0]));", True), ("assert (p != 9);", False),
            ("if (a == 2) assert (p == {b, 1'b0});", True),
        ], clocked=False)
    for n in [4, 8, 16]:
        bits = n.bit_length() - 1
        add(f"memory{n}", f"input we, input [{bits - 1}:0] wa, ra, input [3:0] d",
            f"  reg [3:0] mem [0:{n - 1}];\n  reg [3:0] q = 0; reg [{bits - 1}:0] last = 0; reg [3:0] lastd = 0; reg wrote = 0;\n"
            "  always @(posedge clk) begin if (we) begin mem[wa] <= d; last <= wa; lastd <= d; wrote <= 1; end q <= mem[ra]; end", [
                ("if (wrote) assert (mem[last] == lastd);", True), ("assert (q == mem[ra]);", False),
                ("if (f_past_valid && $past(wrote) && $past(ra) == $past(last)) assert (q == $past(lastd));", True),
            ])
    for depth in [6, 20, 45, 90]:
        body = f"  reg [7:0] n = 0; reg lock = 0;\n  always @(posedge clk) begin n <= key == n[3:0] ? n + 1 : 0; if (n == {depth}) lock <= 1; end"
        add(f"lock{depth}", "input [3:0] key", body, [("assert (!lock);", False), (f"assert (n <= {depth} || lock || n > {depth});", True),
                                                      ("if (n == 0) assert (!lock || 1);", True)])
    for n in [3, 5, 8]:
        body = (f"  reg [{n - 1}:0] a = 1, b = {1 << (n - 1)};\n  always @(posedge clk) if (en) begin a <= {{a[{n - 2}:0], a[{n - 1}]}};"
                f" b <= {{b[0], b[{n - 1}:1]}}; end")
        add(f"rings{n}", "input en", body, [("assert ((a & (a - 1'b1)) == 0);", True), ("assert (a != 0 && b != 0);", True),
                                            ("assert (a != b);", None), ("assert (!(a[0] && !b[" + str(n - 1) + "]));", True)])
    return out
