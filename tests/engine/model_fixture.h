#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "engine/model.h"
#include "engine/session.h"

namespace callie::test {

inline std::string golden_path(const std::string& name) {
  return std::string(CALLIE_SOURCE_DIR) + "/tests/golden/" + name;
}

/// Where CALLIE_MODELS or the user's cache has `entry`, else empty.
inline std::string real_model_entry(const std::string& entry) {
  const char* folder = std::getenv("CALLIE_MODELS");
  const char* home = std::getenv("HOME");
  for (const std::string& candidate : {folder ? std::string(folder) + "/" + entry : std::string(),
                                       home ? std::string(home) + "/.cache/callie/models/" + entry : std::string()}) {
    if (!candidate.empty() && std::filesystem::exists(candidate)) return candidate;
  }
  return "";
}
/// A catalogue model that is one file, or one that is a folder.
inline std::string real_model(const std::string& name) { return real_model_entry(name + ".gguf"); }
inline std::string real_model_folder(const std::string& name) { return real_model_entry(name); }

inline std::shared_ptr<const Model> load_or_fail(const std::string& path, ThreadPool& pool) {
  Context context{&pool};
  auto model = Model::load(path, {}, context);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *model : nullptr;
}

inline std::unique_ptr<Session> session_or_fail(std::shared_ptr<const Model> model, ThreadPool& pool,
                                                SessionOptions options = {}) {
  auto session = Session::create(std::move(model), options, pool);
  EXPECT_TRUE(session.ok()) << session.status().message();
  return session.ok() ? std::move(*session) : nullptr;
}

}  // namespace callie::test
