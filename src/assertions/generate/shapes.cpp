#include "assertions/generate/shapes.h"

#include "core/atomic_file.h"

namespace callie::assertions {

using Node = Skeleton::Node;

namespace {

// The committed bank, as bytes.
constexpr unsigned char kShapeBank[] = {
#include "shape_bank.inc"
};

Node assign_node(int target) {
  Node out;
  out.target = target;
  return out;
}

std::vector<Node> assigns(int n) {
  std::vector<Node> out;
  for (int i = 0; i < n; ++i) out.push_back(assign_node(i));
  return out;
}

Node if_node(std::vector<Node> then_part) {
  Node out;
  out.kind = Node::Kind::kIf;
  out.parts.push_back(std::move(then_part));
  return out;
}

Skeleton::Process process(Dice& dice) {
  static constexpr Skeleton::Process kKinds[] = {Skeleton::Process::kComb, Skeleton::Process::kComb, Skeleton::Process::kClocked,
                                                 Skeleton::Process::kClocked, Skeleton::Process::kSyncReset, Skeleton::Process::kAsyncReset};
  return dice.pick(kKinds);
}

std::vector<Node> random_list(Dice& dice, int depth, int targets) {
  std::vector<Node> out;
  for (int i = dice.between(depth == 0 ? 0 : 1, 2); i > 0; --i) out.push_back(assign_node(dice.below(targets)));
  const int branches = depth >= 3 ? 0 : depth == 0 ? dice.between(1, 2) : dice.chance(45) ? 1 : 0;
  for (int i = 0; i < branches; ++i) {
    Node node;
    if (dice.chance(65)) {
      node = if_node(random_list(dice, depth + 1, targets));
      if (dice.chance(60)) node.parts.push_back(random_list(dice, depth + 1, targets));
    } else {
      node.kind = Node::Kind::kCase;
      node.case_kind = dice.chance(30) ? ast::CaseKind::kCasez : ast::CaseKind::kCase;
      node.unique = dice.chance(35) ? ast::Uniqueness::kUnique : ast::Uniqueness::kNone;
      for (int arm = dice.between(2, 4); arm > 0; --arm) {
        node.labels.push_back(dice.chance(85) ? 1 : 2);
        node.parts.push_back(random_list(dice, depth + 2, targets));
      }
      if (dice.chance(80)) {
        node.labels.push_back(0);
        node.parts.push_back(random_list(dice, depth + 2, targets));
      }
    }
    out.push_back(std::move(node));
  }
  return out;
}

StatusOr<Shape> parse_shape(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("shape") || !json["shape"].is_string()) return data_loss("no object with a 'shape'");
  Shape out;
  CALLIE_ASSIGN_OR_RETURN(out.skeleton, parse_skeleton(json["shape"].get<std::string>()));
  if (json.contains("count") && json["count"].is_number_integer()) out.count = json["count"].get<int>();
  CALLIE_ASSIGN_OR_RETURN(const Pair pair, pair_from_json(Json{{"source", json.value("source", Json(nullptr))}}));
  if (pair.source) out.source = *pair.source;
  return out;
}

StatusOr<ShapeBank> parse_bank(const std::string& name, std::string_view text) {
  ShapeBank out;
  int number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line(text.substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    StatusOr<Shape> shape = parse_shape(line);
    if (!shape.ok()) return shape.status().with_context(fmt::format("{}:{}", name, number));
    out.shapes.push_back(std::move(*shape));
  }
  return out;
}

}  // namespace

StatusOr<ShapeBank> read_shapes(const std::string& path) {
  CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  CALLIE_ASSIGN_OR_RETURN(ShapeBank out, parse_bank(path, text));
  if (out.shapes.empty()) return data_loss("{}: no shapes", path);
  return out;
}

const ShapeBank& built_in_shapes() {
  static const ShapeBank bank = [] {
    StatusOr<ShapeBank> out = parse_bank("shape bank", {reinterpret_cast<const char*>(kShapeBank), sizeof(kShapeBank)});
    return out.ok() ? std::move(*out) : ShapeBank{};
  }();
  return bank;
}

Skeleton vert_skeleton(Dice& dice) {
  Skeleton out;
  out.process = dice.chance(50) ? Skeleton::Process::kComb : dice.chance(60) ? Skeleton::Process::kClocked : process(dice);
  const int n = dice.between(1, 3);
  if (dice.chance(50)) {
    // if (A) { n; if (B) { n } if (C) { n } }, or an else-if chain.
    if (dice.chance(55)) {
      std::vector<Node> inner = assigns(n);
      inner.push_back(if_node(assigns(n)));
      if (dice.chance(60)) inner.push_back(if_node(assigns(n)));
      Node outer = if_node(std::move(inner));
      if (dice.chance(50)) outer.parts.push_back(assigns(n));
      out.body.push_back(std::move(outer));
    } else {
      std::vector<Node> tail = dice.chance(70) ? assigns(n) : std::vector<Node>{};
      for (int i = dice.between(1, 3); i > 0; --i) {
        Node node = if_node(assigns(n));
        if (!tail.empty()) node.parts.push_back(std::move(tail));
        tail = {std::move(node)};
      }
      out.body = std::move(tail);
    }
    return out;
  }
  Node node;
  node.kind = Node::Kind::kCase;
  for (int arm = dice.between(1, 5); arm > 0; --arm) {
    node.labels.push_back(1);
    node.parts.push_back(assigns(n));
  }
  node.labels.push_back(0);
  node.parts.push_back(assigns(n));
  out.body.push_back(std::move(node));
  return out;
}

Skeleton random_skeleton(Dice& dice) {
  Skeleton out;
  out.process = process(dice);
  out.body = random_list(dice, 0, dice.between(1, 3));
  return out;
}

}  // namespace callie::assertions
