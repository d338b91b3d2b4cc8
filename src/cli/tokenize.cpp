#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/verbs.h"
#include "core/json.h"
#include "core/mapped_file.h"
#include "engine/vocabulary_from_checkpoint.h"
#include "io/model_path.h"

namespace callie::cli {
namespace {

struct TokenizeOptions {
  std::string model, file;
  bool special = false, json = false, decode = false, lossy = false;
};

Status write_out(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0) {
    return error(StatusCode::kResourceExhausted, "standard output: cannot write");
  }
  return {};
}

Status decode(const TokenizeOptions& options, const Tokenizer& tokenizer, std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  const Json& array = json.is_object() && json.contains("ids") ? json["ids"] : json;
  if (!array.is_array()) return data_loss("{}: not a JSON array of ids", options.file);
  std::vector<int32_t> ids;
  for (const Json& id : array) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX) {
      return data_loss("{}: element {} is not a token id", options.file, ids.size());
    }
    ids.push_back(static_cast<int32_t>(id.get<int64_t>()));
  }
  StatusOr<std::string> bytes = tokenizer.decode(ids);
  if (!bytes.ok()) return bytes.status().with_context(options.file);
  return write_out(*bytes);
}

Status encode(const TokenizeOptions& options, const Tokenizer& tokenizer, std::string_view text) {
  EncodeOptions how;
  how.parse_special = options.special;
  how.lossy = options.lossy;
  StatusOr<std::vector<int32_t>> ids = tokenizer.encode(text, how);
  if (!ids.ok()) return ids.status().with_context(options.file);
  std::string out = options.json ? "{\"ids\": [" : "";
  for (size_t i = 0; i < ids->size(); ++i) {
    if (i > 0) out += options.json ? ", " : "\n";
    out += std::to_string((*ids)[i]);
  }
  if (options.json) {
    out += fmt::format("], \"count\": {}, \"bytes\": {}}}", ids->size(), text.size());
  }
  return write_out(out + "\n");
}

Status run(const TokenizeOptions& options) {
  CALLIE_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(options.file));
  CALLIE_ASSIGN_OR_RETURN(const Environment environment, Environment::from_process());
  CALLIE_ASSIGN_OR_RETURN(const std::string path, io::resolve_model(options.model, environment));
  CALLIE_ASSIGN_OR_RETURN(const std::unique_ptr<io::Checkpoint> checkpoint, io::Checkpoint::open(path));
  CALLIE_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, tokenizer_from_checkpoint(*checkpoint));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  return options.decode ? decode(options, *tokenizer, text) : encode(options, *tokenizer, text);
}

}  // namespace

void add_tokenize(CLI::App& app, Action& action) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* verb = app.add_subcommand("tokenize", "Text to token ids, and ids back to the bytes they stand for");
  verb->add_option("MODEL", options->model, "A model: a catalogue name, a file or a folder")->required();
  verb->add_option("--file", options->file, "The text; with --decode a JSON array of ids")->required();
  verb->add_flag("--special", options->special, "Special tokens in the text become their ids");
  verb->add_flag("--json", options->json, "One JSON object: ids, count, bytes");
  verb->add_flag("--decode", options->decode, "Ids to bytes");
  verb->add_flag("--lossy", options->lossy, "Drop bytes for which the vocabulary has no token");
  verb->footer("Example: callie tokenize smollm2-135m --file README.md --json");
  verb->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace callie::cli
