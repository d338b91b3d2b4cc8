#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace callie::assertions {

struct CsvRow {
  std::vector<std::string> cells;
  int line = 0;   ///< where the row begins
};

/// RFC 4180: quoted cells may hold commas, line ends and doubled quotes. Errors: kDataLoss "LINE: ..." for a quote
/// without an end.
StatusOr<std::vector<CsvRow>> parse_csv(std::string_view text);

}  // namespace callie::assertions
