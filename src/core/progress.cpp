#include "core/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace callie {

Progress::Progress(std::string label, int64_t total, std::string unit, double scale, bool quiet)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      scale_(scale),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_draw_(start_) {}

Progress::~Progress() {
  if (!finished_ && drawn_ && terminal_) std::fputc('\n', stderr);
}

void Progress::update(int64_t done) {
  done_ = done;
  if (quiet_) return;
  const auto now = Clock::now();
  if (now - last_draw_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000))) return;
  last_draw_ = now;
  draw(false);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!quiet_) draw(true);
}

void Progress::draw(bool last) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string line = label_;
  if (total_ > 0) {
    line += fmt::format("  {:3.0f}%  {:.6g}/{:.6g} {}", 100.0 * static_cast<double>(done_) / static_cast<double>(total_),
                        static_cast<double>(done_) / scale_, static_cast<double>(total_) / scale_, unit_);
  } else {
    line += fmt::format("  {:.6g} {}", static_cast<double>(done_) / scale_, unit_);
  }
  line += fmt::format("  {:.3g} {}/s", rate / scale_, unit_);
  if (!last && total_ > done_ && rate > 0) {
    const auto eta = static_cast<int64_t>(static_cast<double>(total_ - done_) / rate);
    line += fmt::format("  eta {}:{:02}", eta / 60, eta % 60);
  }
  std::fprintf(stderr, terminal_ ? "\r\033[K%s%s" : "%s%s", line.c_str(), last || !terminal_ ? "\n" : "");
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace callie
