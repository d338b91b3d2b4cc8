#include "serve/api/parameters.h"

#include <algorithm>
#include <charconv>
#include <random>

#include "chat/grammar.h"
#include "core/hash.h"
#include "serve/api/fields.h"
#include "serve/timed_mask.h"

namespace callie::serve {
namespace {

void read_stop(Fields& fields, const ApiLimits& limits, Parameters* out) {
  const Json& stop = fields.any("stop");
  if (stop.is_null()) return;
  const Json list = stop.is_array() ? stop : Json::array({stop});
  out->stop.clear();
  if (list.size() > static_cast<size_t>(limits.max_stops)) {
    return fields.fail("stop", fmt::format("at most {} strings", limits.max_stops));
  }
  for (const Json& one : list) {
    if (!one.is_string() || one.get_ref<const std::string&>().empty()) {
      return fields.fail("stop", "must be a string that is not empty, or an array of such strings");
    }
    out->stop.push_back(one.get<std::string>());
  }
}

void read_logit_bias(Fields& fields, SamplingOptions* sampling) {
  const Json& bias = fields.object("logit_bias");
  for (auto it = bias.begin(); it != bias.end(); ++it) {
    int32_t token = -1;
    const std::string& key = it.key();
    const auto [end, problem] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (problem != std::errc() || end != key.data() + key.size() || token < 0) {
      return fields.fail("logit_bias", fmt::format("'{}' is not a token id", key));
    }
    if (!it->is_number() || std::abs(it->get<double>()) > 100) {
      return fields.fail("logit_bias", fmt::format("the value of {} must be between -100 and 100", key));
    }
    sampling->logit_bias.emplace_back(token, it->get<float>());
  }
}

}  // namespace

Parameters read_parameters(Fields& fields, const ApiDefaults& defaults, const ApiLimits& limits) {
  Parameters p;
  p.sampling = defaults.sampling;
  p.stop = defaults.stop;
  SamplingOptions& s = p.sampling;
  s.temperature = static_cast<float>(fields.number("temperature", s.temperature, 0, 2));
  // 0 keeps the best token, as the smallest probability does.
  s.top_p = std::max(static_cast<float>(fields.number("top_p", s.top_p, 0, 1)), 1e-9f);
  s.top_k = static_cast<int>(fields.integer("top_k", s.top_k, -1, 1 << 30));
  if (s.top_k < 0) s.top_k = 0;
  s.min_p = static_cast<float>(fields.number("min_p", s.min_p, 0, 1));
  s.presence_penalty = static_cast<float>(fields.number("presence_penalty", s.presence_penalty, -2, 2));
  s.frequency_penalty = static_cast<float>(fields.number("frequency_penalty", s.frequency_penalty, -2, 2));
  s.repeat_penalty = static_cast<float>(fields.number("repeat_penalty", s.repeat_penalty, 0.01, 10));
  s.repeat_penalty = static_cast<float>(fields.number("repetition_penalty", s.repeat_penalty, 0.01, 10));
  read_logit_bias(fields, &s);
  if (fields.has("seed")) {
    s.seed = static_cast<uint64_t>(fields.integer("seed", 0, INT64_MIN, INT64_MAX));
  } else if (!defaults.fixed_seed) {
    thread_local std::random_device device;
    s.seed = (uint64_t{device()} << 32) | device();
  }
  read_stop(fields, limits, &p);
  p.n = static_cast<int>(fields.integer("n", 1, 1, limits.max_n));
  p.ignore_eos = fields.boolean("ignore_eos", false);
  p.stream = fields.boolean("stream", false);
  if (fields.has("stream_options")) {
    if (!p.stream) fields.fail("stream_options", "is only allowed with 'stream': true");
    Fields options(fields.object("stream_options"), "stream_options.");
    p.include_usage = options.boolean("include_usage", false);
    options.ignore({"include_obfuscation"});
    if (const auto error = options.finish()) fields.fail(*error);
  }
  p.priority = static_cast<int>(fields.integer("priority", 0, -100, 100));
  p.timeout_s = fields.number("timeout", limits.request_timeout_s, 0, limits.request_timeout_s);
  if (p.timeout_s <= 0) fields.fail("timeout", "must be above 0");
  const std::string salt = fields.text("cache_salt");
  if (!salt.empty()) p.salt = xxh64({reinterpret_cast<const uint8_t*>(salt.data()), salt.size()}, 1);
  if (fields.has("regex")) p.constraint = {Constraint::Kind::kRegex, fields.text("regex"), "regex"};
  if (fields.has("grammar")) {
    if (p.constraint.kind != Constraint::Kind::kNone) fields.fail("grammar", "cannot be combined with 'regex'");
    p.constraint = {Constraint::Kind::kLark, fields.text("grammar"), "grammar"};
  }
  fields.ignore({"user", "metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_retention",
                 "safety_identifier", "verbosity"});
  return p;
}

Constraint read_format(Fields& fields, const Json& format, const std::string& param, bool flat) {
  Constraint constraint;
  constraint.param = param;
  if (format.is_null()) return constraint;
  Fields f(format, param + ".");
  const std::string type = f.text("type");
  if (type == "json_object") {
    constraint.kind = Constraint::Kind::kJsonSchema;
    constraint.source = R"({"type":"object"})";
  } else if (type == "json_schema") {
    const Json& outer = flat ? format : f.object("json_schema");
    const std::string prefix = flat ? param + "." : param + ".json_schema.";
    if (outer.is_null()) f.fail("json_schema", "is missing");
    Fields inner(outer.is_null() ? format : outer, prefix);
    inner.ignore({"name", "description", "strict", "type"});
    const Json& schema = inner.any("schema");
    if (!schema.is_object() && !schema.is_boolean()) inner.fail("schema", "must be a JSON schema");
    constraint.kind = Constraint::Kind::kJsonSchema;
    constraint.source = schema.dump();
    constraint.param = prefix + "schema";
    if (flat) f.ignore({"name", "description", "strict", "schema"});
    if (const auto error = inner.finish()) fields.fail(*error);
  } else if (type != "text") {
    f.fail("type", "must be 'text', 'json_object' or 'json_schema'");
  }
  if (const auto error = f.finish()) fields.fail(*error);
  return constraint;
}

StatusOr<std::unique_ptr<TokenMask>> compile_constraint(Backend& backend, const Constraint& constraint, Metrics& metrics,
                                                        bool* validate_after) {
  if (constraint.kind == Constraint::Kind::kNone) return std::unique_ptr<TokenMask>();
  CALLIE_ASSIGN_OR_RETURN(const auto compiler, backend.grammars());
  const auto kind = constraint.kind == Constraint::Kind::kJsonSchema ? GrammarCompiler::Kind::kJsonSchema
                    : constraint.kind == Constraint::Kind::kRegex    ? GrammarCompiler::Kind::kRegex
                                                                     : GrammarCompiler::Kind::kLark;
  CALLIE_ASSIGN_OR_RETURN(GrammarCompiler::Compiled compiled, compiler->compile(kind, constraint.source));
  *validate_after = !compiled.warnings.empty();
  return timed(std::move(compiled.mask), metrics);
}

AnswerRequest make_request(const Parameters& p, std::vector<int32_t> prompt, int index,
                               std::unique_ptr<TokenMask> mask) {
  AnswerRequest request;
  request.prompt = std::move(prompt);
  request.sampling = p.sampling;
  request.sampling.choice = static_cast<uint32_t>(index);
  request.mask = std::move(mask);
  request.max_new = p.max_new;
  request.ignore_eos = p.ignore_eos;
  request.stop = p.stop;
  request.top_logprobs = p.top_logprobs;
  request.priority = p.priority;
  request.timeout_s = p.timeout_s > 0 ? p.timeout_s : sched::kNever;
  request.salt = p.salt;
  return request;
}

}  // namespace callie::serve
