#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/status.h"

struct sqlite3;

namespace callie::serve {

/// Responses that clients asked to keep (`store`), with the conversation behind each. Safe from any thread.
class ResponseStore {
 public:
  /// `path` is a SQLite file, made when missing; ":memory:" keeps nothing. Errors name the file.
  static StatusOr<std::unique_ptr<ResponseStore>> open(const std::string& path, int max_responses = 10000);
  ~ResponseStore();

  struct Entry {
    std::string response;  ///< the response object, JSON
    std::string messages;  ///< the whole conversation up to and with it, JSON array of chat messages
  };
  Status put(const std::string& id, const Entry& entry);
  /// kNotFound when there is none.
  StatusOr<Entry> get(const std::string& id);
  /// True when it was there.
  StatusOr<bool> remove(const std::string& id);

 private:
  ResponseStore(sqlite3* db, int max_responses) : db_(db), max_responses_(max_responses) {}
  std::mutex mutex_;
  sqlite3* db_;
  int max_responses_;
};

}  // namespace callie::serve
