#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "serve/backend.h"

namespace callie::serve {

class Fields;
class Metrics;

struct ApiLimits {
  int max_n = 16;
  int max_stops = 16;
  int max_top_logprobs = 20;
  int max_prompts = 64;            ///< prompts of one /v1/completions
  int max_streams = 1024;          ///< answers being generated at the same time, all models together
  double request_timeout_s = 600;  ///< an answer that takes longer ends with what there is
};

/// The server's own flags: what holds for a request that says nothing else.
struct ApiDefaults {
  SamplingOptions sampling;
  bool fixed_seed = false;  ///< `sampling.seed` was given; otherwise each request without a seed gets a random one
  std::vector<std::string> stop;
};

/// A constraint on the text of an answer.
struct Constraint {
  enum class Kind { kNone, kJsonSchema, kRegex, kLark };
  Kind kind = Kind::kNone;
  std::string source;
  std::string param;  ///< the field it came from, for errors
};

/// What the generating endpoints have in common.
struct Parameters {
  SamplingOptions sampling;
  int n = 1;
  int max_new = 0;  ///< 0 = to the end of the context
  bool ignore_eos = false;
  std::vector<std::string> stop;
  int top_logprobs = -1;
  bool stream = false;
  bool include_usage = false;
  int priority = 0;
  double timeout_s = 0;
  uint64_t salt = 0;
  Constraint constraint;
};

/// Reads them from a body; `defaults` are the server's own flags. Errors stay in `fields`. The limits of max_tokens are
/// read by the endpoints, whose names for it differ.
Parameters read_parameters(Fields& fields, const ApiDefaults& defaults, const ApiLimits& limits);

/// `response_format` of chat completions, or `text.format` of responses (`flat`: the schema's fields stand beside
/// `type`). `param` names it in errors.
Constraint read_format(Fields& fields, const nlohmann::ordered_json& format, const std::string& param, bool flat);

/// Compiles the constraint for one answer; null when there is none. Warnings (keywords that are not enforced) are
/// errors here: nothing is silently dropped, except where `validate_after` is set and says to check the finished text.
StatusOr<std::unique_ptr<TokenMask>> compile_constraint(Backend& backend, const Constraint& constraint, Metrics& metrics,
                                                        bool* validate_after);

/// The engine's form of choice `index` of these parameters.
AnswerRequest make_request(const Parameters& parameters, std::vector<int32_t> prompt, int index,
                               std::unique_ptr<TokenMask> mask);

}  // namespace callie::serve
