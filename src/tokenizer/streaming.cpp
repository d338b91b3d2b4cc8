#include "tokenizer/streaming.h"

#include <algorithm>

#include "tokenizer/text.h"
#include "tokenizer/tokenizer.h"

namespace callie {
namespace {

/// Bytes at the end of `text` that may yet become a character: 0 to 3.
size_t unfinished(std::string_view text) {
  const size_t look = std::min<size_t>(3, text.size());
  for (size_t back = 1; back <= look; ++back) {
    const uint8_t byte = static_cast<uint8_t>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (needs <= back) return 0;
    // Not if what is there is already wrong: complete it with each allowed byte and see.
    std::string tail(text.substr(text.size() - back));
    for (int second : {0x80, 0x90, 0xa0}) {
      std::string whole = tail;
      while (whole.size() < needs) whole += static_cast<char>(whole.size() == 1 ? second : 0x80);
      const uint8_t* p = text::bytes(whole);
      if (text::valid_length(p, p + whole.size()) == needs) return back;
    }
    return 0;
  }
  return 0;
}

}  // namespace

std::string StreamingDetokenizer::add(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  held_ += tokenizer_->token_bytes(id);
  const size_t keep = unfinished(held_);
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StreamingDetokenizer::finish() {
  std::string out;
  std::swap(out, held_);
  return out;
}

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {}

StopMatcher::Result StopMatcher::add(std::string_view text) {
  Result result;
  if (stopped_) {
    result.stopped = true;
    return result;
  }
  held_ += text;
  // The earliest place where a stop string begins, complete or cut off by the end of the text.
  size_t complete = std::string::npos, partial = held_.size();
  for (size_t i = 0; i < stops_.size(); ++i) {
    const std::string& stop = stops_[i];
    if (stop.empty()) continue;
    const size_t found = held_.find(stop);
    if (found != std::string::npos &&
        (found < complete ||
         (found == complete && stop.size() > stops_[static_cast<size_t>(result.stop_index)].size()))) {
      complete = found;
      result.stop_index = static_cast<int>(i);
    }
    const size_t longest = std::min(held_.size(), stop.size() - 1);
    for (size_t size = longest; size > 0; --size) {
      if (std::string_view(held_).substr(held_.size() - size) == std::string_view(stop).substr(0, size)) {
        partial = std::min(partial, held_.size() - size);
        break;
      }
    }
  }
  if (complete != std::string::npos && complete <= partial) {
    result.text = held_.substr(0, complete);
    result.stopped = stopped_ = true;
    held_.clear();
    return result;
  }
  result.stop_index = -1;
  result.text = held_.substr(0, partial);
  held_.erase(0, partial);
  return result;
}

std::string StopMatcher::finish() {
  std::string out;
  if (!stopped_) std::swap(out, held_);
  held_.clear();
  return out;
}

}  // namespace callie
