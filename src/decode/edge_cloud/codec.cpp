#include "decode/edge_cloud/codec.h"

#include <cmath>
#include <limits>

#include "edge_cloud.pb.h"

namespace callie::edge_cloud {
namespace {

using Frame = v1::Frame;
constexpr uint32_t kMaxToken = std::numeric_limits<int32_t>::max();
constexpr uint32_t kMaxLength = 1u << 24;
constexpr uint32_t kMaxDraftIds = 256;
constexpr int kMaxImages = 16;
constexpr int kMaxStops = 16;
constexpr int kMaxBias = 1024;
constexpr size_t kMaxConstraintBytes = 256u << 10;

// --- to the wire ---

void fill(Frame& frame, const Open& m) {
  v1::Open& o = *frame.mutable_open();
  o.set_version_major(m.version_major);
  o.set_version_minor(m.version_minor);
  o.set_model_id(m.model_id);
  o.set_tokenizer_hash(m.tokenizer_hash);
  o.set_effective_vocab(m.effective_vocab);
  o.set_template_hash(m.template_hash);
  v1::Sampling& s = *o.mutable_sampling();
  s.set_temperature(m.sampling.temperature);
  s.set_top_k(m.sampling.top_k);
  s.set_top_p(m.sampling.top_p);
  s.set_min_p(m.sampling.min_p);
  s.set_repeat_penalty(m.sampling.repeat_penalty);
  s.set_presence_penalty(m.sampling.presence_penalty);
  s.set_frequency_penalty(m.sampling.frequency_penalty);
  s.set_seed(m.sampling.seed);
  for (const std::string& stop : m.sampling.stop) s.add_stop(stop);
  for (const auto& [token, value] : m.sampling.bias) {
    v1::Bias& bias = *s.add_bias();
    bias.set_token(token);
    bias.set_value(value);
  }
  if (m.sampling.constraint.kind != Constraint::Kind::kNone) {
    s.mutable_constraint()->set_kind(static_cast<uint32_t>(m.sampling.constraint.kind));
    s.mutable_constraint()->set_source(m.sampling.constraint.source);
  }
  o.mutable_prompt_ids()->Add(m.prompt_ids.begin(), m.prompt_ids.end());
  o.set_generated(m.generated);
  o.set_max_new(m.max_new);
  o.set_hints(m.hints);
  o.set_optimistic(m.optimistic);
  o.set_pad(m.pad);
  o.set_ignore_end(m.ignore_end);
  o.set_stream_until(m.stream_until);
  for (const Image& image : m.images) {
    v1::Image& i = *o.add_images();
    i.set_position(image.position);
    i.set_target_tokens(image.target_tokens);
    i.set_data(image.data);
  }
}

void fill(Frame& frame, const Opened& m) {
  v1::Opened& o = *frame.mutable_opened();
  o.set_session(m.session);
  o.set_secret(m.secret);
  o.set_first_token(m.first_token);
  o.set_length(m.length);
  o.set_hash(m.hash);
  o.set_ended(m.ended);
  o.mutable_exit_permille()->Add(m.exit_permille.begin(), m.exit_permille.end());
  o.set_max_draft(m.max_draft);
  o.set_context(m.context);
  o.set_verify_us(m.verify_us);
  o.set_logits_hash(m.logits_hash);
  o.mutable_table_us()->Add(m.table_us.begin(), m.table_us.end());
}

void fill(Frame& frame, const Draft& m) {
  v1::Draft& d = *frame.mutable_draft();
  d.set_round(m.round);
  d.set_epoch(m.epoch);
  d.set_base_length(m.base_length);
  d.set_base_hash(m.base_hash);
  d.mutable_ids()->Add(m.ids.begin(), m.ids.end());
  if (m.after) {
    v1::After& a = *d.mutable_after();
    a.set_round(m.after->round);
    a.set_accepted(m.after->outcome.accepted);
    a.set_next(m.after->outcome.next);
  }
  d.set_q_mode(m.q_mode);
  d.set_sent_ns(m.sent_ns);
  d.set_no_hints(m.no_hints);
}

void fill(Frame& frame, const Hint& m) {
  v1::Hint& h = *frame.mutable_hint();
  h.set_round(m.round);
  h.set_exit(m.exit);
  h.set_accepted(m.outcome.accepted);
  h.set_next(m.outcome.next);
  h.set_confidence_q8(m.confidence_q8);
}

void fill(Frame& frame, const Verdict& m) {
  v1::Verdict& v = *frame.mutable_verdict();
  v.set_round(m.round);
  v.set_epoch(m.epoch);
  v.set_accepted(m.outcome.accepted);
  v.set_next(m.outcome.next);
  v.set_length(m.length);
  v.set_hash(m.hash);
  v.set_ended(m.ended);
  v.set_queue_us(m.queue_us);
  v.set_verify_us(m.verify_us);
  v.mutable_exit_us()->Add(m.exit_us.begin(), m.exit_us.end());
  v.set_width(m.width);
  v.set_max_draft(m.max_draft);
  v.set_logits_hash(m.logits_hash);
}

void fill(Frame& frame, const Resume& m) {
  v1::Resume& r = *frame.mutable_resume();
  r.set_session(m.session);
  r.set_secret(m.secret);
  r.set_length(m.length);
  r.set_hash(m.hash);
  r.set_last_round(m.last_round);
  r.set_epoch(m.epoch);
}

void fill(Frame& frame, const Resumed& m) {
  v1::Resumed& r = *frame.mutable_resumed();
  r.set_length(m.length);
  r.set_hash(m.hash);
  r.mutable_replay()->Add(m.replay.begin(), m.replay.end());
  r.set_cold(m.cold);
  r.set_ended(m.ended);
  r.set_secret(m.secret);
  r.set_epoch(m.epoch);
  r.set_logits_hash(m.logits_hash);
}

void fill(Frame& frame, const Stream& m) { frame.mutable_stream()->set_until_length(m.until_length); }

void fill(Frame& frame, const Token& m) {
  v1::Token& t = *frame.mutable_token();
  t.set_length(m.length);
  t.set_id(m.id);
  t.set_ended(m.ended);
  t.set_verify_us(m.verify_us);
  t.set_logits_hash(m.logits_hash);
}

void fill(Frame& frame, const Stop&) { frame.mutable_stop(); }

void fill(Frame& frame, const Ping& m) {
  frame.mutable_ping()->set_time(m.time);
  frame.mutable_ping()->set_reply(m.reply);
}

void fill(Frame& frame, const Error& m) {
  v1::Error& e = *frame.mutable_error();
  e.set_code(static_cast<uint32_t>(m.code));
  e.set_retriable(m.retriable);
  e.set_message(m.message);
}

// --- from the wire ---

/// Collects the first field that is out of range.
class Bounds {
 public:
  explicit Bounds(const char* kind) : kind_(kind) {}
  int length(const char* field, uint32_t value, uint32_t limit = kMaxLength) {
    if (value > limit) fail(field, value);
    return static_cast<int>(value);
  }
  TokenId token(const char* field, uint32_t value) {
    if (value > kMaxToken) fail(field, value);
    return static_cast<TokenId>(value);
  }
  template <typename Ids>
  std::vector<TokenId> tokens(const char* field, const Ids& ids, uint32_t limit) {
    if (ids.size() > static_cast<int64_t>(limit)) {
      fail(field, ids.size());
      return {};
    }
    std::vector<TokenId> out;
    out.reserve(ids.size());
    for (uint32_t id : ids) out.push_back(token(field, id));
    return out;
  }
  void require(bool ok, const char* field) {
    if (!ok) fail(field, 0);
  }
  Status status() const {
    return field_ ? data_loss("edge-cloud frame: {}.{} is out of range ({})", kind_, field_, value_) : ok_status();
  }

