#include "assertions/generate/skeleton.h"

#include <algorithm>
#include <map>
#include <set>

#include "assertions/generate/expressions.h"
#include "assertions/syntax/printer.h"

namespace callie::assertions {

using ast::CaseKind;
using ast::Stmt;
using ast::StmtKind;
using ast::Uniqueness;
using Node = Skeleton::Node;

namespace {

template <typename F>
void visit(const std::vector<Node>& list, int depth, const F& f) {
  for (const Node& node : list) {
    f(node, depth);
    for (const auto& part : node.parts) visit(part, depth + 1, f);
  }
}

void write(const std::vector<Node>& list, std::string& out) {
  for (const Node& node : list) {
    switch (node.kind) {
      case Node::Kind::kAssign: out += 'a' + std::to_string(node.target); break;
      case Node::Kind::kIf:
        out += 'i';
        if (node.unique == Uniqueness::kUnique) out += 'u';
        if (node.unique == Uniqueness::kUnique0) out += '0';
        if (node.unique == Uniqueness::kPriority) out += 'p';
        for (const auto& part : node.parts) {
          out += '{';
          write(part, out);
          out += '}';
        }
        break;
      case Node::Kind::kCase:
        out += node.case_kind == CaseKind::kCase ? 'c' : node.case_kind == CaseKind::kCasez ? 'z' : node.case_kind == CaseKind::kCasex ? 'x' : 'n';
        if (node.unique == Uniqueness::kUnique) out += 'u';
        if (node.unique == Uniqueness::kUnique0) out += 'o';
        if (node.unique == Uniqueness::kPriority) out += 'p';
        for (size_t i = 0; i < node.parts.size(); ++i) {
          out += std::to_string(node.labels[i]) + '{';
          write(node.parts[i], out);
          out += '}';
        }
        out += 'e';
        break;
    }
  }
}

class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}

  StatusOr<Skeleton> read() {
    Skeleton out;
    const char letter = peek();
    const size_t at = std::string_view("CFSALcfsal").find(letter);
    if (letter == 0 || at == std::string_view::npos) return data_loss("shape '{}' does not begin with C, F, S, A or L", text_);
    ++position_;
    out.process = static_cast<Skeleton::Process>(at % 5);
    out.negedge = at >= 5;
    if (!part(out.body, 0) || position_ != text_.size()) return data_loss("shape '{}' is broken at character {}", text_, position_ + 1);
    return out;
  }

 private:
  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  bool accept(char c) {
    if (peek() != c) return false;
    ++position_;
    return true;
  }
  bool number(int& out) {
    const size_t begin = position_;
    out = 0;
    while (std::isdigit(static_cast<unsigned char>(peek())) && position_ - begin < 6) out = out * 10 + (text_[position_++] - '0');
    return position_ > begin;
  }
  bool part(std::vector<Node>& out, int depth) {
    if (depth > 40 || !accept('{')) return false;
    while (!accept('}')) {
      Node node;
      const char letter = peek();
      ++position_;
      if (letter == 'a') {
        if (!number(node.target)) return false;
      } else if (letter == 'i') {
        node.kind = Node::Kind::kIf;
        if (accept('u')) node.unique = Uniqueness::kUnique;
        else if (accept('0')) node.unique = Uniqueness::kUnique0;
        else if (accept('p')) node.unique = Uniqueness::kPriority;
        do {
          node.parts.emplace_back();
          if (!part(node.parts.back(), depth + 1)) return false;
        } while (node.parts.size() < 2 && peek() == '{');
      } else if (letter == 'c' || letter == 'z' || letter == 'x' || letter == 'n') {
        node.kind = Node::Kind::kCase;
        node.case_kind = letter == 'c' ? CaseKind::kCase : letter == 'z' ? CaseKind::kCasez : letter == 'x' ? CaseKind::kCasex : CaseKind::kInside;
        if (accept('u')) node.unique = Uniqueness::kUnique;
        else if (accept('o')) node.unique = Uniqueness::kUnique0;
        else if (accept('p')) node.unique = Uniqueness::kPriority;
        while (!accept('e')) {
          int labels = 0;
          if (!number(labels)) return false;
          node.labels.push_back(labels);
          node.parts.emplace_back();
          if (!part(node.parts.back(), depth + 1)) return false;
        }
      } else {
        return false;
      }
      out.push_back(std::move(node));
    }
    return true;
  }

  std::string_view text_;
  size_t position_ = 0;
};

class Abstractor {
 public:
  std::vector<Node> list(const Stmt& s) {
    std::vector<Node> out;
    add(s, out);
    return out;
  }

