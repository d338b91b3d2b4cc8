#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace callie {

/// A progress line on stderr: "label  42%  120/285 unit  3.1 unit/s  eta 0:53". Redrawn in place on a terminal; a line
/// every ten seconds elsewhere; silent when `quiet`. The only progress bar of the project.
class Progress {
 public:
  /// `total` 0 means unknown. `unit` is appended to counts ("MB", "rows"); `scale` divides them for display.
  Progress(std::string label, int64_t total, std::string unit, double scale = 1, bool quiet = false);
  ~Progress();

  void set_total(int64_t total) { total_ = total; }
  /// Sets the count reached. Redraws at most ten times a second.
  void update(int64_t done);
  void add(int64_t delta) { update(done_ + delta); }
  /// Draws the last state and ends the line.
  void finish();

 private:
  void draw(bool last);

  using Clock = std::chrono::steady_clock;
  std::string label_, unit_;
  int64_t total_, done_ = 0;
  double scale_;
  bool quiet_, terminal_, finished_ = false, drawn_ = false;
  Clock::time_point start_, last_draw_;
};

}  // namespace callie
