#!/usr/bin/env python3
"""Writes lookup_prompts.jsonl: code edits (asked as a chat) and repetitive code (to be continued), for prompt look-up.

  bench/speculation/make_lookup_prompts.py > bench/speculation/lookup_prompts.jsonl
"""
import json

INVENTORY = '''class Inventory:
    """Items in stock with their prices."""

    def __init__(self):
        self.items = {}
        self.prices = {}

    def add(self, name, count, price):
        if count < 1:
            raise ValueError("count must be positive")
        if price < 0:
            raise ValueError("price must not be negative")
        self.items[name] = self.items.get(name, 0) + count
        self.prices[name] = price

    def remove(self, name, count):
        if self.items.get(name, 0) < count:
            raise KeyError(name)
        self.items[name] -= count
        if self.items[name] == 0:
            del self.items[name]
            del self.prices[name]

    def total(self):
        return sum(count * self.prices[name] for name, count in self.items.items())

    def report(self):
        lines = []
        for name in sorted(self.items):
            lines.append(f"{name}: {self.items[name]} x {self.prices[name]}")
        return "\\n".join(lines)
'''

QUEUE = '''#include <condition_variable>
#include <mutex>
#include <queue>

template <typename T>
class BlockingQueue {
 public:
  explicit BlockingQueue(size_t limit) : limit_(limit) {}

  void push(T value) {
    std::unique_lock<std::mutex> lock(mutex_);
    not_full_.wait(lock, [this] { return queue_.size() < limit_; });
    queue_.push(std::move(value));
    not_empty_.notify_one();
  }

  T pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    not_empty_.wait(lock, [this] { return !queue_.empty(); });
    T value = std::move(queue_.front());
    queue_.pop();
    not_full_.notify_one();
    return value;
  }

  size_t size() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return queue_.size();
  }

 private:
  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable not_full_, not_empty_;
  std::queue<T> queue_;
};
'''

PARSER = '''def parse_line(line):
    fields = line.strip().split(",")
    if len(fields) != 4:
        return None
    name, date, amount, currency = fields
    try:
        amount = float(amount)
    except ValueError:
        return None
    return {"name": name, "date": date, "amount": amount, "currency": currency}


def read_file(path):
    records = []
    with open(path) as file:
        for line in file:
            record = parse_line(line)
            if record is not None:
                records.append(record)
    return records


def totals(records):
    result = {}
    for record in records:
        key = record["currency"]
        result[key] = result.get(key, 0.0) + record["amount"]
    return result


def print_totals(path):
    for currency, amount in sorted(totals(read_file(path)).items()):
        print(f"{currency}: {amount:.2f}")
'''

SERVER = '''const express = require("express");
const app = express();
app.use(express.json());

const users = new Map();

app.get("/users", (req, res) => {
  res.json([...users.values()]);
});

app.get("/users/:id", (req, res) => {
  const user = users.get(req.params.id);
  if (!user) {
    return res.status(404).json({ error: "not found" });
  }
  res.json(user);
});

app.post("/users", (req, res) => {
  const { id, name, email } = req.body;
  if (!id || !name) {
    return res.status(400).json({ error: "id and name are required" });
  }
  users.set(id, { id, name, email });
  res.status(201).json(users.get(id));
});

app.delete("/users/:id", (req, res) => {
  if (!users.delete(req.params.id)) {
    return res.status(404).json({ error: "not found" });
  }
  res.status(204).end();
});

app.listen(3000);
'''

MATRIX = '''def multiply(a, b):
    n = len(a)
    m = len(b[0])
    k = len(b)
    result = [[0] * m for _ in range(n)]
    for i in range(n):
        for j in range(m):
            for l in range(k):
                result[i][j] += a[i][l] * b[l][j]
    return result


def transpose(a):
    return [[a[i][j] for i in range(len(a))] for j in range(len(a[0]))]


def identity(n):
    result = [[0] * n for _ in range(n)]
    for i in range(n):
        result[i][i] = 1
    return result


def power(a, exponent):
    result = identity(len(a))
    while exponent > 0:
        if exponent % 2 == 1:
            result = multiply(result, a)
        a = multiply(a, a)
        exponent //= 2
    return result
'''

