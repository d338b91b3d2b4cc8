// A Parquet file with one row group, plain encoding and no compression: 4-byte magic, column chunks of one data page
// each, the footer in Thrift's compact protocol, its length, the magic again (parquet.apache.org/docs/file-format).

#include <cstring>

#include "core/atomic_file.h"
#include "plan/output/files.h"

namespace callie::plan {
namespace {

/// The part of Thrift's compact protocol that Parquet's metadata needs.
class Compact {
 public:
  enum Type : uint8_t { kI32 = 5, kI64 = 6, kBinary = 8, kList = 9, kStruct = 12 };

  void begin() {
    stack_.push_back(last_);
    last_ = 0;
  }
  void end() {
    out_ += '\0';
    last_ = stack_.back();
    stack_.pop_back();
  }
  void i32(int field, int32_t value) {
    header(field, kI32);
    varint(zigzag(value));
  }
  void i64(int field, int64_t value) {
    header(field, kI64);
    varint(zigzag(value));
  }
  void text(int field, std::string_view value) {
    header(field, kBinary);
    raw_text(value);
  }
  void structure(int field) {
    header(field, kStruct);
    begin();
  }
  void list(int field, Type type, size_t size) {
    header(field, kList);
    if (size < 15) {
      out_ += static_cast<char>(size << 4 | type);
    } else {
      out_ += static_cast<char>(0xF0 | type);
      varint(size);
    }
  }
  void raw_text(std::string_view value) {
    varint(value.size());
    out_ += value;
  }
  void raw_i32(int32_t value) { varint(zigzag(value)); }
  const std::string& bytes() const { return out_; }

 private:
  static uint64_t zigzag(int64_t v) { return static_cast<uint64_t>(v) << 1 ^ static_cast<uint64_t>(v >> 63); }
  void varint(uint64_t v) {
    while (v >= 0x80) {
      out_ += static_cast<char>(v | 0x80);
      v >>= 7;
    }
    out_ += static_cast<char>(v);
  }
  void header(int field, Type type) {
    const int delta = field - last_;
    if (delta > 0 && delta < 16) {
      out_ += static_cast<char>(delta << 4 | type);
    } else {
      out_ += static_cast<char>(type);
      varint(zigzag(field));
    }
    last_ = field;
  }
  std::string out_;
  std::vector<int> stack_;
  int last_ = 0;
};

enum PhysicalType { kInt32 = 1, kInt64 = 2, kByteArray = 6 };

struct Column {
  const char* name;
  PhysicalType type;
  std::string data;
  int64_t offset = 0, size = 0;
};

void put32(std::string& out, uint32_t v) { out.append(reinterpret_cast<const char*>(&v), 4); }
void put64(std::string& out, int64_t v) { out.append(reinterpret_cast<const char*>(&v), 8); }
void put_text(std::string& out, std::string_view v) {
  put32(out, static_cast<uint32_t>(v.size()));
  out += v;
}

}  // namespace

Status write_requests_parquet(const std::string& path, const SimResult& r) {
  constexpr const char* kOutcomes[] = {"finished", "rejected", "failed", "unfinished"};
  std::vector<Column> columns = {
      {"id", kInt64, {}},           {"class", kByteArray, {}},        {"client", kByteArray, {}},
      {"arrival_ns", kInt64, {}},   {"queued_ns", kInt64, {}},        {"scheduled_ns", kInt64, {}},
      {"first_token_ns", kInt64, {}}, {"finished_ns", kInt64, {}},    {"prompt_tokens", kInt32, {}},
      {"cached_tokens", kInt32, {}}, {"output_tokens", kInt32, {}},   {"retries", kInt32, {}},
      {"outcome", kByteArray, {}}};
  for (const RequestRow& q : r.requests) {
    put64(columns[0].data, static_cast<int64_t>(q.serial));
    put_text(columns[1].data, r.classes[q.klass].name);
    put_text(columns[2].data, q.client >= 0 ? std::string_view(r.clients[q.client].name) : std::string_view());
    put64(columns[3].data, q.arrival);
    put64(columns[4].data, q.queued);
    put64(columns[5].data, q.scheduled);
    put64(columns[6].data, q.first_token);
    put64(columns[7].data, q.finished);
    put32(columns[8].data, static_cast<uint32_t>(q.prompt));
    put32(columns[9].data, static_cast<uint32_t>(q.cached));
    put32(columns[10].data, static_cast<uint32_t>(q.output));
    put32(columns[11].data, static_cast<uint32_t>(q.retries));
    put_text(columns[12].data, kOutcomes[q.outcome]);
  }
  const auto rows = static_cast<int64_t>(r.requests.size());
  CALLIE_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  CALLIE_RETURN_IF_ERROR(file.write(std::string_view("PAR1")));
  int64_t position = 4;
  for (Column& column : columns) {
    Compact page;  // PageHeader
    page.begin();
    page.i32(1, 0);  // DATA_PAGE
    page.i32(2, static_cast<int32_t>(column.data.size()));
    page.i32(3, static_cast<int32_t>(column.data.size()));
    page.structure(5);  // DataPageHeader
    page.i32(1, static_cast<int32_t>(rows));
    page.i32(2, 0);  // PLAIN
    page.i32(3, 3);  // definition levels RLE (there are none: all columns are required)
    page.i32(4, 3);
    page.end();
    page.end();
    column.offset = position;
    column.size = static_cast<int64_t>(page.bytes().size() + column.data.size());
    CALLIE_RETURN_IF_ERROR(file.write(page.bytes()));
    CALLIE_RETURN_IF_ERROR(file.write(column.data));
    position += column.size;
  }
  Compact meta;  // FileMetaData
  meta.begin();
  meta.i32(1, 1);
  meta.list(2, Compact::kStruct, columns.size() + 1);
  meta.begin();
  meta.text(4, "requests");
  meta.i32(5, static_cast<int32_t>(columns.size()));
  meta.end();
  for (const Column& column : columns) {
    meta.begin();
    meta.i32(1, column.type);
    meta.i32(3, 0);  // REQUIRED
    meta.text(4, column.name);
    if (column.type == kByteArray) meta.i32(6, 0);  // UTF8
    meta.end();
  }
  meta.i64(3, rows);
  meta.list(4, Compact::kStruct, 1);  // RowGroup
  meta.begin();
  meta.list(1, Compact::kStruct, columns.size());
  int64_t total = 0;
  for (const Column& column : columns) {
    meta.begin();  // ColumnChunk
    meta.i64(2, column.offset);
    meta.structure(3);  // ColumnMetaData
    meta.i32(1, column.type);
    meta.list(2, Compact::kI32, 1);
    meta.raw_i32(0);
    meta.list(3, Compact::kBinary, 1);
    meta.raw_text(column.name);
    meta.i32(4, 0);  // UNCOMPRESSED
    meta.i64(5, rows);
    meta.i64(6, column.size);
    meta.i64(7, column.size);
    meta.i64(9, column.offset);
    meta.end();
    meta.end();
    total += column.size;
  }
  meta.i64(2, total);
  meta.i64(3, rows);
  meta.end();
  meta.text(6, "callie");
  meta.end();
  CALLIE_RETURN_IF_ERROR(file.write(meta.bytes()));
  std::string tail;
  put32(tail, static_cast<uint32_t>(meta.bytes().size()));
  tail += "PAR1";
  CALLIE_RETURN_IF_ERROR(file.write(tail));
  return file.commit();
}

}  // namespace callie::plan
