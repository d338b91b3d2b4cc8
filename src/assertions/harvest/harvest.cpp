#include "assertions/harvest/harvest.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <set>

#include "assertions/syntax/parser.h"
#include "core/atomic_file.h"
#include "core/interrupt.h"
#include "core/thread_pool.h"

namespace callie::assertions {
namespace {

namespace fs = std::filesystem;

// The licence that a file's own head names.
std::string licence_of(std::string_view text, const std::string& fallback) {
  const std::string_view head = text.substr(0, 4000);
  constexpr std::string_view kTag = "SPDX-License-Identifier:";
  if (size_t at = head.find(kTag); at != std::string_view::npos) {
    at += kTag.size();
    const size_t end = head.find_first_of("\r\n*", at);
    std::string out(head.substr(at, end - at));
    out.erase(0, out.find_first_not_of(' '));
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
  }
  if (head.find("GNU Lesser") != std::string_view::npos || head.find("GNU LESSER") != std::string_view::npos) return "LGPL";
  if (head.find("GNU General Public") != std::string_view::npos) return "GPL";
  if (head.find("Solderpad Hardware License, Version 0.51") != std::string_view::npos) return "SHL-0.51";
  if (head.find("Apache License, Version 2.0") != std::string_view::npos) return "Apache-2.0";
  return fallback.empty() ? "NOASSERTION" : fallback;
}

bool is_copyleft(const std::string& spdx) {
  return spdx.find("GPL") != std::string::npos;  // LGPL and AGPL, too
}

struct FileResult {
  int64_t bytes = 0;
  bool skipped = false;
  int blocks = 0;
  std::vector<std::string> messages, broken;
  std::vector<std::pair<std::string, Pair::Source>> shapes;
};

FileResult read_one(const HarvestOptions& options, const std::string& path, const std::string& relative) {
  FileResult out;
  SourceSet sources;
  const StatusOr<uint32_t> file = sources.add_file(path);
  if (!file.ok()) {
    out.skipped = true;
    out.messages.push_back(file.status().message());
    return out;
  }
  const std::string_view text = sources.text(*file);
  out.bytes = static_cast<int64_t>(text.size());
  const std::string spdx = licence_of(text, options.spdx);
  if (is_copyleft(spdx)) {
    out.skipped = true;
    out.messages.push_back(fmt::format("{}: skipped: licence {}", relative, spdx));
    return out;
  }
  PreprocessOptions preprocess;
  preprocess.include_dirs.push_back(options.folder);
  const StatusOr<AlwaysBlocks> found = parse_always_blocks(sources, *file, preprocess);
  if (!found.ok()) {
    out.skipped = true;
    out.messages.push_back(found.status().message());
    return out;
  }
  out.blocks = static_cast<int>(found->blocks.size() + found->broken.size());
  for (const Status& problem : found->broken) out.broken.push_back(problem.message());
  for (const ast::Item& block : found->blocks) {
    const Skeleton skeleton = skeleton_of(block);
    if (skeleton.branches() == 0) continue;
    Pair::Source source{options.repo, options.commit, relative, "", spdx};
    if (block.span.file == *file) {
      Span end = block.span;
      end.begin = end.end > 0 ? end.end - 1 : 0;
      source.lines = fmt::format("{}-{}", sources.place(block.span).line, sources.place(end).line);
    }
    out.shapes.emplace_back(to_text(skeleton), std::move(source));
  }
  return out;
}

}  // namespace

StatusOr<HarvestReport> harvest(const HarvestOptions& given, const std::function<void(int64_t)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  HarvestOptions options = given;
  std::error_code problem;
  if (!fs::is_directory(options.folder, problem)) return not_found("{}: no such folder", options.folder);
  const fs::path root = fs::canonical(options.folder, problem);
  if (options.repo.empty()) options.repo = root.filename().string();
  std::vector<fs::path> paths;
  for (fs::recursive_directory_iterator it(root, fs::directory_options::skip_permission_denied, problem), end; it != end; it.increment(problem)) {
    const std::string extension = it->path().extension().string();
    if (it->is_regular_file(problem) && (extension == ".v" || extension == ".sv" || extension == ".vh" || extension == ".svh")) paths.push_back(it->path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<FileResult> results(paths.size());
  std::atomic<size_t> next{0};
  ThreadPool(options.threads).run([&](const Worker& worker) {
    for (size_t i = next++; i < paths.size() && !interrupted(); i = next++) {
      results[i] = read_one(options, paths[i].string(), paths[i].lexically_relative(root).generic_string());
      if (worker.index == 0) progress(static_cast<int64_t>(i));
    }
  });
  if (interrupted()) return error(StatusCode::kCancelled, "stopped");
  HarvestReport out;
  std::map<std::string, Shape> shapes;
  for (FileResult& r : results) {
    ++out.files;
    out.files_skipped += r.skipped;
    out.bytes += r.bytes;
    out.blocks += r.blocks;
    out.blocks_broken += static_cast<int>(r.broken.size());
    out.blocks_with_control += static_cast<int>(r.shapes.size());
    out.messages.insert(out.messages.end(), r.messages.begin(), r.messages.end());
    out.messages.insert(out.messages.end(), r.broken.begin(), r.broken.end());
    for (auto& [text, source] : r.shapes) {
      const auto [it, fresh] = shapes.try_emplace(text);
      if (!fresh) {
        ++it->second.count;
        continue;
      }
      StatusOr<Skeleton> skeleton = parse_skeleton(text);
      if (!skeleton.ok()) {
        shapes.erase(it);  // nested more deeply than the bank's form allows
        continue;
      }
      it->second.skeleton = std::move(*skeleton);
      it->second.source = std::move(source);
    }
  }
  for (auto& [text, shape] : shapes) out.bank.shapes.push_back(std::move(shape));
  std::stable_sort(out.bank.shapes.begin(), out.bank.shapes.end(), [](const Shape& a, const Shape& b) { return a.count > b.count; });
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

std::string write_shapes(const ShapeBank& bank) {
  std::string out;
  for (const Shape& shape : bank.shapes) {
    const Pair::Source& s = shape.source;
    out += Json{{"shape", to_text(shape.skeleton)}, {"count", shape.count},
                {"source", Json{{"repo", s.repo}, {"commit", s.commit.empty() ? Json(nullptr) : Json(s.commit)}, {"path", s.path},
                                {"lines", s.lines}, {"spdx", s.spdx}}}}.dump();
    out += '\n';
  }
  return out;
}

int count_control_shapes(const ShapeBank& bank) {
  std::set<std::string> out;
  for (const Shape& shape : bank.shapes) out.insert(to_text(shape.skeleton).substr(1));
  return static_cast<int>(out.size());
}

}  // namespace callie::assertions
