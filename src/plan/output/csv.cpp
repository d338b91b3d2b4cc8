#include "core/atomic_file.h"
#include "plan/output/files.h"

namespace callie::plan {
namespace {

constexpr const char* kOutcomes[] = {"finished", "rejected", "failed", "unfinished"};

std::string client_name(const SimResult& r, int client) {
  return client >= 0 && client < static_cast<int>(r.clients.size()) ? r.clients[client].name : "";
}

}  // namespace

Status write_requests_csv(const std::string& path, const SimResult& r) {
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(
      "id,class,client,arrival_ns,queued_ns,scheduled_ns,first_token_ns,finished_ns,prompt_tokens,cached_tokens,"
      "output_tokens,retries,outcome\n")));
  fmt::memory_buffer buffer;
  for (const RequestRow& q : r.requests) {
    fmt::format_to(std::back_inserter(buffer), "{},{},{},{},{},{},{},{},{},{},{},{},{}\n", q.serial,
                   r.classes[q.klass].name, client_name(r, q.client), q.arrival, q.queued, q.scheduled, q.first_token,
                   q.finished, q.prompt, q.cached, q.output, q.retries, kOutcomes[q.outcome]);
    if (buffer.size() > (1 << 20)) {
      CALLIE_RETURN_IF_ERROR(file.write(std::string_view(buffer.data(), buffer.size())));
      buffer.clear();
    }
  }
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(buffer.data(), buffer.size())));
  return file.commit();
}

Status write_timeseries_csv(const std::string& path, const SimResult& r) {
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view("t_s,client,waiting,running,blocks_used,power_w\n")));
  fmt::memory_buffer buffer;
  for (const SampleRow& s : r.samples) {
    fmt::format_to(std::back_inserter(buffer), "{:.6f},{},{},{},{},{:.1f}\n", to_seconds(s.t), client_name(r, s.client),
                   s.waiting, s.running, s.blocks_used, s.power_w);
  }
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view(buffer.data(), buffer.size())));
  return file.commit();
}

}  // namespace callie::plan
