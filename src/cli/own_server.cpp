#include "cli/own_server.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string_view>

namespace callie::cli {

StatusOr<std::unique_ptr<OwnServer>> OwnServer::start(std::vector<std::string> arguments) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return error(StatusCode::kInternal, "pipe: no descriptor");
  std::string name = "callie";
  std::vector<char*> words = {name.data()};
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t child = 0;
  const int failed = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  if (failed != 0) {
    close(ends[0]);
    return error(StatusCode::kInternal, "the server cannot be started");
  }
  std::unique_ptr<OwnServer> server(new OwnServer(child, fdopen(ends[0], "r")));
  constexpr std::string_view kSays = "listening on ";
  std::string last;
  char buffer[1024];
  while (server->address_.empty() && std::fgets(buffer, sizeof buffer, server->lines_)) {
    last = buffer;
    last.resize(last.find_last_not_of("\n") + 1);
    const size_t at = last.find(kSays);
    if (at != std::string::npos) {
      const size_t begin = at + kSays.size();
      server->address_ = last.substr(begin, last.find(' ', begin) - begin);
    }
  }
  if (server->address_.empty()) return error(StatusCode::kUnavailable, "{}", last.empty() ? "the server did not start" : last);
  return server;
}

OwnServer::~OwnServer() {
  kill(child_, SIGTERM);
  waitpid(child_, nullptr, 0);
  std::fclose(lines_);
}

}  // namespace callie::cli
