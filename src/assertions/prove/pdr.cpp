#include <algorithm>
#include <cadical.hpp>
#include <chrono>
#include <map>
#include <queue>
#include <set>

#include "assertions/prove/deadline.h"
#include "assertions/prove/engine.h"

/// IC3 / property-directed reachability (Bradley, VMCAI 2011; Een, Mishchenko, Brayton, FMCAD 2011): frames of blocked
/// cubes in one incremental solver, predecessors lifted by unsatisfiable cores in a second one.
namespace callie::assertions {
namespace {

using Cube = std::vector<int>;  // +-(position in the cone's states + 1), ascending by position

/// One copy of the transition relation.
class Relation {
 public:
  Relation(const Net& net, const Cone& cone, Deadline& stop) : net_(net), slot_(net.aig.size(), 0) {
    solver.set("quiet", 1);
    solver.connect_terminator(&stop);
    true_ = fresh();
    clause({true_});
    for (uint32_t n : cone.nodes) {
      if (n == 0) slot_[n] = -true_;
      else if (!net.aig.is_and(n)) slot_[n] = fresh();
      else {
        const int a = literal(net.aig.input0(n)), b = literal(net.aig.input1(n)), v = fresh();
        clause({-v, a});
        clause({-v, b});
        clause({v, -a, -b});
        slot_[n] = v;
      }
    }
  }
  int fresh() { return ++variables_; }
  int literal(Lit lit) const { return is_inverted(lit) ? -slot_[node_of(lit)] : slot_[node_of(lit)]; }
  void clause(const std::vector<int>& literals) {
    for (int lit : literals) solver.add(lit);
    solver.add(0);
  }
  bool value(int lit) { return solver.val(std::abs(lit)) > 0 ? lit > 0 : lit < 0; }

  CaDiCaL::Solver solver;

 private:
  const Net& net_;
  std::vector<int> slot_;
  int true_ = 0, variables_ = 0;
};

class Pdr {
 public:
  Pdr(const Net& net, const Question& question, double seconds)
      : net_(net), question_(question), cone_(cone_of(net, {question.bad, question.assume})), stop_(seconds),
        main_(net, cone_, stop_), lift_(net, cone_, stop_) {
    main_.clause({main_.literal(question.assume)});
    for (int s : cone_.states) {
      now_.push_back(main_.literal(net.states[s].lit));
      next_.push_back(main_.literal(net.states[s].next));
      lift_now_.push_back(lift_.literal(net.states[s].lit));
      lift_next_.push_back(lift_.literal(net.states[s].next));
      init_.push_back(net.states[s].init);
    }
    add_level();
    for (size_t i = 0; i < init_.size(); ++i) {
      if (init_[i] < 2) main_.clause({-active_[0], init_[i] ? now_[i] : -now_[i]});
    }
  }

  Answer run() {
    Answer out;
    out.method = "pdr";
    add_level();
    for (;;) {
      // Block every bad state that the last frame still allows.
      for (;;) {
        assume_frames(top());
        main_.solver.assume(main_.literal(question_.bad));
        const int result = main_.solver.solve();
        if (result == 0) return unknown("time");
        if (result == 20) break;
        if (!block(lifted({}, true), top())) return unknown(reason_);
      }
      add_level();
      if (const int level = push(); level > 0) {
        if (!certified(level)) return unknown("the invariant that was found does not hold");
        out.kind = Answer::Kind::kUnreachable;
        out.depth = level;
        return out;
      } else if (level < 0) {
        return unknown("time");
      }
    }
  }

 private:
  struct Obligation {
    int level;
    uint64_t order;
    Cube cube;
    bool operator<(const Obligation& other) const {
      return level != other.level ? level > other.level : order < other.order;
    }
  };

