#include "assertions/generate/generate.h"

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/interrupt.h"
#include "core/thread_pool.h"

namespace callie::assertions {
namespace {

constexpr int64_t kBatch = 256;      // pairs between two saves; fixed, so that the output never depends on threads
constexpr int kMaxAttempts = 2000;

namespace fs = std::filesystem;

/// Pairs that were written, in OUTPUT.part, and what they belong to, in OUTPUT.part.json.
class Journal {
 public:
  Journal(const GenerateOptions& options, std::string shapes_hash)
      : part_(options.output + ".part"), state_(options.output + ".part.json") {
    key_ = Json{{"schema", 1}, {"seed", options.seed}, {"mode", options.vert_compat ? "vert-compat" : "full"}, {"tier", options.tier},
                {"train_test", options.train_test}, {"shapes", shapes_hash}};
  }

  /// The number of pairs of an earlier run with the same key, at most `limit` batches' worth.
  StatusOr<int64_t> resume(int64_t count, std::set<std::string>& seen) {
    int64_t pairs = 0;
    uint64_t bytes = 0;
    std::error_code ignored;
    if (fs::exists(state_, ignored)) {
      CALLIE_ASSIGN_OR_RETURN(const std::string text, read_text_file(state_));
      const Json state = Json::parse(text, nullptr, false);
      const bool sound = state.is_object() && state.contains("key") && state["key"] == key_ && state.contains("pairs") &&
                         state["pairs"].is_number_unsigned() && state.contains("bytes") && state["bytes"].is_number_unsigned();
      if (sound && state["pairs"].get<int64_t>() <= count && fs::exists(part_, ignored) &&
          fs::file_size(part_, ignored) >= state["bytes"].get<uint64_t>()) {
        pairs = state["pairs"].get<int64_t>();
        bytes = state["bytes"].get<uint64_t>();
      }
    }
    out_.open(part_, std::ios::binary | (bytes > 0 ? std::ios::in | std::ios::out : std::ios::trunc | std::ios::out));
    if (!out_) return invalid_argument("{}: cannot write", part_);
    if (bytes > 0) {
      fs::resize_file(part_, bytes, ignored);
      std::ifstream in(part_, std::ios::binary);
      std::string line;
      while (std::getline(in, line)) {
        CALLIE_ASSIGN_OR_RETURN(const Pair pair, read_pair(line));
        seen.insert(pair.hash.alpha);
      }
      out_.seekp(0, std::ios::end);
    }
    bytes_ = bytes;
    return pairs;
  }

  Status append(const std::string& lines, int64_t pairs) {
    out_ << lines << std::flush;
    if (!out_) return resource_exhausted("{}: cannot write (disk full?)", part_);
    bytes_ += lines.size();
    return write_text_file(state_, Json{{"key", key_}, {"pairs", pairs}, {"bytes", bytes_}}.dump(), false);
  }

  Status finish(const std::string& output) {
    out_.close();
    // The note goes first: without it a run begins anew, whatever lies there.
    std::error_code problem;
    fs::remove(state_, problem);
    fs::rename(part_, output, problem);
    if (problem) return invalid_argument("{}: cannot write: {}", output, problem.message());
    return ok_status();
  }

 private:
  std::string part_, state_;
  Json key_;
  std::fstream out_;
  uint64_t bytes_ = 0;
};

}  // namespace

StatusOr<GenerateReport> generate(const GenerateOptions& options, const std::function<void(int64_t)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  ShapeBank own;
  std::string shapes_hash;
  if (!options.shapes.empty()) {
    CALLIE_ASSIGN_OR_RETURN(own, read_shapes(options.shapes));
    for (const Shape& shape : own.shapes) shapes_hash += to_text(shape.skeleton) + shape.source.repo;
    shapes_hash = fmt::format("{:016x}", xxh64({reinterpret_cast<const uint8_t*>(shapes_hash.data()), shapes_hash.size()}));
  }
  const ShapeBank& bank = options.shapes.empty() ? built_in_shapes() : own;
  GenerateReport report;
  Journal journal(options, shapes_hash);
  std::set<std::string> seen;
  CALLIE_ASSIGN_OR_RETURN(int64_t done, journal.resume(options.count, seen));
  report.resumed = done;
  ThreadPool pool(options.threads);
  while (done < options.count) {
    const int64_t n = std::min(kBatch - done % kBatch, options.count - done);
    struct Slot {
      std::optional<Pair> pair;
      int attempt = 0;
      bool accepted = false;
    };
    std::vector<Slot> slots(static_cast<size_t>(n));
    Status problem;
    std::mutex lock;
    for (;;) {
      std::vector<size_t> open;
      for (size_t i = 0; i < slots.size(); ++i) {
        if (!slots[i].accepted) open.push_back(i);
      }
      if (open.empty()) break;
      // Each open slot draws until it has a pair; which duplicates fall out is decided below, in order.
      std::atomic<size_t> next{0};
      std::atomic<int64_t> candidates{0};
      pool.run([&](const Worker&) {
        for (size_t i = next++; i < open.size() && !interrupted(); i = next++) {
          Slot& slot = slots[open[i]];
          while (!slot.pair && slot.attempt < kMaxAttempts) {
            ++candidates;
            StatusOr<std::optional<Pair>> pair = generate_candidate(options, bank, done + static_cast<int64_t>(open[i]), slot.attempt++);
            if (!pair.ok()) {
              const std::lock_guard guard(lock);
              problem = pair.status();
              return;
            }
            slot.pair = std::move(*pair);
          }
        }
      });
      report.candidates += candidates;
      CALLIE_RETURN_IF_ERROR(problem);
      if (interrupted()) return error(StatusCode::kCancelled, "stopped after {} pairs; the same command goes on from there", done);
      for (size_t i : open) {
        Slot& slot = slots[i];
        if (!slot.pair) return error(StatusCode::kFailedPrecondition, "no new pair in {} draws: too few shapes for {} pairs", kMaxAttempts, options.count);
        if (seen.insert(slot.pair->hash.alpha).second) {
          slot.accepted = true;
        } else {
          slot.pair.reset();
          ++report.duplicates;
        }
      }
    }
    std::string lines;
    for (const Slot& slot : slots) {
      lines += write_pair(*slot.pair);
      lines += '\n';
      report.assertions += static_cast<int64_t>(slot.pair->assertions.size());
      for (const Pair::Mutant& m : slot.pair->mutants) {
        if (m.verdict == "equivalent") ++report.equivalent;
        else if (m.kind.starts_with("design:")) ++report.design_mutants;
        else ++report.assertion_mutants;
      }
    }
    done += n;
    report.pairs += n;
    CALLIE_RETURN_IF_ERROR(journal.append(lines, done));
    progress(done);
  }
  CALLIE_RETURN_IF_ERROR(journal.finish(options.output));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace callie::assertions
