#include "serve/engine_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/json.h"
#include "core/version.h"

namespace callie::serve {
namespace {

constexpr size_t kRecentSteps = 512;

}  // namespace

const char* reason_name(sched::FinishReason reason) {
  switch (reason) {
    case sched::FinishReason::kLength:
      return "length";
    case sched::FinishReason::kCancelled:
      return "cancelled";
    case sched::FinishReason::kDeadline:
      return "deadline";
    case sched::FinishReason::kError:
      return "error";
    default:
      return "stop";
  }
}

Status EngineLog::open(const std::string& request_path, const std::string& step_path, const Header& h) {
  const Json header = {{"model", h.model},           {"threads", h.threads},       {"token_budget", h.token_budget},
                       {"max_seqs", h.max_seqs},     {"block_size", h.block_size}, {"blocks", h.blocks},
                       {"version", std::string(kVersion)}};
  header_ = header.dump() + "\n";
  struct Target {
    const std::string& path;
    std::ofstream& file;
    const char* flag;
  };
  for (const Target& target : {Target{request_path, requests_, "request-log"}, Target{step_path, steps_, "step-log"}}) {
    if (target.path.empty()) continue;
    target.file.open(target.path, std::ios::trunc);
    if (!(target.file << header_ << std::flush)) return invalid_argument("{}: {} cannot be written", target.flag, target.path);
  }
  return ok_status();
}

void EngineLog::request(const sched::Sequence& s, int block_size) {
  if (!requests_.is_open()) return;
  std::string hashes;
  const auto n = std::min(s.hashes.size(), static_cast<size_t>(s.prompt_tokens / block_size));
  for (size_t i = 0; i < n; ++i) fmt::format_to(std::back_inserter(hashes), "{}\"{:016x}\"", i ? "," : "", s.hashes[i]);
  requests_ << fmt::format(
      "{{\"arrival_s\":{:.6f},\"queued_s\":{:.6f},\"scheduled_s\":{:.6f},\"first_token_s\":{:.6f},\"finished_s\":{:.6f},"
      "\"prompt_tokens\":{},\"cached_tokens\":{},\"output_tokens\":{},\"max_tokens\":{},\"prompt_block_hashes\":[{}],"
      "\"priority\":{},\"preemptions\":{},\"finish_reason\":\"{}\"}}\n",
      s.arrival_s, s.queued_s, s.scheduled_s, s.first_token_s, s.finished_s, s.prompt_tokens, s.cached_tokens,
      s.output_tokens(), s.max_new, hashes, s.priority, s.preemptions, reason_name(s.finish_reason));
  requests_.flush();
}

void EngineLog::step(const StepRecord& r) {
  std::string line = fmt::format(
      "{{\"t_s\":{:.6f},\"n_prefill\":{},\"prefill_work\":{:.1f},\"n_decode\":{},\"ctx_decode\":{},\"blocks_used\":{},"
      "\"blocks_free\":{},\"preempted\":{},\"drafted\":{},\"accepted\":{},\"step_us\":{:.1f},\"host_us\":{:.1f}}}\n",
      r.t_s, r.n_prefill, r.prefill_work, r.n_decode, r.ctx_decode, r.blocks_used, r.blocks_free, r.preempted, r.drafted,
      r.accepted, r.step_us, r.host_us);
  if (steps_.is_open()) steps_ << line;
  flush_once_a_second(r.t_s);
  std::lock_guard lock(mutex_);
  recent_.push_back(std::move(line));
  if (recent_.size() > kRecentSteps) recent_.pop_front();
}

void EngineLog::flush() {
  if (requests_.is_open()) requests_.flush();
  if (steps_.is_open()) steps_.flush();
}

void EngineLog::flush_once_a_second(double now_s) {
  if (now_s - flushed_s_ < 1) return;
  flushed_s_ = now_s;
  flush();
}

std::string EngineLog::recent_steps() const {
  std::lock_guard lock(mutex_);
  std::string out = header_;
  for (const std::string& line : recent_) out += line;
  return out;
}

}  // namespace callie::serve