  int top() const { return static_cast<int>(active_.size()) - 1; }
  static Answer unknown(const std::string& reason) {
    Answer out;
    out.reason = reason;
    return out;
  }
  void add_level() {
    active_.push_back(main_.fresh());
    cubes_.emplace_back();
  }
  void assume_frames(int level) {
    for (int i = level; i <= top(); ++i) main_.solver.assume(active_[i]);
    if (level > 0) main_.solver.assume(-active_[0]);
  }
  bool meets_init(const Cube& cube) const {
    return std::none_of(cube.begin(), cube.end(), [&](int lit) {
      const int v = init_[std::abs(lit) - 1];
      return v < 2 && v != (lit > 0);
    });
  }
  static int map(const std::vector<int>& to, int lit) { return lit > 0 ? to[lit - 1] : -to[-lit - 1]; }

  // The state of the last satisfying assignment, without what its step into `target` (or into bad) does not need.
  Cube lifted(const Cube& target, bool into_bad) {
    std::vector<int> goal;
    const int tag = lift_.fresh();
    goal.push_back(-tag);
    goal.push_back(-lift_.literal(question_.assume));
    if (into_bad) goal.push_back(-lift_.literal(question_.bad));
    for (int lit : target) goal.push_back(-map(lift_next_, lit));
    lift_.clause(goal);
    Cube full;
    for (size_t i = 0; i < now_.size(); ++i) full.push_back(main_.value(now_[i]) ? static_cast<int>(i) + 1 : -static_cast<int>(i) - 1);
    for (int input : cone_.inputs) {
      const Lit lit = net_.inputs[input].lit;
      lift_.solver.assume(main_.value(main_.literal(lit)) ? lift_.literal(lit) : -lift_.literal(lit));
    }
    lift_.solver.assume(tag);
    for (int lit : full) lift_.solver.assume(map(lift_now_, lit));
    Cube out = full;
    if (lift_.solver.solve() == 20) {
      out.clear();
      for (int lit : full) {
        if (lift_.solver.failed(map(lift_now_, lit))) out.push_back(lit);
      }
    }
    lift_.clause({-tag});
    return out;
  }

  // 20 when no state of F[level-1] without the cube steps into it; `core` then holds the literals that were needed.
  int inductive(const Cube& cube, int level, Cube* core) {
    const int tag = main_.fresh();
    std::vector<int> negated{-tag};
    for (int lit : cube) negated.push_back(-map(now_, lit));
    main_.clause(negated);
    assume_frames(level - 1);
    main_.solver.assume(tag);
    for (int lit : cube) main_.solver.assume(map(next_, lit));
    const int result = main_.solver.solve();
    if (result == 20 && core) {
      core->clear();
      for (int lit : cube) {
        if (main_.solver.failed(map(next_, lit))) core->push_back(lit);
      }
    }
    if (result != 10) main_.clause({-tag});
    else pending_tag_ = tag;
    return result;
  }

  void generalize(Cube& cube, int level) {
    int failures = 0;
    for (size_t i = 0; i < cube.size() && cube.size() > 1 && failures < 24;) {
      Cube smaller = cube;
      smaller.erase(smaller.begin() + static_cast<std::ptrdiff_t>(i));
      Cube core;
      if (meets_init(smaller)) {
        ++i;
        continue;
      }
      const int result = inductive(smaller, level, &core);
      if (result == 20) {
        cube = repaired(core, smaller);
      } else {
        if (result == 10) main_.clause({-pending_tag_});
        ++failures;
        ++i;
      }
    }
  }

  // A core that keeps the initial states out.
  Cube repaired(Cube core, const Cube& whole) const {
    if (!meets_init(core)) return core;
    for (int lit : whole) {
      const int v = init_[std::abs(lit) - 1];
      if (v >= 2 || v == (lit > 0)) continue;
      core.push_back(lit);
      std::sort(core.begin(), core.end(), [](int a, int b) { return std::abs(a) < std::abs(b); });
      return core;
    }
    return whole;
  }

