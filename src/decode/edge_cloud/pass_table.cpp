#include "decode/edge_cloud/pass_table.h"

#include <algorithm>

#include "decode/edge_cloud/clock.h"
#include "engine/session.h"

namespace callie::edge_cloud {

StatusOr<std::vector<uint32_t>> measure_passes(std::shared_ptr<const Model> model, int most, ThreadPool& pool) {
  constexpr int kRepetitions = 3;
  const int64_t longest = model->spec().context > 0 ? model->spec().context : 4096;
  const auto context = static_cast<int>(std::clamp<int64_t>(longest - most, 1, 256));
  SessionOptions options;
  options.context = context + most;
  CALLIE_ASSIGN_OR_RETURN(const auto session, Session::create(model, options, pool));
  const std::vector<int32_t> tokens(context + most, 1);
  CALLIE_RETURN_IF_ERROR(session->append(std::span(tokens).first(context), Session::Logits::kNone).status());
  const SteadyClock clock;
  std::vector<uint32_t> table(most, 0);
  int last = 0;
  for (int m = 1; m <= most; m += m < 6 ? 1 : std::min(3, std::max(1, most - m))) {
    TimeNs best = kNever;
    for (int i = 0; i < kRepetitions; ++i) {
      const TimeNs begin = clock.now();
      CALLIE_RETURN_IF_ERROR(session->append(std::span(tokens).first(m), Session::Logits::kAll).status());
      best = std::min(best, clock.now() - begin);
      session->truncate(context);
    }
    table[m - 1] = static_cast<uint32_t>(best / kMicrosecond);
    for (int k = last + 1; k < m; ++k) {
      table[k - 1] = table[last - 1] + static_cast<uint32_t>((int64_t{table[m - 1]} - table[last - 1]) * (k - last) / (m - last));
    }
    last = m;
  }
  return table;
}

}  // namespace callie::edge_cloud
