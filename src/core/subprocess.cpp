#include "core/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/interrupt.h"

extern char** environ;

namespace callie {
namespace {

constexpr int kTickMs = 200;

struct Pipe {
  int read = -1, write = -1;
  ~Pipe() {
    close_read();
    close_write();
  }
  bool open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  void close_read() {
    if (read >= 0) ::close(std::exchange(read, -1));
  }
  void close_write() {
    if (write >= 0) ::close(std::exchange(write, -1));
  }
};

std::vector<std::string> merged_environment(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : added) {
      replaced |= text.size() > name.size() && text.substr(0, name.size()) == name &&
                  text[name.size()] == '=';
    }
    if (!replaced) variables.emplace_back(text);
  }
  for (const auto& [name, value] : added) variables.push_back(name + "=" + value);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// Takes what a pipe holds; closes it at its end.
void drain(Pipe& pipe, std::string& text, size_t keep) {
  std::array<char, 16384> buffer;
  const ssize_t n = ::read(pipe.read, buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > keep) text.erase(0, text.size() - keep);
  } else if (n == 0 || errno != EINTR) {
    pipe.close_read();
  }
}

int wait_for(pid_t child) {
  int state = 0;
  while (waitpid(child, &state, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

}  // namespace

StatusOr<SubprocessResult> run_subprocess(const std::vector<std::string>& command,
                                          const SubprocessOptions& options) {
  Pipe out, err;
  if (!out.open() || !err.open()) {
    return resource_exhausted("{}: cannot start: {}", command.front(), std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out.write, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err.write, STDERR_FILENO);
  // A group of its own: Ctrl-C on the terminal reaches this process only, which then ends the whole
  // group.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<std::string> arguments = command, variables = merged_environment(options.environment);
  pid_t child = 0;
  const int problem = posix_spawnp(&child, arguments.front().c_str(), &actions, &attributes,
                                   pointers(arguments).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (problem == ENOENT) return not_found("{}: no such program", command.front());
  if (problem != 0)
    return resource_exhausted("{}: cannot start: {}", command.front(), std::strerror(problem));
  out.close_write();
  err.close_write();

  SubprocessResult result;
  while (out.read >= 0 || err.read >= 0) {
    std::array<pollfd, 2> waits = {pollfd{out.read, POLLIN, 0}, pollfd{err.read, POLLIN, 0}};
    const int ready = poll(waits.data(), waits.size(), kTickMs);
    if (interrupted()) {
      kill(-child, SIGTERM);
      wait_for(child);
      return error(StatusCode::kCancelled, "{}: interrupted", command.front());
    }
    if (ready > 0 && waits[0].revents) drain(out, result.output, options.keep_bytes);
    if (ready > 0 && waits[1].revents) drain(err, result.errors, options.keep_bytes);
    if (options.on_tick) options.on_tick();
  }
  result.exit_code = wait_for(child);
  return result;
}

}  // namespace callie