  void learn(const Cube& cube, int level) {
    std::vector<int> clause{-active_[level]};
    for (int lit : cube) clause.push_back(-map(now_, lit));
    main_.clause(clause);
    cubes_[level].insert(cube);
  }

  bool block(Cube bad, int level) {
    std::priority_queue<Obligation> queue;
    uint64_t order = 0;
    if (meets_init(bad)) {
      reason_ = "counterexample";
      return false;
    }
    queue.push({level, order++, std::move(bad)});
    while (!queue.empty()) {
      const Obligation o = queue.top();
      queue.pop();
      Cube core;
      const int result = inductive(o.cube, o.level, &core);
      if (result == 0) {
        reason_ = "time";
        return false;
      }
      if (result == 10) {
        Cube before = lifted(o.cube, false);
        main_.clause({-pending_tag_});
        if (o.level == 1 || meets_init(before)) {
          reason_ = "counterexample";
          return false;
        }
        queue.push({o.level - 1, order++, std::move(before)});
        queue.push({o.level, order++, o.cube});
        continue;
      }
      Cube cube = repaired(core, o.cube);
      generalize(cube, o.level);
      int at = o.level;
      while (at < top()) {
        const int r = inductive(cube, at + 1, nullptr);
        if (r == 10) main_.clause({-pending_tag_});
        if (r != 20) break;
        ++at;
      }
      learn(cube, at);
      if (at < top()) queue.push({at + 1, order++, o.cube});
    }
    return true;
  }

  // Moves cubes up; the level whose cubes all moved, 0 when none did, -1 when the time is over.
  int push() {
    for (int level = 1; level < top(); ++level) {
      const std::set<Cube> old = cubes_[level];
      for (const Cube& cube : old) {
        const int result = inductive(cube, level + 1, nullptr);
        if (result == 0) return -1;
        if (result == 10) {
          main_.clause({-pending_tag_});
          continue;
        }
        cubes_[level].erase(cube);
        learn(cube, level + 1);
      }
      if (cubes_[level].empty()) return level;
    }
    return 0;
  }

  // What the levels above `level` block holds at the start, is kept by every step, and keeps `bad` out: asked again in
  // solvers that share nothing with the search.
  bool certified(int level) {
    std::vector<Cube> blocked;
    for (size_t i = static_cast<size_t>(level) + 1; i < cubes_.size(); ++i) blocked.insert(blocked.end(), cubes_[i].begin(), cubes_[i].end());
    if (std::any_of(blocked.begin(), blocked.end(), [&](const Cube& cube) { return meets_init(cube); })) return false;
    Relation fresh(net_, cone_, stop_);
    std::vector<int> now, next;
    for (int s : cone_.states) {
      now.push_back(fresh.literal(net_.states[s].lit));
      next.push_back(fresh.literal(net_.states[s].next));
    }
    fresh.clause({fresh.literal(question_.assume)});
    std::vector<int> wrong;
    for (const Cube& cube : blocked) {
      std::vector<int> outside;
      const int entered = fresh.fresh();
      for (int lit : cube) {
        outside.push_back(-map(now, lit));
        fresh.clause({-entered, map(next, lit)});
      }
      fresh.clause(outside);
      wrong.push_back(entered);
    }
    wrong.push_back(fresh.literal(question_.bad));
    fresh.clause(wrong);
    return fresh.solver.solve() == 20;
  }

  const Net& net_;
  const Question& question_;
  Cone cone_;
  Deadline stop_;
  Relation main_, lift_;
  std::vector<int> now_, next_, lift_now_, lift_next_, init_;
  std::vector<int> active_;
  std::vector<std::set<Cube>> cubes_;
  int pending_tag_ = 0;
  std::string reason_;
};

}  // namespace

Answer decide_by_pdr(const Net& net, const Question& question, double time_limit_s) {
  return Pdr(net, question, time_limit_s).run();
}

}  // namespace callie::assertions
