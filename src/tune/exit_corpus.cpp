#include "tune/exit_corpus.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/json_lines.h"
#include "core/philox.h"
#include "core/progress.h"
#include "engine/executor.h"
#include "tasks/prompt_file.h"

namespace callie::tune {
namespace {

constexpr int kTogether = 16;  // sequences that are continued at once

// Greedy continuations of `prompts`, the end of a sequence included.
class Continuations : private ExecutorListener {
 public:
  Continuations(std::shared_ptr<const Model> model, const ExitCorpusOptions& options, ThreadPool& pool)
      : model_(std::move(model)), options_(options), pool_(pool) {}

  Status run(std::span<const CorpusPiece> prompts, std::vector<CorpusPiece>& out) {
    ExecutorOptions executor;
    executor.context = options_.piece + options_.continue_tokens;
    executor.prefix_cache = false;
    executor.sched.token_budget = 128;
    executor.sched.max_seqs = kTogether;
    CALLIE_ASSIGN_OR_RETURN(const auto engine, Executor::create(model_, executor, pool_));
    out.assign(prompts.begin(), prompts.end());
    pieces_ = &out;
    for (size_t i = 0; i < prompts.size(); ++i) {
      GenerationRequest request;
      request.request.id = i;
      request.request.prompt = prompts[i].tokens;
      request.request.max_new = options_.continue_tokens;
      request.sampling.temperature = 0;
      CALLIE_RETURN_IF_ERROR(engine->submit(std::move(request), 0).status());
    }
    const auto start = std::chrono::steady_clock::now();
    const auto clock = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    while (!engine->idle()) {
      if (interrupted()) return Status(StatusCode::kCancelled, "");
      CALLIE_RETURN_IF_ERROR(engine->step(clock, *this).status());
    }
    return ok_status();
  }

 private:
  sched::FinishReason on_token(const ChosenToken& token) override {
    (*pieces_)[token.request_id].tokens.push_back(token.token);
    return model_->tokenizer().is_end_of_generation(token.token) ? sched::FinishReason::kStop : sched::FinishReason::kNone;
  }
  void on_finish(sched::Handle, const sched::Sequence&) override {}

