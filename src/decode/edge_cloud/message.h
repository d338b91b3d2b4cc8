#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "decode/edge_cloud/outcome.h"

namespace callie::edge_cloud {

inline constexpr uint32_t kVersionMajor = 1;
inline constexpr uint32_t kVersionMinor = 0;
inline constexpr size_t kSecretBytes = 16;

/// What the text must be, as its source; each side compiles it for itself.
struct Constraint {
  enum class Kind : uint32_t { kNone = 0, kJsonSchema = 1, kLark = 2 };
  Kind kind = Kind::kNone;
  std::string source;
};

/// The whole sampler configuration, as it crosses the wire.
struct Sampling {
  float temperature = 0;
  uint32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  float repeat_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  std::vector<std::pair<TokenId, float>> bias;
  Constraint constraint;
};

struct Image {
  int position = 0;
  int target_tokens = 0;
  std::string data;
};

/// Client to server: starts a session. See proto/edge_cloud.proto for the fields.
struct Open {
  uint32_t version_major = kVersionMajor, version_minor = kVersionMinor;
  std::string model_id;
  uint64_t tokenizer_hash = 0, template_hash = 0;
  uint32_t effective_vocab = 0;
  Sampling sampling;
  std::vector<TokenId> prompt_ids;
  int generated = 0;
  int max_new = 0;
  bool hints = false, optimistic = false, pad = false, ignore_end = false;
  int stream_until = 0;  ///< decode without drafts until this length at once, as Stream would ask; 0 = wait
  std::vector<Image> images;
};

struct Opened {
  uint64_t session = 0;
  std::string secret;
  TokenId first_token = 0;
  int length = 0;
  uint64_t hash = 0;
  bool ended = false;
  std::vector<uint32_t> exit_permille;
  int max_draft = 0;
  int context = 0;
  uint32_t verify_us = 0;
  uint64_t logits_hash = 0;
  std::vector<uint32_t> table_us;  ///< [m-1] a pass over m positions
};

struct After {
  uint32_t round = 0;
  Outcome outcome;
  friend bool operator==(const After&, const After&) = default;
};

struct Draft {
  uint32_t round = 0, epoch = 0;
  int base_length = 0;
  uint64_t base_hash = 0;
  std::vector<TokenId> ids;
  std::optional<After> after;
  uint32_t q_mode = 0;
  uint64_t sent_ns = 0;
  bool no_hints = false;  ///< the pass over it runs without exits
};

struct Hint {
  uint32_t round = 0;
  int exit = 0;
  Outcome outcome;
  int confidence_q8 = 0;
};

struct Verdict {
  uint32_t round = 0, epoch = 0;
  Outcome outcome;
  int length = 0;
  uint64_t hash = 0;
  bool ended = false;
  uint32_t queue_us = 0, verify_us = 0;
  std::vector<uint32_t> exit_us;
  int width = 0;
  int max_draft = 0;
  uint64_t logits_hash = 0;
};

struct Resume {
  uint64_t session = 0;
  std::string secret;
  int length = 0;
  uint64_t hash = 0;
  uint32_t last_round = 0, epoch = 0;
};

struct Resumed {
  int length = 0;
  uint64_t hash = 0;
  std::vector<TokenId> replay;
  bool cold = false, ended = false;
  std::string secret;
  uint32_t epoch = 0;
  uint64_t logits_hash = 0;
};

/// Client to server: decode without drafts until the sequence has `until_length` tokens. Absolute, so that duplicates
/// and late copies are harmless.
struct Stream {
  int until_length = 0;
};

struct Token {
  int length = 0;  ///< of the sequence with this token
  TokenId id = 0;
  bool ended = false;
  uint32_t verify_us = 0;
  uint64_t logits_hash = 0;
};

struct Stop {};

struct Ping {
  uint64_t time = 0;
  bool reply = false;
};

enum class ErrorCode : uint32_t {
  kProtocol = 1,       ///< a frame that no correct peer sends
  kVersion = 2,        ///< major protocol version differs
  kTokenizer = 3,      ///< tokenizer or effective vocabulary differs
  kTemplate = 4,       ///< chat template differs
  kUnknownSession = 5, ///< open again with what was emitted
  kSecret = 6,         ///< wrong or used-up resume secret
  kLimit = 7,          ///< draft, prompt, context, sessions or frame over the limit
  kAhead = 8,          ///< a draft from a length the server does not have: resume
  kUnsupported = 9,    ///< q_mode, images, sampler settings
  kInternal = 10,
  kModel = 11,         ///< another target model was asked for
};

struct Error {
  ErrorCode code = ErrorCode::kProtocol;
  bool retriable = false;
  std::string message;
};

using Message = std::variant<Open, Opened, Draft, Hint, Verdict, Resume, Resumed, Stream, Token, Stop, Ping, Error>;

}  // namespace callie::edge_cloud
