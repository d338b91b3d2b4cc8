#include "serve/timed_mask.h"

#include <chrono>

namespace callie::serve {
namespace {

class TimedMask : public TokenMask {
 public:
  TimedMask(std::unique_ptr<TokenMask> inner, Metrics& metrics) : inner_(std::move(inner)), metrics_(metrics) {}

  Status fill(std::span<uint32_t> bits) override {
    const auto start = Clock::now();
    Status status = inner_->fill(bits);
    fill_s_ = std::chrono::duration<double>(Clock::now() - start).count();
    return status;
  }
  Status accept(int32_t token) override {
    const auto start = Clock::now();
    Status status = inner_->accept(token);
    metrics_.masked(fill_s_ + std::chrono::duration<double>(Clock::now() - start).count());
    fill_s_ = 0;
    return status;
  }
  bool can_end() override { return inner_->can_end(); }
  bool must_end() override { return inner_->must_end(); }
  std::unique_ptr<TokenMask> clone() const override {
    auto copy = inner_->clone();
    return copy ? std::make_unique<TimedMask>(std::move(copy), metrics_) : nullptr;
  }
  std::vector<int32_t> forced() override { return inner_->forced(); }

 private:
  using Clock = std::chrono::steady_clock;
  std::unique_ptr<TokenMask> inner_;
  Metrics& metrics_;
  double fill_s_ = 0;
};

}  // namespace

std::unique_ptr<TokenMask> timed(std::unique_ptr<TokenMask> mask, Metrics& metrics) {
  return std::make_unique<TimedMask>(std::move(mask), metrics);
}

}  // namespace callie::serve
