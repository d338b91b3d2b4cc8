#include "core/interrupt.h"

#include <csignal>
#include <ctime>
#include <unistd.h>

namespace callie {
namespace {

volatile std::sig_atomic_t flag = 0;
volatile std::sig_atomic_t last_s = 0;

extern "C" void on_signal(int) {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto now_s = static_cast<std::sig_atomic_t>(now.tv_sec);
  if (flag && now_s - last_s < 2) _exit(130);
  flag = 1;
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

bool interrupted() { return flag != 0; }
void clear_interrupt() { flag = 0; }

}  // namespace callie
