#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "serve/backend.h"

namespace callie::serve {

struct HubOptions {
  double idle_unload_s = 0;   ///< a model that nobody asked for so long leaves memory; 0 = never
  int64_t memory_budget = 0;  ///< bytes of all loaded models; 0 = no limit. The least recently used ones go first
};

/// The models of one server by name. Each is loaded at its first use, on the hub's own thread.
class ModelHub {
 public:
  struct Entry {
    std::string id;
    int64_t bytes = 0;  ///< what it takes in memory, estimated from its file
    int64_t created = 0;
    std::function<StatusOr<std::shared_ptr<Backend>>()> load;
  };
  ModelHub(std::vector<Entry> entries, const HubOptions& options);
  ~ModelHub();

  using Ready = std::function<void(StatusOr<std::shared_ptr<Backend>>)>;
  /// Calls `ready` with the model: at once when it is loaded, else later on the hub's thread. An empty name is the first
  /// model. Errors: kNotFound for an unknown name; those of loading.
  void use(const std::string& name, Ready ready);
  /// Loads the first model, if it is not there yet, before anyone asks for it. Errors: those of loading.
  Status load_first();
  /// Stops loading and ends all answers; afterwards no sink is called and use() is not allowed.
  void stop();

  struct Listing {
    std::string id;
    int64_t created = 0;
    std::shared_ptr<Backend> backend;  ///< null while it is not loaded
  };
  std::vector<Listing> list() const;

 private:
  struct Slot {
    Entry entry;
    std::shared_ptr<Backend> backend;
    double last_use_s = 0;
    bool loading = false;
    std::vector<Ready> waiting;
  };
  void run();
  Status load(Slot& slot, std::unique_lock<std::mutex>& lock);
  /// Takes models out of their slots until `wanted` fits. True when one that does not answer any more is still held by
  /// the end of a request and would help.
  bool make_room(const Slot& wanted, std::vector<std::shared_ptr<Backend>>* dropped);

  const HubOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Slot>> slots_;  // guarded by mutex_, like all below
  std::deque<Slot*> to_load_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace callie::serve
