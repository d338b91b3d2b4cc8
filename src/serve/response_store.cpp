#include "serve/response_store.h"

#include <sqlite3.h>

#include <initializer_list>

namespace callie::serve {
namespace {

// A prepared statement with text parameters bound.
class Statement {
 public:
  Statement(sqlite3* db, const char* sql, std::initializer_list<const std::string*> parameters) : db_(db) {
    failed_ = sqlite3_prepare_v2(db, sql, -1, &statement_, nullptr) != SQLITE_OK;
    int i = 0;
    for (const std::string* text : parameters) {
      if (!failed_) sqlite3_bind_text(statement_, ++i, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
    }
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // SQLITE_ROW, SQLITE_DONE or an error.
  int step() { return failed_ ? SQLITE_ERROR : sqlite3_step(statement_); }
  std::string column(int i) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, i));
    return text ? std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_, i))) : std::string();
  }
  Status problem() const { return error(StatusCode::kInternal, "response store: {}", sqlite3_errmsg(db_)); }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  bool failed_;
};

}  // namespace

StatusOr<std::unique_ptr<ResponseStore>> ResponseStore::open(const std::string& path, int max_responses) {
  sqlite3* db = nullptr;
  const auto fail = [&](const char* what) {
    const Status status = invalid_argument("store: {}: {}: {}", path, what, db ? sqlite3_errmsg(db) : "no memory");
    sqlite3_close(db);
    return status;
  };
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) return fail("cannot be opened");
  sqlite3_busy_timeout(db, 2000);
  const char* schema =
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
      "CREATE TABLE IF NOT EXISTS responses (id TEXT PRIMARY KEY, made INTEGER DEFAULT (unixepoch()),"
      " response TEXT NOT NULL, messages TEXT NOT NULL);";
  if (sqlite3_exec(db, schema, nullptr, nullptr, nullptr) != SQLITE_OK) return fail("is not a response store");
  return std::unique_ptr<ResponseStore>(new ResponseStore(db, max_responses));
}

ResponseStore::~ResponseStore() { sqlite3_close(db_); }

Status ResponseStore::put(const std::string& id, const Entry& entry) {
  std::lock_guard lock(mutex_);
  Statement insert(db_, "INSERT OR REPLACE INTO responses (id, response, messages) VALUES (?, ?, ?)",
                   {&id, &entry.response, &entry.messages});
  if (insert.step() != SQLITE_DONE) return insert.problem();
  const std::string keep = std::to_string(max_responses_);
  Statement trim(db_,
                 "DELETE FROM responses WHERE rowid <= (SELECT max(rowid) FROM responses) - CAST(? AS INTEGER)", {&keep});
  return trim.step() == SQLITE_DONE ? ok_status() : trim.problem();
}

StatusOr<ResponseStore::Entry> ResponseStore::get(const std::string& id) {
  std::lock_guard lock(mutex_);
  Statement select(db_, "SELECT response, messages FROM responses WHERE id = ?", {&id});
  const int code = select.step();
  if (code == SQLITE_DONE) return not_found("no response with id '{}'", id);
  if (code != SQLITE_ROW) return select.problem();
  return Entry{select.column(0), select.column(1)};
}

StatusOr<bool> ResponseStore::remove(const std::string& id) {
  std::lock_guard lock(mutex_);
  Statement statement(db_, "DELETE FROM responses WHERE id = ?", {&id});
  if (statement.step() != SQLITE_DONE) return statement.problem();
  return sqlite3_changes(db_) > 0;
}

}  // namespace callie::serve
