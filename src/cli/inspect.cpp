// `callie inspect`: what is in a model file.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "cli/verbs.h"
#include "core/json.h"
#include "io/checkpoint.h"
#include "io/model_path.h"
#include "io/quote.h"
#include "io/summary.h"

namespace callie::cli {
namespace {

struct InspectArguments {
  std::string model;
  bool json = false, full = false;
};

constexpr uint64_t kLongArray = 64;  // longer ones are abbreviated
constexpr uint64_t kShown = 8;

/// A float as its shortest decimal form says it, so that 1e-5f prints as 1e-05.
double tidy(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

template <typename T>
Json shortened(std::vector<T> values, bool full) {
  if (!full && values.size() > kLongArray) values.resize(kShown);
  return Json(std::move(values));
}

Json array_value(const io::Checkpoint& model, const io::MetadataEntry& entry, bool full) {
  if (auto strings = model.get_strings(entry.key); strings.ok())
    return shortened(std::move(*strings), full);
  if (auto ints = model.get_ints(entry.key); ints.ok()) return shortened(std::move(*ints), full);
  auto floats = model.get_floats(entry.key);
  if (!floats.ok()) return nullptr;
  return shortened(std::vector<double>([&] {
                     std::vector<double> values;
                     for (const float value : *floats) values.push_back(tidy(value));
                     return values;
                   }()),
                   full);
}

/// The value of a metadata key; of a long array the first elements.
Json value_of(const io::Checkpoint& model, const io::MetadataEntry& entry, bool full) {
  if (entry.type.rfind("array", 0) == 0) return array_value(model, entry, full);
  if (entry.type == "string") return *model.get_string(entry.key);
  if (entry.type == "bool") {
    const auto flag = model.get_bool(entry.key);
    return flag.ok() ? Json(flag.value()) : Json(nullptr);
  }
  if (auto number = model.get_int(entry.key); number.ok()) return *number;
  const auto number = model.get_float(entry.key);
  if (!number.ok()) return nullptr;
  return entry.type == "f32" ? tidy(static_cast<float>(number.value())) : number.value();
}

Json to_json(const io::Checkpoint& model, bool full) {
  Json out;
  out["path"] = model.path();
  out["kind"] = model.kind() == io::CheckpointKind::kGguf ? "gguf" : "huggingface";
  Json& metadata = out["metadata"] = Json::object();
  for (const io::MetadataEntry& entry : model.metadata()) {
    Json value = value_of(model, entry, full);
    if (!full && entry.count > kLongArray) {
      value = {{"type", entry.type}, {"count", entry.count}, {"first", std::move(value)}};
    }
    metadata.push_back({entry.key, std::move(value)});
  }
  Json& tensors = out["tensors"] = Json::array();
  for (const io::TensorRecord& record : model.tensors()) {
    tensors.push_back({{"name", record.name},
                       {"type", tensor::storage_type_info(record.type)->name},
                       {"shape", record.shape},
                       {"bytes", record.data.size()}});
  }
  const io::CheckpointSummary summary = io::summarize(model);
  Json& types = out["bytes_by_type"] = Json::object();
  for (const auto& type : summary.types) types[type.type] = type.bytes;
  out["parameters"] = summary.elements;
  out["bytes"] = summary.bytes;
  out["bits_per_weight"] = summary.bits_per_weight();
  return out;
}

void print_text(const io::Checkpoint& model, bool full) {
  std::printf("%s\n\nmetadata\n", model.path().c_str());
  for (const io::MetadataEntry& entry : model.metadata()) {
    std::string text =
        value_of(model, entry, full).dump(-1, ' ', false, Json::error_handler_t::replace);
    if (!full && entry.count > kLongArray) {
      text = fmt::format("{} of {}", text, entry.count);
    } else if (!full && text.size() > 100) {
      text = io::quote(text, 97);
    }
    std::printf("  %-42s %-16s %s\n", io::quote(entry.key).c_str(), entry.type.c_str(),
                text.c_str());
  }
  std::printf("\ntensors\n");
  for (const io::TensorRecord& record : model.tensors()) {
    std::printf("  %-42s %-7s %-18s %12zu\n", io::quote(record.name).c_str(),
                std::string(tensor::storage_type_info(record.type)->name).c_str(),
                fmt::format("[{}]", fmt::join(record.shape, ", ")).c_str(), record.data.size());
  }
  const io::CheckpointSummary summary = io::summarize(model);
  std::printf("\n%-10s %8s %16s %16s %12s\n", "type", "tensors", "weights", "bytes", "bits/weight");
  const auto line = [](const char* name, size_t tensors, uint64_t elements, uint64_t bytes) {
    std::printf(
        "%-10s %8zu %16llu %16llu %12.3f\n", name, tensors,
        static_cast<unsigned long long>(elements), static_cast<unsigned long long>(bytes),
        elements == 0 ? 0.0 : 8 * static_cast<double>(bytes) / static_cast<double>(elements));
  };
  for (const auto& type : summary.types)
    line(type.type.c_str(), type.tensors, type.elements, type.bytes);
  line("all", model.tensors().size(), summary.elements, summary.bytes);
}

Status inspect(const InspectArguments& arguments) {
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  CALLIE_ASSIGN_OR_RETURN(const std::string path, io::resolve_model(arguments.model, environment));
  CALLIE_ASSIGN_OR_RETURN(const auto model, io::Checkpoint::open(path));
  if (arguments.json) {
    std::printf("%s\n", to_json(*model, arguments.full)
                            .dump(2, ' ', false, Json::error_handler_t::replace)
                            .c_str());
  } else {
    print_text(*model, arguments.full);
  }
  return ok_status();
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<InspectArguments>();
  CLI::App* verb =
      app.add_subcommand("inspect", "Show a model file's metadata, tensors and bits per weight");
  verb->footer("Example: callie inspect smollm2-135m");
  verb->add_option("MODEL", arguments->model, "GGUF file, Hugging Face folder, or a model's name")
      ->required();
  verb->add_flag("--json", arguments->json, "Print one JSON object");
  verb->add_flag("--full", arguments->full, "Print long arrays and texts in full");
  verb->callback([arguments, &action] { action = [arguments] { return inspect(*arguments); }; });
}

}  // namespace callie::cli