EDITS = [
    ("python", INVENTORY, "Rename the method `total` to `value` and raise ValueError instead of KeyError in `remove`."),
    ("python", INVENTORY, "Add type hints to every method."),
    ("cpp", QUEUE, "Add a method `bool try_pop(T* value)` that does not wait, and keep everything else."),
    ("cpp", QUEUE, "Rename the class to `BoundedQueue` and the method `size` to `count`."),
    ("python", PARSER, "Make the separator a parameter of `parse_line` and `read_file` with the default \",\"."),
    ("python", PARSER, "Add a one-line docstring to every function. Change nothing else."),
    ("javascript", SERVER, "Rename `users` to `accounts` everywhere, the paths included."),
    ("javascript", SERVER, "Listen on the port in the environment variable PORT, and log it."),
    ("python", MATRIX, "Rename the variable `l` to `inner` in `multiply` and check that the shapes fit."),
    ("python", MATRIX, "Use floats: zeros and ones become 0.0 and 1.0."),
]

REPETITIVE = [
    "import unittest\n\nfrom shapes import area\n\n\nclass AreaTest(unittest.TestCase):\n" + "".join(
        f"    def test_{shape}_{size}(self):\n        shape = {{\"kind\": \"{shape}\", \"size\": {size}}}\n"
        f"        self.assertAlmostEqual(area(shape), EXPECTED[\"{shape}\"][{size}])\n\n"
        for shape, size in [("circle", 1), ("circle", 2), ("square", 1), ("square", 2)]) + "    def test_triangle_1(self):\n",
    "#pragma once\n\nclass Settings {\n public:\n" + "".join(
        f"  int {name}() const {{ return {name}_; }}\n  void set_{name}(int value) {{ {name}_ = value; changed_ = true; }}\n\n"
        for name in ["width", "height", "depth"]) + "  int volume() const { return volume_; }\n",
    "CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL, stock INTEGER NOT NULL);\n"
    + "".join(f"INSERT INTO product (id, name, price, stock) VALUES ({i}, '{name}', {price}, {stock});\n"
              for i, (name, price, stock) in enumerate([("chair", 49.9, 12), ("table", 199.0, 3), ("lamp", 24.5, 40),
                                                        ("shelf", 89.0, 7)], 1)) + "INSERT INTO",
    "from dataclasses import dataclass\n\n\n" + "".join(
        f"@dataclass\nclass {name}:\n    id: int\n    name: str\n    created_at: str\n    updated_at: str\n\n"
        f"    def to_dict(self):\n        return {{\"id\": self.id, \"name\": self.name, \"created_at\": self.created_at, "
        f"\"updated_at\": self.updated_at}}\n\n\n" for name in ["Customer", "Supplier"]) + "@dataclass\nclass Warehouse:\n",
    "switch (code) {\n" + "".join(
        f"  case {code}:\n    log(\"{name}\");\n    count[{code}] += 1;\n    return Status(StatusCode::{name}, message);\n"
        for code, name in [(1, "kCancelled"), (2, "kUnknown"), (3, "kInvalidArgument"), (4, "kDeadlineExceeded")]) + "  case 5:\n",
    "import pytest\n\nfrom calculator import evaluate\n\n\n" + "".join(
        f"def test_{name}():\n    result = evaluate(\"{expression}\")\n    assert result.ok\n    assert result.value == {value}\n    "
        f"assert result.warnings == []\n\n\n" for name, expression, value in
        [("sum", "1 + 2", 3), ("difference", "7 - 5", 2), ("product", "3 * 4", 12)]) + "def test_quotient():\n",
]


def main():
    for language, code, instruction in EDITS:
        question = f"{instruction} Answer with the whole changed code and nothing else.\n\n```{language}\n{code}```"
        print(json.dumps({"class": "edit", "question": question}))
    for prompt in REPETITIVE:
        print(json.dumps({"class": "repetitive", "prompt": prompt}))


if __name__ == "__main__":
    main()
