// Reasoning: branches of a request share its prompt and join when enough of them are done.

#include <algorithm>

#include "plan/sim/run.h"

namespace callie::plan {

void Run::first_token(Client& c, uint32_t id) {
  Live& r = live_[id];
  if (r.parent != kNone) return;
  if (r.first < 0) r.first = now_;
  spend(r, kSlotPrefill);
  store_kv(c, r);
  if (r.paths <= 1 || c.role != Role::kBoth) return;
  // Reasoning: the other branches continue on the same prompt.
  for (int p = 1; p < live_[id].paths; ++p) {
    const uint32_t branch = new_live();
    Live& parent = live_[id];
    Live& b = live_[branch];
    b.serial = parent.serial + (static_cast<uint64_t>(p) << 48);
    b.arrival = parent.arrival;
    b.entered = now_;
    b.prompt = parent.prompt;
    b.output = parent.output;
    b.max_tokens = parent.max_tokens;
    b.klass = parent.klass;
    b.client = parent.client;
    b.parent = id;
    b.hashes = parent.hashes;
    b.next_branch = parent.first_branch;
    parent.first_branch = branch;
    ++parent.branches;
    enter(c, b);
    c.outstanding += b.max_tokens;
    bool forked = false;
    for (auto& engine : c.engines) {
      forked = engine->fork(id, engine_request(b, branch), now_);
      if (forked) break;
    }
    if (!forked) {
      leave(c, b);
      parent.first_branch = b.next_branch;
      --parent.branches;
      free_live(branch);
      break;
    }
  }
}

void Run::branch_finished(uint32_t id) {
  const uint32_t parent_id = live_[id].parent == kNone ? id : live_[id].parent;
  Live& parent = live_[parent_id];
  ++parent.joined;
  const int needed = parent.join > 0 ? std::min(parent.join, parent.branches + 1) : parent.branches + 1;
  if (id != parent_id) {
    uint32_t* link = &parent.first_branch;
    while (*link != id) link = &live_[*link].next_branch;
    *link = live_[id].next_branch;
    free_live(id);
  } else {
    parent.held = true;  // its own branch is done; it waits for the others
  }
  if (parent.joined < needed) return;
  Client& c = clients_[parent.client];
  // Joined: branches that still run are stopped.
  while (live_[parent_id].first_branch != kNone) {
    const uint32_t branch = live_[parent_id].first_branch;
    live_[parent_id].first_branch = live_[branch].next_branch;
    for (auto& engine : c.engines) engine->cancel(branch, now_);
    leave(c, live_[branch]);
    free_live(branch);
  }
  Live& r = live_[parent_id];
  if (!r.held) {
    for (auto& engine : c.engines) engine->cancel(parent_id, now_);
    retire(c, parent_id);
  }
  r.last = now_;
  spend(r, kSlotDecode);
  r.client = -1;
  ++r.stage;
  advance(parent_id);
}

}  // namespace callie::plan
