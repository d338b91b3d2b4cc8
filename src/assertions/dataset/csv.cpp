#include "assertions/dataset/csv.h"

namespace callie::assertions {

StatusOr<std::vector<CsvRow>> parse_csv(std::string_view text) {
  std::vector<CsvRow> out;
  int line = 1;
  size_t i = 0;
  while (i < text.size()) {
    CsvRow row;
    row.line = line;
    for (bool more = true; more;) {
      std::string cell;
      if (i < text.size() && text[i] == '"') {
        const int begin = line;
        for (++i;; ++i) {
          if (i >= text.size()) return data_loss("{}: a quoted cell without an end", begin);
          if (text[i] == '"') {
            if (i + 1 >= text.size() || text[i + 1] != '"') break;
            ++i;
          }
          line += text[i] == '\n';
          cell += text[i];
        }
        ++i;
      }
      while (i < text.size() && text[i] != ',' && text[i] != '\n') {
        if (text[i] != '\r') cell += text[i];
        ++i;
      }
      row.cells.push_back(std::move(cell));
      more = i < text.size() && text[i] == ',';
      if (i < text.size()) {
        line += text[i] == '\n';
        ++i;
      }
    }
    if (row.cells.size() > 1 || !row.cells[0].empty()) out.push_back(std::move(row));
  }
  return out;
}

}  // namespace callie::assertions
