#include "cli/prompt.h"

#include "cli/number_checks.h"

namespace callie::cli {

void PromptOptions::add_to(CLI::App& verb) {
  auto* positional = verb.add_option("PROMPT", prompt, "what to answer");
  verb.add_option("-p,--prompt", prompt, "the same as PROMPT")->excludes(positional);
  verb.add_option("-n", n, "tokens to generate at most")->check(positive_number())->capture_default_str();
  verb.add_option("--system", system, "system prompt");
}

}  // namespace callie::cli