 private:
  void add(const Stmt& s, std::vector<Node>& out) {
    switch (s.kind) {
      case StmtKind::kBlock:
        for (const Stmt& inner : s.body) add(inner, out);
        return;
      case StmtKind::kAssign: {
        Node node;
        const auto [it, fresh] = targets_.emplace(print(*s.target), static_cast<int>(targets_.size()));
        node.target = it->second;
        out.push_back(node);
        return;
      }
      case StmtKind::kIf: {
        Node node;
        node.kind = Node::Kind::kIf;
        node.unique = s.unique;
        for (const Stmt& part : s.body) node.parts.push_back(list(part));
        out.push_back(std::move(node));
        return;
      }
      case StmtKind::kCase: {
        Node node;
        node.kind = Node::Kind::kCase;
        node.unique = s.unique;
        node.case_kind = s.case_kind;
        for (const ast::CaseArm& arm : s.arms) {
          node.labels.push_back(static_cast<int>(arm.labels.size()));
          node.parts.push_back(list(arm.body[0]));
        }
        out.push_back(std::move(node));
        return;
      }
      default: return;
    }
  }

  std::map<std::string, int> targets_;
};

bool assigns_constants_only(const Stmt& s) {
  switch (s.kind) {
    case StmtKind::kAssign: {
      std::set<std::string> names;
      collect_names(*s.expr, names);
      // An upper-case name is taken for a parameter or an enumeration's member.
      return std::all_of(names.begin(), names.end(), [](const std::string& name) {
        return std::none_of(name.begin(), name.end(), [](char c) { return std::islower(static_cast<unsigned char>(c)); });
      });
    }
    case StmtKind::kBlock: return std::all_of(s.body.begin(), s.body.end(), assigns_constants_only);
    case StmtKind::kNull: return true;
    default: return false;
  }
}

bool looks_like_reset(const ast::Expr& condition) {
  std::set<std::string> names;
  collect_names(condition, names);
  if (names.size() != 1) return false;
  std::string lower = *names.begin();
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.find("rst") != std::string::npos || lower.find("reset") != std::string::npos;
}

}  // namespace

int Skeleton::depth() const {
  int out = 0;
  visit(body, 1, [&](const Node& node, int depth) { if (node.kind != Node::Kind::kAssign) out = std::max(out, depth); });
  return out;
}

int Skeleton::branches() const {
  int out = 0;
  visit(body, 1, [&](const Node& node, int) { out += static_cast<int>(node.parts.size()); });
  return out;
}

int Skeleton::assigns() const {
  int out = 0;
  visit(body, 1, [&](const Node& node, int) { out += node.kind == Node::Kind::kAssign; });
  return out;
}

int Skeleton::targets() const {
  int out = 0;
  visit(body, 1, [&](const Node& node, int) { if (node.kind == Node::Kind::kAssign) out = std::max(out, node.target + 1); });
  return out;
}

std::string to_text(const Skeleton& skeleton) {
  std::string out(1, std::string_view("CFSALcfsal")[static_cast<size_t>(skeleton.process) + (skeleton.negedge ? 5 : 0)]);
  out += '{';
  write(skeleton.body, out);
  return out + '}';
}

StatusOr<Skeleton> parse_skeleton(std::string_view text) { return TextReader(text).read(); }

Skeleton skeleton_of(const ast::Item& always) {
  Skeleton out;
  if (always.body.empty()) return out;
  const Stmt* body = &always.body[0];
  bool clocked = false, second_edge = false;
  if (body->kind == StmtKind::kTimed && body->event) {
    int edges = 0;
    for (const ast::EventTerm& term : body->event->terms) edges += term.edge != ast::Edge::kAny;
    clocked = edges > 0;
    second_edge = edges > 1;
    if (clocked) out.negedge = body->event->terms[0].edge == ast::Edge::kNeg;
    body = &body->body[0];
  }
  out.process = clocked ? Skeleton::Process::kClocked
                : always.always == ast::AlwaysKind::kLatch ? Skeleton::Process::kLatch
                                                           : Skeleton::Process::kComb;
  while (body->kind == StmtKind::kBlock && body->body.size() == 1) body = &body->body[0];
  if (clocked && body->kind == StmtKind::kIf && assigns_constants_only(body->body[0]) &&
      (second_edge || looks_like_reset(*body->expr))) {
    out.process = second_edge ? Skeleton::Process::kAsyncReset : Skeleton::Process::kSyncReset;
    if (body->body.size() < 2) return out;
    body = &body->body[1];
  }
  out.body = Abstractor().list(*body);
  return out;
}

}  // namespace callie::assertions
