#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "core/json.h"
#include "core/status.h"

namespace callie::plan {

/// A place in a JSON document that remembers its path, so that every error names file and field.
class JsonField {
 public:
  JsonField(const Json& json, std::string place) : json_(&json), place_(std::move(place)) {}

  JsonField operator[](const char* key) const {
    if (!json_ || !json_->is_object()) return {nullptr, place_ + ": " + key};
    const auto found = json_->find(key);
    return {found == json_->end() ? nullptr : &*found, path(key)};
  }
  JsonField at(size_t index) const { return {&(*json_)[index], fmt::format("{}[{}]", place_, index)}; }

  bool present() const { return json_ && !json_->is_null(); }
  const Json& json() const { return *json_; }
  const std::string& place() const { return place_; }

  StatusOr<double> number(double low, double high) const {
    if (!present()) return data_loss("{}: missing", place_);
    if (!json_->is_number()) return data_loss("{}: not a number", place_);
    const double value = json_->get<double>();
    if (!std::isfinite(value) || value < low || value > high) {
      return data_loss("{}: {} is outside {}..{}", place_, value, low, high);
    }
    return value;
  }
  /// A number without a fraction, at most 2^31 - 1 in size.
  StatusOr<int32_t> whole(double low, double high) const {
    CALLIE_ASSIGN_OR_RETURN(const double value, number(low, std::min(high, 2147483647.0)));
    if (value != std::floor(value)) return data_loss("{}: {} is not a whole number", place_, value);
    return static_cast<int32_t>(value);
  }
  StatusOr<double> number_or(double fallback, double low, double high) const {
    if (!present()) return fallback;
    return number(low, high);
  }
  StatusOr<std::string> text() const {
    if (!present()) return data_loss("{}: missing", place_);
    if (!json_->is_string()) return data_loss("{}: not a text", place_);
    return json_->get<std::string>();
  }
  StatusOr<std::string> text_or(const std::string& fallback) const {
    if (!present()) return fallback;
    return text();
  }
  StatusOr<bool> boolean_or(bool fallback) const {
    if (!present()) return fallback;
    if (!json_->is_boolean()) return data_loss("{}: not true or false", place_);
    return json_->get<bool>();
  }

 private:
  JsonField(const Json* json, std::string place) : json_(json), place_(std::move(place)) {}
  std::string path(const char* key) const {
    // "file: a" then "file: a.b".
    return place_ + (place_.find(": ") == std::string::npos ? ": " : ".") + key;
  }

  const Json* json_;
  std::string place_;
};

}  // namespace callie::plan
