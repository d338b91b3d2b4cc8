#include <algorithm>

#include "core/atomic_file.h"
#include "plan/output/files.h"

namespace callie::plan {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"";
}

double us(Ns t) { return static_cast<double>(t) / 1e3; }

}  // namespace

Status write_perfetto(const std::string& path, const Config& config, const SimResult& r, size_t max_events) {
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  fmt::memory_buffer out;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"config\":{}}},\"traceEvents\":[\n",
                 quoted(config.path));
  size_t events = 0;
  bool first = true;
  const auto next = [&] {
    if (!first) fmt::format_to(to, ",\n");
    first = false;
    ++events;
  };
  for (size_t c = 0; c < r.clients.size(); ++c) {
    next();
    fmt::format_to(to, "{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":{}}}}}", c,
                   quoted(r.clients[c].name));
  }
  for (const StepRow& s : r.steps) {
    if (events > max_events / 2) break;
    next();
    fmt::format_to(to,
                   "{{\"ph\":\"X\",\"pid\":{},\"tid\":0,\"name\":\"{}\",\"ts\":{:.3f},\"dur\":{:.3f},\"args\":{{"
                   "\"prefill_tokens\":{},\"decode_sequences\":{}}}}}",
                   s.client, s.prefill_tokens > 0 ? s.decode_sequences > 0 ? "mixed" : "prefill" : "decode",
                   us(s.start), us(s.end - s.start), s.prefill_tokens, s.decode_sequences);
  }
  for (const SampleRow& s : r.samples) {
    if (events > max_events * 3 / 4) break;
    const auto counter = [&](const char* name, double value) {
      next();
      fmt::format_to(to, "{{\"ph\":\"C\",\"pid\":{},\"name\":\"{}\",\"ts\":{:.3f},\"args\":{{\"{}\":{}}}}}", s.client,
                     name, us(s.t), name, value);
    };
    counter("kv_blocks", s.blocks_used);
    counter("waiting", s.waiting);
    counter("running", s.running);
    counter("power_w", s.power_w);
  }
  // Requests: waiting and generation on the client's request lanes, joined by a flow arrow.
  constexpr int kLanes = 64;
  for (const RequestRow& q : r.requests) {
    if (events + 4 > max_events) break;
    if (q.outcome != 0 || q.client < 0 || q.first_token < 0) continue;
    const int lane = 1 + static_cast<int>(q.serial % kLanes);
    next();
    fmt::format_to(to,
                   "{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"name\":\"request {}\",\"ts\":{:.3f},\"dur\":{:.3f},\"args\":{{"
                   "\"prompt\":{},\"output\":{},\"cached\":{}}}}}",
                   q.client, lane, q.serial, us(q.first_token), us(q.finished - q.first_token), q.prompt, q.output,
                   q.cached);
    next();
    fmt::format_to(to,
                   "{{\"ph\":\"s\",\"pid\":{},\"tid\":0,\"name\":\"request\",\"cat\":\"flow\",\"id\":{},\"ts\":{:.3f}}}",
                   q.client, q.serial, us(std::max<Ns>(q.scheduled, 0)));
    next();
    fmt::format_to(to,
                   "{{\"ph\":\"f\",\"bp\":\"e\",\"pid\":{},\"tid\":{},\"name\":\"request\",\"cat\":\"flow\",\"id\":{},"
                   "\"ts\":{:.3f}}}",
                   q.client, lane, q.serial, us(q.first_token));
  }
  fmt::format_to(to, "\n]}}\n");
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(out.data(), out.size())));
  return file.commit();
}

}  // namespace callie::plan
