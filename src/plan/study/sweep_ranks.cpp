#include "plan/study/sweep_ranks.h"

#ifdef CALLIE_MPI

#include <mpi.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "core/interrupt.h"

namespace callie::plan {
namespace {

/// What a rank sends to rank 0: that it is ready, or what came out of its task. The text of an error follows.
struct Outcome {
  enum Kind : int32_t { kReady, kDone, kFailed, kInterrupted } kind = kReady;
  int32_t slo_met = 0, saturated = 0, padding = 0;
  double figures[9] = {};
};

constexpr int64_t kGoHome = -1;  // as a task's point

Outcome pack(const SweepPoint& p) {
  return {Outcome::kDone, p.slo_met, p.saturated, 0,
          {p.throughput, p.output_tokens, p.goodput, p.ttft_p99, p.tpot_p99, p.e2e_p99, p.usd_per_million,
           p.joules_per_token, p.usd_per_hour}};
}

SweepPoint unpack(const Outcome& o, std::string error) {
  SweepPoint p;
  double* const fields[9] = {&p.throughput, &p.output_tokens, &p.goodput, &p.ttft_p99, &p.tpot_p99,
                             &p.e2e_p99, &p.usd_per_million, &p.joules_per_token, &p.usd_per_hour};
  for (int i = 0; i < 9; ++i) *fields[i] = o.figures[i];
  p.slo_met = o.slo_met != 0;
  p.saturated = o.saturated != 0;
  p.error = std::move(error);
  return p;
}

class MpiRanks : public SweepRanks {
 public:
  MpiRanks() {
    int given = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &given);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    tasks_.resize(size_);
    state_.assign(size_, State::kUnseen);
  }

  ~MpiRanks() override {
    for (int rank = 1; rank_ == 0 && rank < size_; ++rank) {
      if (state_[rank] == State::kUnseen) receive(rank);
      if (state_[rank] == State::kReady) send({kGoHome, 0}, rank);
    }
    MPI_Finalize();
  }

  int rank() const override { return rank_; }

  void work(const std::function<StatusOr<SweepPoint>(const Task&)>& simulate) override {
    answer({}, "");
    while (true) {
      wait(0);
      Task task;
      MPI_Recv(&task, sizeof task, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      if (task.point == kGoHome) return;
      const auto point = simulate(task);
      if (interrupted()) {
        answer({Outcome::kInterrupted}, "");
        return;
      }
      if (point.ok()) {
        answer(pack(*point), point->error);
      } else {
        answer({Outcome::kFailed}, point.status().message());
      }
    }
  }

  Status hand_out(const std::function<std::optional<Task>()>& next,
                  const std::function<void(const Task&, const SweepPoint&)>& done) override {
    Status status = ok_status();
    bool more = size_ > 1;
    int busy = 0;
    while (more || busy > 0) {
      for (int rank = 1; rank < size_ && more; ++rank) {
        if (state_[rank] != State::kReady) continue;
        const auto task = next();
        more = task.has_value();
        if (!more) break;
        tasks_[rank] = *task;
        send(*task, rank);
        state_[rank] = State::kBusy;
        ++busy;
      }
      if (!more && busy == 0) break;
      const int rank = wait(MPI_ANY_SOURCE, &more, busy);
      if (rank < 0) break;
      const bool had_task = state_[rank] == State::kBusy;
      const auto [outcome, text] = receive(rank);
      busy -= had_task;
      if (outcome.kind == Outcome::kDone) done(tasks_[rank], unpack(outcome, text));
      if (outcome.kind == Outcome::kFailed) status = invalid_argument("rank {}: {}", rank, text);
      if (outcome.kind == Outcome::kInterrupted) status = error(StatusCode::kCancelled, "rank {} was interrupted", rank);
      if (!status.ok()) more = false;
    }
    return status;
  }

 private:
  enum class State : uint8_t { kUnseen, kReady, kBusy, kGone };

  /// The next rank (of those that `source` allows) with a message. MPI itself would wait with a busy processor. With
  /// `more`: -1 once the user interrupted and no rank is busy.
  int wait(int source, bool* more = nullptr, int busy = 0) {
    while (true) {
      int there = 0;
      MPI_Status status;
      MPI_Iprobe(source, 0, MPI_COMM_WORLD, &there, &status);
      if (there) return status.MPI_SOURCE;
      if (more && interrupted()) {
        *more = false;
        if (busy == 0) return -1;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  void answer(const Outcome& outcome, const std::string& text) {
    std::string message(sizeof outcome, '\0');
    std::memcpy(message.data(), &outcome, sizeof outcome);
    message += text;
    MPI_Send(message.data(), static_cast<int>(message.size()), MPI_BYTE, 0, 0, MPI_COMM_WORLD);
  }

  void send(const Task& task, int rank) { MPI_Send(&task, sizeof task, MPI_BYTE, rank, 0, MPI_COMM_WORLD); }

  std::pair<Outcome, std::string> receive(int rank) {
    MPI_Status status;
    MPI_Probe(rank, 0, MPI_COMM_WORLD, &status);
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    std::string message(static_cast<size_t>(size), '\0');
    MPI_Recv(message.data(), size, MPI_BYTE, rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    Outcome outcome;
    std::memcpy(&outcome, message.data(), sizeof outcome);
    state_[rank] = outcome.kind == Outcome::kInterrupted ? State::kGone : State::kReady;
    return {outcome, message.substr(sizeof outcome)};
  }

  int rank_ = 0, size_ = 1;
  std::vector<Task> tasks_;    // by rank; rank 0 only, like the next
  std::vector<State> state_;
};

}  // namespace

bool SweepRanks::available() { return true; }

StatusOr<std::unique_ptr<SweepRanks>> SweepRanks::join() { return std::unique_ptr<SweepRanks>(new MpiRanks()); }

}  // namespace callie::plan

#else

namespace callie::plan {

bool SweepRanks::available() { return false; }

StatusOr<std::unique_ptr<SweepRanks>> SweepRanks::join() {
  return error(StatusCode::kUnimplemented, "--mpi: this build has no MPI; configure it with -DCALLIE_MPI=ON");
}

}  // namespace callie::plan

#endif
