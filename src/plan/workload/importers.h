#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "plan/workload/workload.h"

namespace callie::plan {

/// Reads a trace; `format` is one of trace_formats(), or "" to recognise it by its header or first line.
///
///   azure          CSV TIMESTAMP,ContextTokens,GeneratedTokens
///   vidur          CSV [arrived_at,]num_prefill_tokens,num_decode_tokens
///   splitwise      CSV arrival_timestamp,prompt_size,token_size
///   burstgpt       CSV Timestamp,…,Request tokens,Response tokens,…; Model becomes the class
///   mooncake       JSONL timestamp (ms), input_length, output_length, hash_ids (blocks of 512 tokens)
///   llmservingsim  JSONL input_toks, output_toks, arrival_time_ns (or arrival_time, s)
///   servegen       JSON or CSV of per-client windows is a generator, not a trace: a CSV timestamp,input,output
///   tracev2        CSV with arrival_time_us, input_tokens, output_tokens
///   callie         JSONL request log of `callie serve`
///
/// Rows are sorted by arrival; times start at 0. Gzipped files are read as well.
/// Errors: kNotFound; kDataLoss "file:line: field: why".
StatusOr<Trace> import_trace(const std::string& path, const std::string& format);
std::vector<std::string> trace_formats();

/// The same for text in memory, for tests and fuzzing; `name` stands in errors.
StatusOr<Trace> import_trace_text(const std::string& text, const std::string& name, const std::string& format);

}  // namespace callie::plan
