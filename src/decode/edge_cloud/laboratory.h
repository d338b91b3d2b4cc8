#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/context.h"
#include "core/status.h"
#include "decode/edge_cloud/client.h"
#include "decode/edge_cloud/recording.h"
#include "engine/model.h"

namespace callie::edge_cloud {

struct LaboratoryOptions {
  std::vector<double> rtt_ms = {0, 5, 20, 50, 100, 200};
  std::vector<Mode> modes;
  int draft_len = 4;       ///< of the fixed modes
  int longest = 8;         ///< of the adaptive one
  int max_new = 128;
  bool ignore_end = false;
  double server_price = 0;
  int64_t context = 1024;
  int64_t head_rows = 32768;  ///< of the draft's head; 0 = all
  SamplingOptions sampling;
  std::optional<Costs> calibration;  ///< adaptive starts from it
  std::shared_ptr<const ExitHeads> exits;  ///< of the target; null = the server sends no hints
};

/// One mode at one round trip, over all prompts.
struct LaboratoryRow {
  Mode mode = Mode::kSync;
  double rtt_ms = 0;
  int64_t tokens = 0, rounds = 0, accepted = 0, guess_hits = 0, other_hits = 0, hint_hits = 0, hint_only_hits = 0,
          hints_early = 0, optimistic_sent = 0, optimistic_hits = 0;
  int64_t frames = 0, bytes = 0;  ///< without the opening
  double span_s = 0;              ///< first token to last, summed
  double busy_s = 0;              ///< passes after the first token, summed
  double hint_lead_s = 0;         ///< from a right hint to its verdict, summed
  bool tokens_equal = true;       ///< to decoding one token a pass
  std::vector<double> ms;         ///< per token, one a prompt
  Costs costs;                    ///< measured in this mode's own runs, where it drafts; see predict()

  double ms_per_token() const { return tokens > 0 ? span_s * 1e3 / static_cast<double>(tokens) : 0; }
};

/// Runs real token sequences through the state machines on a virtual clock, for every mode and round trip, with every
/// pass and draft step measured once, alone, and its time played back.
class Laboratory {
 public:
  /// Errors: those of Session::create; kInvalidArgument when the vocabularies differ. `pool` must outlive it.
  static StatusOr<std::unique_ptr<Laboratory>> create(std::shared_ptr<const Model> target,
                                                      std::shared_ptr<const Model> draft,
                                                      const LaboratoryOptions& options, ThreadPool& pool);
  /// Runs one prompt through everything. Errors: those of the models; kResourceExhausted (context).
  Status add(std::span<const TokenId> prompt);

  const std::vector<LaboratoryRow>& rows() const { return rows_; }
  /// Mean seconds of a draft step and of passes by width (0 = never seen), over all prompts.
  Costs costs(const LaboratoryRow& row) const;
  double draft_step_s() const;
  /// Time of the exits of a pass over a draft, as a share of the pass without them.
  double exit_share() const;
  /// The time line of the last prompt's first rounds in a row, by its index.
  std::span<const TraceEvent> trace(size_t row) const { return traces_[row]; }
  int prompts() const { return prompts_; }

 private:
  struct Run;
  Laboratory() = default;
  Status run(LaboratoryRow& row, std::span<const TokenId> prompt, RecordingDraft& draft, std::vector<TraceEvent>& trace);

  LaboratoryOptions options_;
  std::shared_ptr<const Model> target_, draft_;
  ThreadPool* pool_ = nullptr;
  std::unique_ptr<callie::Session> session_;
  std::unique_ptr<RecordingTarget> recording_;
  std::vector<uint32_t> table_us_;
  std::vector<LaboratoryRow> rows_;
  std::vector<std::vector<TraceEvent>> traces_;
  std::vector<TokenId> reference_;
  std::vector<std::pair<double, int64_t>> passes_;  // [m-1] seconds and number
  double draft_s_ = 0;
  int64_t draft_steps_ = 0;
  int prompts_ = 0;
};

}  // namespace callie::edge_cloud
