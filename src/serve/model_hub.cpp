#include "serve/model_hub.h"

#include <chrono>

#include "core/log.h"

namespace callie::serve {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool answers(const Backend& backend) {
  const BackendStats stats = backend.stats();
  return stats.running + stats.waiting > 0;
}

// Somebody holds it beside the hub, or it answers. New holders come through the hub only, under its lock.
bool busy(const std::shared_ptr<Backend>& backend) { return backend.use_count() > 1 || answers(*backend); }

}  // namespace

ModelHub::ModelHub(std::vector<Entry> entries, const HubOptions& options) : options_(options) {
  for (Entry& entry : entries) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->entry = std::move(entry);
  }
  thread_ = std::thread([this] { run(); });
}

ModelHub::~ModelHub() { stop(); }

void ModelHub::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const auto& slot : slots_) {
    if (slot->backend) slot->backend->stop();
  }
}

Status ModelHub::load_first() {
  std::unique_lock lock(mutex_);
  Slot& slot = *slots_.front();
  if (slot.backend) return ok_status();
  slot.loading = true;
  return load(slot, lock);
}

void ModelHub::use(const std::string& name, Ready ready) {
  std::unique_lock lock(mutex_);
  for (const auto& slot : slots_) {
    if (!name.empty() && slot->entry.id != name) continue;
    slot->last_use_s = now_s();
    if (slot->backend) {
      auto backend = slot->backend;
      lock.unlock();
      return ready(std::move(backend));
    }
    slot->waiting.push_back(std::move(ready));
    if (!slot->loading) {
      slot->loading = true;
      to_load_.push_back(slot.get());
      changed_.notify_all();
    }
    return;
  }
  lock.unlock();
  ready(not_found("the model '{}' does not exist", name));
}

std::vector<ModelHub::Listing> ModelHub::list() const {
  std::lock_guard lock(mutex_);
  std::vector<Listing> out;
  for (const auto& slot : slots_) out.push_back({slot->entry.id, slot->entry.created, slot->backend});
  return out;
}

bool ModelHub::make_room(const Slot& wanted, std::vector<std::shared_ptr<Backend>>* dropped) {
  if (options_.memory_budget <= 0) return false;
  for (;;) {
    int64_t bytes = wanted.entry.bytes;
    Slot* oldest = nullptr;
    bool held = false;
    for (const auto& slot : slots_) {
      if (!slot->backend) continue;
      bytes += slot->entry.bytes;
      if (!busy(slot->backend) && (!oldest || slot->last_use_s < oldest->last_use_s)) oldest = slot.get();
      held |= busy(slot->backend) && !answers(*slot->backend);
    }
    if (bytes <= options_.memory_budget) return false;
    if (!oldest) return held;
    spdlog::info("unloading {} to make room", oldest->entry.id);
    dropped->push_back(std::move(oldest->backend));
  }
}

Status ModelHub::load(Slot& slot, std::unique_lock<std::mutex>& lock) {
  std::vector<std::shared_ptr<Backend>> dropped;
  for (int tries = 0; make_room(slot, &dropped) && tries < 100 && !stopping_; ++tries) {
    lock.unlock();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    lock.lock();
  }
  lock.unlock();
  dropped.clear();  // joins their threads
  auto loaded = slot.entry.load();
  lock.lock();
  slot.loading = false;
  if (loaded.ok()) slot.backend = *loaded;
  std::vector<Ready> waiting;
  waiting.swap(slot.waiting);
  lock.unlock();
  const Status status = loaded.status();
  for (Ready& ready : waiting) ready(loaded);
  lock.lock();
  return status;
}

void ModelHub::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!to_load_.empty()) {
      Slot* slot = to_load_.front();
      to_load_.pop_front();
      const Status loaded = load(*slot, lock);
      if (!loaded.ok()) spdlog::error("{}: {}", slot->entry.id, loaded.message());
      continue;
    }
    if (options_.idle_unload_s <= 0) {
      changed_.wait(lock);
      continue;
    }
    changed_.wait_for(lock, std::chrono::seconds(1));
    std::vector<std::shared_ptr<Backend>> dropped;
    for (const auto& slot : slots_) {
      if (!slot->backend) continue;
      if (busy(slot->backend)) slot->last_use_s = now_s();
      if (now_s() - slot->last_use_s < options_.idle_unload_s) continue;
      spdlog::info("unloading {} after {} s without use", slot->entry.id, options_.idle_unload_s);
      dropped.push_back(std::move(slot->backend));
    }
    lock.unlock();
    dropped.clear();
    lock.lock();
  }
}

}  // namespace callie::serve
