#include "assertions/dataset/pair.h"

namespace callie::assertions {
namespace {

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

/// Reads the members of one object; remembers the first one of a wrong type.
class Reader {
 public:
  Reader(const Json& json, std::string path, std::string& problem) : json_(json), path_(std::move(path)), problem_(problem) {
    if (!json.is_object()) complain("", "an object");
  }

  const Json* get(const char* key) const {
    if (!json_.is_object()) return nullptr;
    const auto it = json_.find(key);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  void read(const char* key, std::string& out) { take(key, out, "text", &Json::is_string); }
  void read(const char* key, bool& out) { take(key, out, "true or false", &Json::is_boolean); }
  void read(const char* key, int& out) {
    const Json* value = get(key);
    if (!value) return;
    if (!value->is_number_integer() || value->get<int64_t>() < -1 || value->get<int64_t>() > 1000000000) complain(key, "a whole number");
    else out = value->get<int>();
  }
  void read(const char* key, uint64_t& out) { take(key, out, "a whole number", &Json::is_number_unsigned); }
  template <typename T, typename F>
  void list(const char* key, std::vector<T>& out, F one) {
    const Json* value = get(key);
    if (!value) return;
    if (!value->is_array()) return complain(key, "a list");
    for (size_t i = 0; i < value->size() && problem_.empty(); ++i) {
      T item;
      one((*value)[i], fmt::format("{}{}[{}]", path_, key, i), item);
      out.push_back(std::move(item));
    }
  }
  template <typename F>
  void object(const char* key, F one) {
    if (const Json* value = get(key)) {
      Reader inner(*value, path_ + key + ".", problem_);
      one(inner);
    }
  }
  void complain(const std::string& key, std::string_view expected) {
    if (!problem_.empty()) return;
    std::string name = path_ + key;
    if (key.empty() && !name.empty()) name.pop_back();
    problem_ = name.empty() ? fmt::format("the line is not {}", expected) : fmt::format("'{}' is not {}", name, expected);
  }

 private:
  template <typename T>
  void take(const char* key, T& out, std::string_view expected, bool (Json::*is)() const noexcept) {
    const Json* value = get(key);
    if (!value) return;
    if (!(value->*is)()) complain(key, expected);
    else out = value->get<T>();
  }

  const Json& json_;
  std::string path_;
  std::string& problem_;
};

}  // namespace

std::string vert_instruction(const std::string& code, bool synchronous, const std::string& clock_text) {
  return fmt::format("Generate a list of {} systemverilog assertion{} from the following code:\n{}",
                     synchronous ? "synchronous" : "asynchronous",
                     clock_text.empty() ? "" : " executing at " + clock_text, code);
}

std::string vert_prompt(const std::string& instruction) {
  return "You are a programming assistant for hardware verification. You answer with SystemVerilog only.\n"
         "### Instruction:\n" + instruction + "\n### Response:\n";
}

Json to_json(const Pair& p) {
  Json out;
  out["Code"] = p.code;
  out["Assertion"] = p.assertion;
  out["Synchronous"] = p.synchronous ? "True" : "False";
  out["Clock"] = or_null(p.clock_text);
  out["id"] = p.id;
  out["schema"] = p.schema;
  out["seed"] = p.seed;
  out["split"] = or_null(p.split);
  out["tier"] = p.tier;
  out["construct"] = Json{{"kind", p.construct.kind}, {"depth", p.construct.depth}, {"arms", p.construct.arms},
                          {"has_else", p.construct.has_else}, {"has_default", p.construct.has_default},
                          {"reset", p.construct.reset}, {"unique", p.construct.unique}};
  out["module"] = p.module;
  out["signals"] = Json::array();
  for (const Pair::Signal& s : p.signals) {
    out["signals"].push_back(Json{{"name", s.name}, {"width", s.width}, {"signed", s.is_signed}, {"dir", s.dir},
                                  {"enum", s.members.empty() ? Json(nullptr) : Json(s.members)}});
  }
  out["clock"] = p.clock ? Json{{"name", p.clock->name}, {"edge", p.clock->edge}} : Json(nullptr);
  out["reset"] = p.reset ? Json{{"name", p.reset->name}, {"level", p.reset->level}, {"async", p.reset->async}} : Json(nullptr);
  out["assertions"] = Json::array();
  for (const Pair::AssertionInfo& a : p.assertions) {
    out["assertions"].push_back(Json{{"name", a.name}, {"text", a.text}, {"form", a.form},
                                     {"antecedent", or_null(a.antecedent)}, {"consequent", or_null(a.consequent)},
                                     {"target", or_null(a.target)}, {"path", a.path < 0 ? Json(nullptr) : Json(a.path)}});
  }
  out["lowered"] = or_null(p.lowered);
  out["proof"] = Json::array();
  for (const Pair::Proof& proof : p.proof) {
    out["proof"].push_back(Json{{"obligation", proof.obligation}, {"engine", proof.engine}, {"verdict", proof.verdict},
                                {"ms", proof.ms ? Json(*proof.ms) : Json(nullptr)}});
  }
  out["mutants"] = Json::array();
  for (const Pair::Mutant& m : p.mutants) {
    out["mutants"].push_back(Json{{"kind", m.kind}, {"of", or_null(m.of)}, {"text", m.text}, {"verdict", m.verdict},
                                  {"witness", m.witness}});
  }
  out["hash"] = Json{{"exact", p.hash.exact}, {"alpha", p.hash.alpha}, {"shape", p.hash.shape}};
  out["source"] = p.source ? Json{{"repo", p.source->repo}, {"commit", or_null(p.source->commit)}, {"path", p.source->path},
                                  {"lines", p.source->lines}, {"spdx", p.source->spdx}}
                           : Json(nullptr);
  out["chars"] = p.chars;
  out["tokens"] = p.tokens;
  const std::string instruction = vert_instruction(p.code, p.synchronous, p.clock_text);
  out["messages"] = Json::array({Json{{"role", "user"}, {"content", instruction}},
                                 Json{{"role", "assistant"}, {"content", p.assertion}}});
  out["prompt"] = vert_prompt(instruction);
  out["completion"] = p.assertion;
  return out;
}

std::string write_pair(const Pair& pair) { return to_json(pair).dump(-1, ' ', false, Json::error_handler_t::replace); }

StatusOr<Pair> pair_from_json(const Json& json) {
  Pair p;
  std::string problem;
  Reader in(json, "", problem);
  in.read("Code", p.code);
  in.read("Assertion", p.assertion);
  std::string synchronous;
  if (const Json* value = in.get("Synchronous"); value && value->is_boolean()) {
    p.synchronous = value->get<bool>();
  } else {
    in.read("Synchronous", synchronous);
    p.synchronous = synchronous == "True" || synchronous == "true";
    if (!synchronous.empty() && !p.synchronous && synchronous != "False" && synchronous != "false") {
      in.complain("Synchronous", "\"True\" or \"False\"");
    }
  }
  in.read("Clock", p.clock_text);
  in.read("id", p.id);
  in.read("schema", p.schema);
  in.read("seed", p.seed);
  in.read("split", p.split);
  in.read("tier", p.tier);
  in.object("construct", [&](Reader& r) {
    r.read("kind", p.construct.kind);
    r.read("depth", p.construct.depth);
    r.read("arms", p.construct.arms);
    r.read("has_else", p.construct.has_else);
    r.read("has_default", p.construct.has_default);
    r.read("reset", p.construct.reset);
    r.read("unique", p.construct.unique);
  });
  in.read("module", p.module);
  in.list("signals", p.signals, [&](const Json& j, const std::string& path, Pair::Signal& s) {
    Reader r(j, path + ".", problem);
    r.read("name", s.name);
    r.read("width", s.width);
    r.read("signed", s.is_signed);
    r.read("dir", s.dir);
    r.list("enum", s.members, [&](const Json& name, const std::string& at, std::string& out) {
      if (name.is_string()) out = name.get<std::string>();
      else if (problem.empty()) problem = fmt::format("'{}' is not text", at);
    });
  });
  in.object("clock", [&](Reader& r) {
    p.clock.emplace();
    r.read("name", p.clock->name);
    r.read("edge", p.clock->edge);
  });
  in.object("reset", [&](Reader& r) {
    p.reset = Pair::ResetInfo{};
    r.read("name", p.reset->name);
    r.read("level", p.reset->level);
    r.read("async", p.reset->async);
  });
  in.list("assertions", p.assertions, [&](const Json& j, const std::string& path, Pair::AssertionInfo& a) {
    Reader r(j, path + ".", problem);
    r.read("name", a.name);
    r.read("text", a.text);
    r.read("form", a.form);
    r.read("antecedent", a.antecedent);
    r.read("consequent", a.consequent);
    r.read("target", a.target);
    r.read("path", a.path);
  });
  in.read("lowered", p.lowered);
  in.list("proof", p.proof, [&](const Json& j, const std::string& path, Pair::Proof& proof) {
    Reader r(j, path + ".", problem);
    r.read("obligation", proof.obligation);
    r.read("engine", proof.engine);
    r.read("verdict", proof.verdict);
    if (const Json* ms = r.get("ms")) {
      if (ms->is_number()) proof.ms = ms->get<double>();
      else r.complain("ms", "a number");
    }
  });
  in.list("mutants", p.mutants, [&](const Json& j, const std::string& path, Pair::Mutant& m) {
    Reader r(j, path + ".", problem);
    r.read("kind", m.kind);
    r.read("of", m.of);
    r.read("text", m.text);
    r.read("verdict", m.verdict);
    if (const Json* witness = r.get("witness")) m.witness = *witness;
  });
  in.object("hash", [&](Reader& r) {
    r.read("exact", p.hash.exact);
    r.read("alpha", p.hash.alpha);
    r.read("shape", p.hash.shape);
  });
  in.object("source", [&](Reader& r) {
    p.source.emplace();
    r.read("repo", p.source->repo);
    r.read("commit", p.source->commit);
    r.read("path", p.source->path);
    r.read("lines", p.source->lines);
    r.read("spdx", p.source->spdx);
  });
  in.read("chars", p.chars);
  in.read("tokens", p.tokens);
  if (!problem.empty()) return data_loss("{}", problem);
  return p;
}

StatusOr<Pair> read_pair(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded()) return data_loss("not a JSON object");
  return pair_from_json(json);
}

}  // namespace callie::assertions
