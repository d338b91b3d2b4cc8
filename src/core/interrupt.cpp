#include "core/interrupt.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <unistd.h>

namespace callie {
namespace {

// Set by the handler, read by any thread.
std::atomic<bool> flag{false};
std::atomic<int64_t> last_s{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

extern "C" void on_signal(int) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto now_s = static_cast<int64_t>(now.tv_sec);
  if (flag && now_s - last_s < 2) _exit(130);
  flag = true;
  last_s = now_s;
}

}  // namespace

void install_interrupt_handler(bool with_term) {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  if (with_term) sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return flag; }
void clear_interrupt() { flag = false; }

}  // namespace callie