 private:
  void fail(const char* field, uint64_t value) {
    if (field_) return;
    field_ = field;
    value_ = value;
  }
  const char* kind_;
  const char* field_ = nullptr;
  uint64_t value_ = 0;
};

bool in_range(float value, float low, float high) { return value >= low && value <= high; }  // false for NaN

StatusOr<Message> read(const v1::Open& o) {
  Bounds b("open");
  Open m;
  m.version_major = o.version_major();
  m.version_minor = o.version_minor();
  b.require(o.model_id().size() <= 256, "model_id");
  m.tokenizer_hash = o.tokenizer_hash();
  m.template_hash = o.template_hash();
  m.effective_vocab = o.effective_vocab();
  const v1::Sampling& s = o.sampling();
  b.require(in_range(s.temperature(), 0, 1000), "sampling.temperature");
  b.require(in_range(s.top_p(), 0, 1), "sampling.top_p");
  b.require(in_range(s.min_p(), 0, 1), "sampling.min_p");
  b.require(in_range(s.repeat_penalty(), 1e-3f, 1000), "sampling.repeat_penalty");
  b.require(in_range(s.presence_penalty(), -1000, 1000), "sampling.presence_penalty");
  b.require(in_range(s.frequency_penalty(), -1000, 1000), "sampling.frequency_penalty");
  b.require(s.top_k() <= kMaxLength, "sampling.top_k");
  b.require(s.stop_size() <= kMaxStops, "sampling.stop");
  for (const std::string& stop : s.stop()) b.require(!stop.empty() && stop.size() <= 256, "sampling.stop");
  b.require(s.bias_size() <= kMaxBias, "sampling.bias");
  for (const v1::Bias& bias : s.bias()) {
    b.require(bias.token() <= kMaxToken && !std::isnan(bias.value()), "sampling.bias");
  }
  b.require(s.constraint().kind() <= static_cast<uint32_t>(Constraint::Kind::kLark), "sampling.constraint.kind");
  b.require(s.constraint().source().size() <= kMaxConstraintBytes, "sampling.constraint.source");
  m.prompt_ids = b.tokens("prompt_ids", o.prompt_ids(), kMaxLength);
  m.generated = b.length("generated", o.generated(), static_cast<uint32_t>(m.prompt_ids.size()));
  m.max_new = b.length("max_new", o.max_new());
  m.stream_until = b.length("stream_until", o.stream_until());
  b.require(!m.prompt_ids.empty(), "prompt_ids");
  b.require(o.images_size() <= kMaxImages, "images");
  for (const v1::Image& image : o.images()) {
    b.require(image.position() <= kMaxLength && image.target_tokens() <= kMaxLength, "images.position");
  }
  CALLIE_RETURN_IF_ERROR(b.status());
  m.model_id = o.model_id();
  m.sampling = {s.temperature(), s.top_k(), s.top_p(), s.min_p(), s.repeat_penalty(), s.presence_penalty(),
                s.frequency_penalty(), s.seed(), {s.stop().begin(), s.stop().end()}, {}, {}};
  for (const v1::Bias& bias : s.bias()) m.sampling.bias.emplace_back(bias.token(), bias.value());
  m.sampling.constraint = {static_cast<Constraint::Kind>(s.constraint().kind()), s.constraint().source()};
  m.hints = o.hints();
  m.optimistic = o.optimistic();
  m.pad = o.pad();
  m.ignore_end = o.ignore_end();
  for (const v1::Image& image : o.images()) {
    m.images.push_back({static_cast<int>(image.position()), static_cast<int>(image.target_tokens()), image.data()});
  }
  return Message(std::move(m));
}

StatusOr<Message> read(const v1::Opened& o) {
  Bounds b("opened");
  Opened m;
  m.session = o.session();
  b.require(o.secret().size() == kSecretBytes, "secret");
  m.first_token = b.token("first_token", o.first_token());
  m.length = b.length("length", o.length());
  m.hash = o.hash();
  m.ended = o.ended();
  b.require(o.exit_permille_size() <= 8, "exit_permille");
  b.require(o.table_us_size() <= 64, "table_us");
  m.max_draft = b.length("max_draft", o.max_draft(), kMaxDraftIds);
  m.context = b.length("context", o.context());
  m.verify_us = o.verify_us();
  m.logits_hash = o.logits_hash();
  CALLIE_RETURN_IF_ERROR(b.status());
  m.secret = o.secret();
  m.exit_permille.assign(o.exit_permille().begin(), o.exit_permille().end());
  m.table_us.assign(o.table_us().begin(), o.table_us().end());
  return Message(std::move(m));
}

StatusOr<Message> read(const v1::Draft& d) {
  Bounds b("draft");
  Draft m;
  m.round = d.round();
  m.epoch = d.epoch();
  m.base_length = b.length("base_length", d.base_length());
  m.base_hash = d.base_hash();
  m.ids = b.tokens("ids", d.ids(), kMaxDraftIds);
  if (d.has_after()) {
    m.after = After{d.after().round(),
                    {b.length("after.accepted", d.after().accepted(), kMaxDraftIds),
                     b.token("after.next", d.after().next())}};
  }
  m.q_mode = d.q_mode();
  m.sent_ns = d.sent_ns();
  m.no_hints = d.no_hints();
  CALLIE_RETURN_IF_ERROR(b.status());
  return Message(std::move(m));
}

StatusOr<Message> read(const v1::Hint& h) {
  Bounds b("hint");
  Hint m;
  m.round = h.round();
  m.exit = b.length("exit", h.exit(), 8);
  m.outcome = {b.length("accepted", h.accepted(), kMaxDraftIds), b.token("next", h.next())};
  m.confidence_q8 = b.length("confidence_q8", h.confidence_q8(), 255);
  CALLIE_RETURN_IF_ERROR(b.status());
  return Message(m);
}

StatusOr<Message> read(const v1::Verdict& v) {
  Bounds b("verdict");
  Verdict m;
  m.round = v.round();
  m.epoch = v.epoch();
  m.outcome = {b.length("accepted", v.accepted(), kMaxDraftIds), b.token("next", v.next())};
  m.length = b.length("length", v.length());
  m.hash = v.hash();
  m.ended = v.ended();
  m.queue_us = v.queue_us();
  m.verify_us = v.verify_us();
  b.require(v.exit_us_size() <= 8, "exit_us");
  m.width = b.length("width", v.width());
  m.max_draft = b.length("max_draft", v.max_draft(), kMaxDraftIds);
  m.logits_hash = v.logits_hash();
  CALLIE_RETURN_IF_ERROR(b.status());
  m.exit_us.assign(v.exit_us().begin(), v.exit_us().end());
  return Message(std::move(m));
}

StatusOr<Message> read(const v1::Resume& r) {
  Bounds b("resume");
  Resume m;
  m.session = r.session();
  b.require(r.secret().size() == kSecretBytes, "secret");
  m.length = b.length("length", r.length());
  m.hash = r.hash();
  m.last_round = r.last_round();
  m.epoch = r.epoch();
  CALLIE_RETURN_IF_ERROR(b.status());
  m.secret = r.secret();
  return Message(std::move(m));
}

StatusOr<Message> read(const v1::Resumed& r) {
  Bounds b("resumed");
  Resumed m;
  m.length = b.length("length", r.length());
  m.hash = r.hash();
  m.replay = b.tokens("replay", r.replay(), kMaxLength);
  m.cold = r.cold();
  m.ended = r.ended();
  b.require(r.secret().size() == kSecretBytes, "secret");
  m.epoch = r.epoch();
  m.logits_hash = r.logits_hash();
  CALLIE_RETURN_IF_ERROR(b.status());
  m.secret = r.secret();
  return Message(std::move(m));
}

StatusOr<Message> read(const v1::Stream& s) {
  Bounds b("stream");
  Stream m{b.length("until_length", s.until_length())};
  CALLIE_RETURN_IF_ERROR(b.status());
  return Message(m);
}

StatusOr<Message> read(const v1::Token& t) {
  Bounds b("token");
  Token m{b.length("length", t.length()), b.token("id", t.id()), t.ended(), t.verify_us(), t.logits_hash()};
  CALLIE_RETURN_IF_ERROR(b.status());
  return Message(m);
}

StatusOr<Message> read(const v1::Error& e) {
  Bounds b("error");
  b.require(e.code() >= 1 && e.code() <= static_cast<uint32_t>(ErrorCode::kModel), "code");
  b.require(e.message().size() <= 1024, "message");
  CALLIE_RETURN_IF_ERROR(b.status());
  return Message(Error{static_cast<ErrorCode>(e.code()), e.retriable(), e.message()});
}

/// The size limit of the frame's kind, from its first tag; 0 when the first byte is no known tag.
size_t size_limit(std::string_view frame) {
  const uint8_t tag = frame.empty() ? 0 : static_cast<uint8_t>(frame[0]);
  if ((tag & 7) != 2) return 0;
  switch (tag >> 3) {
    case Frame::kOpen:
      return kMaxOpenBytes;
    case Frame::kResumed:
      return kMaxResumedBytes;
    default:
      return kMaxFrameBytes;
  }
}

}  // namespace

std::string encode(const Message& message, bool pad) {
  Frame frame;
  std::visit([&](const auto& m) { fill(frame, m); }, message);
  if (pad) {
    // Tag and length of the pad field take two bytes, since at most 127 bytes follow.
    static_assert(kPadBytes <= 128);
    const size_t raw = frame.ByteSizeLong() + 2;
    frame.set_pad(std::string((raw + kPadBytes - 1) / kPadBytes * kPadBytes - raw, '\0'));
  }
  return frame.SerializeAsString();
}

StatusOr<Message> decode(std::string_view frame) {
  const size_t limit = size_limit(frame);
  if (limit == 0) return data_loss("edge-cloud frame: unknown kind");
  if (frame.size() > limit) {
    return resource_exhausted("edge-cloud frame: {} bytes, its kind may have {}", frame.size(), limit);
  }
  Frame f;
  if (!f.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) {
    return data_loss("edge-cloud frame: broken ({} bytes)", frame.size());
  }
  switch (f.body_case()) {
    case Frame::kOpen:
      return read(f.open());
    case Frame::kOpened:
      return read(f.opened());
    case Frame::kDraft:
      return read(f.draft());
    case Frame::kHint:
      return read(f.hint());
    case Frame::kVerdict:
      return read(f.verdict());
    case Frame::kResume:
      return read(f.resume());
    case Frame::kResumed:
      return read(f.resumed());
    case Frame::kStream:
      return read(f.stream());
    case Frame::kToken:
      return read(f.token());
    case Frame::kStop:
      return Message(Stop{});
    case Frame::kPing:
      return Message(Ping{f.ping().time(), f.ping().reply()});
    case Frame::kError:
      return read(f.error());
    case Frame::BODY_NOT_SET:
      break;
  }
  return data_loss("edge-cloud frame: unknown kind");
}

std::optional<std::string> reply_to_ping(std::string_view frame) {
  if (frame.empty() || frame.size() > kPadBytes || static_cast<uint8_t>(frame[0]) >> 3 != Frame::kPing) return std::nullopt;
  const StatusOr<Message> message = decode(frame);
  const Ping* ping = message.ok() ? std::get_if<Ping>(&*message) : nullptr;
  if (!ping || ping->reply) return std::nullopt;
  return encode(Ping{ping->time, true}, frame.size() == kPadBytes);
}

}  // namespace callie::edge_cloud