  std::shared_ptr<const Model> model_;
  const ExitCorpusOptions& options_;
  ThreadPool& pool_;
  std::vector<CorpusPiece>* pieces_ = nullptr;
};

// Continuations that an earlier run has kept: of the same prompts, or none.
std::vector<CorpusPiece> kept_continuations(const std::string& path, std::span<const CorpusPiece> prompts) {
  std::vector<CorpusPiece> out;
  const auto text = read_text_file(path);
  if (!text.ok()) return out;
  const Status read = for_each_json_line(*text, path, [&](const Json& line, int) -> Status {
    if (out.size() >= prompts.size() || !line.contains("tokens") || !line["tokens"].is_array()) return data_loss("");
    CorpusPiece piece{line["tokens"].get<std::vector<int32_t>>(), prompts[out.size()].begin};
    const auto& prompt = prompts[out.size()].tokens;
    if (piece.tokens.size() < prompt.size() || !std::equal(prompt.begin(), prompt.end(), piece.tokens.begin())) {
      return data_loss("");
    }
    out.push_back(std::move(piece));
    return ok_status();
  });
  return out;  // what was read before a line that does not fit
}

int64_t positions(const CorpusPiece& piece) { return static_cast<int64_t>(piece.tokens.size()) - piece.begin; }

}  // namespace

StatusOr<std::vector<CorpusPiece>> read_exit_corpus(std::shared_ptr<const Model> model, const ExitCorpusOptions& options,
                                                    const std::string& state_path, ThreadPool& pool) {
  const Tokenizer& tokenizer = model->tokenizer();
  std::vector<CorpusPiece> prompts;
  std::vector<std::vector<CorpusPiece>> texts(options.files.size());
  for (size_t f = 0; f < options.files.size(); ++f) {
    const std::string& path = options.files[f];
    const auto add_text = [&](std::vector<int32_t> tokens) {
      for (size_t at = 0; at + 2 < tokens.size(); at += options.piece) {
        const size_t end = std::min(tokens.size(), at + options.piece);
        texts[f].push_back({{tokens.begin() + static_cast<int64_t>(at), tokens.begin() + static_cast<int64_t>(end)}, 1});
      }
    };
    if (path.ends_with(".txt") || path.ends_with(".txt.gz")) {
      CALLIE_ASSIGN_OR_RETURN(const std::string text, read_maybe_gzipped("--corpus", path));
      // Only as much as can be used: a token has rarely more than six bytes.
      CALLIE_ASSIGN_OR_RETURN(auto tokens, tokenizer.encode(text.substr(0, options.tokens * 6), {.add_special = true}));
      add_text(std::move(tokens));
      continue;
    }
    CALLIE_ASSIGN_OR_RETURN(const auto lines, read_prompt_file("--corpus", path));
    const auto wanted = [&](const FilePrompt& line) {
      return options.parity < 0 || line.number < 0 || line.number % 2 == options.parity;
    };
    // Prompts to continue are spread evenly over the file.
    const auto n = std::count_if(lines.begin(), lines.end(), wanted);
    int64_t seen = 0;
    for (const FilePrompt& line : lines) {
      if (!wanted(line)) continue;
      const bool continues = options.continued >= n || (seen + 1) * options.continued / n > seen * options.continued / n;
      ++seen;
      CALLIE_ASSIGN_OR_RETURN(auto tokens, line.tokens(tokenizer));
      if (continues && static_cast<int>(tokens.size()) <= options.piece) {
        prompts.push_back({tokens, static_cast<int32_t>(tokens.size()) - 1});
      }
      if (line.answer.empty()) continue;
      CALLIE_ASSIGN_OR_RETURN(const auto answer, tokenizer.encode(line.answer, {}));
      tokens.insert(tokens.end(), answer.begin(), answer.end());
      add_text(std::move(tokens));
    }
  }

  std::vector<CorpusPiece> pieces = kept_continuations(state_path, prompts);
  if (pieces.size() < prompts.size()) {
    Progress progress("continuing prompts", static_cast<int64_t>(prompts.size()), "prompts");
    std::error_code ignored;
    if (pieces.empty()) std::filesystem::remove(state_path, ignored);
    std::ofstream state(state_path, std::ios::app);
    if (!state) return invalid_argument("{} cannot be written", state_path);
    while (pieces.size() < prompts.size()) {
      progress.update(static_cast<int64_t>(pieces.size()));
      const auto part = std::span(prompts).subspan(pieces.size(), std::min<size_t>(kTogether, prompts.size() - pieces.size()));
      std::vector<CorpusPiece> fresh;
      CALLIE_RETURN_IF_ERROR(Continuations(model, options, pool).run(part, fresh));
      for (CorpusPiece& piece : fresh) {
        state << Json{{"tokens", piece.tokens}}.dump() << "\n";
        pieces.push_back(std::move(piece));
      }
      state.flush();
    }
    progress.finish();
  }
  std::erase_if(pieces, [](const CorpusPiece& piece) { return positions(piece) < 1; });

  int64_t left = options.tokens;
  for (const CorpusPiece& piece : pieces) left -= positions(piece);
  // Files with little text give all they have; the others share what is left.
  std::vector<int64_t> sizes(texts.size(), 0);
  for (size_t f = 0; f < texts.size(); ++f) {
    for (const CorpusPiece& piece : texts[f]) sizes[f] += positions(piece);
  }
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] < sizes[b]; });
  for (size_t k = 0; k < order.size(); ++k) {
    int64_t share = left / static_cast<int64_t>(order.size() - k);
    for (CorpusPiece& piece : texts[order[k]]) {
      if (share <= 0) break;
      share -= positions(piece);
      left -= positions(piece);
      pieces.push_back(std::move(piece));
    }
  }
  if (pieces.empty()) return data_loss("--corpus: no texts");
  // Any beginning of the corpus is a fair sample of it.
  SequentialRng rng(0, Purpose::kWorkload);
  for (size_t i = pieces.size() - 1; i > 0; --i) std::swap(pieces[i], pieces[rng.next_below(i + 1)]);
  return pieces;
}

}  // namespace callie::tune
