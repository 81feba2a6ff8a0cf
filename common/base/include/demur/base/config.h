#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "demur/base/result.h"

// TOML files read into plain structs, with errors that name file and line. A key that nobody asked
// for is an error, so that a misspelt option cannot be ignored. Not thread-safe.
namespace demur {

// One file. Usage:
//   DEMUR_TRY(auto config, Config::Load(path));
//   auto server = config.Section("server");
//   server.Read("port", &options.port, 1, 65535);
//   DEMUR_RETURN_IF_ERROR(config.Finish());
class Config {
 public:
  class Table;

  // kNotFound, kInvalidArgument (syntax, with file:line:column).
  static Result<Config> Load(const std::string& path);
  static Result<Config> Parse(std::string_view text, std::string source_name);

  Config(Config&&) noexcept;
  Config& operator=(Config&&) noexcept;
  ~Config();

  // "a.b=c" from a command line: c is read as TOML, or as a string where that fails.
  // kInvalidArgument: no '=', or a path through something that is not a table.
  Status Override(std::string_view assignment);

  Table Root();
  // The table [name] ("a.b" for [a.b]); an absent one reads as empty.
  Table Section(std::string_view name);

  // The first error of any Read, or kInvalidArgument for the first key that no Read named:
  // "demo.toml:12: unknown key 'prot' in [server]; known: port, host".
  Status Finish() const;

  // The folder of the file, for relative paths inside it; "." for parsed text.
  const std::string& folder() const;

  class Table {
   public:
    bool Has(std::string_view key) const;
    // Each leaves `*out` alone when the key is absent and records an error, with file:line, when
    // the type or the range is wrong. Finish() reports it.
    Table& Read(std::string_view key, std::string* out);
    Table& Read(std::string_view key, bool* out);
    Table& Read(std::string_view key, double* out, double min, double max);
    Table& Read(std::string_view key, std::int64_t* out, std::int64_t min, std::int64_t max);
    Table& Read(std::string_view key, std::vector<std::string>* out);
    Table& Read(std::string_view key, std::vector<std::int64_t>* out, std::int64_t min,
                std::int64_t max);
    Table& Read(std::string_view key, std::vector<double>* out, double min, double max);
    // Unsigned and narrow integers, with the same rules.
    template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool> &&
             !std::is_same_v<T, std::int64_t>) Table& Read(std::string_view key, T* out,
                                                           std::int64_t min, std::int64_t max) {
      std::int64_t wide = static_cast<std::int64_t>(*out);
      Read(key, &wide, min, max);
      *out = static_cast<T>(wide);
      return *this;
    }
    // Records kInvalidArgument unless the key is there.
    Table& Require(std::string_view key);
    // Records kInvalidArgument "file:line: <key>: <message>": for rules between fields.
    void Reject(std::string_view key, std::string_view message);
    // Keys in file order (for tables whose keys are names, such as [signals.<name>]).
    std::vector<std::string> Keys() const;
    Table Section(std::string_view name);

   private:
    friend class Config;
    struct Impl;
    explicit Table(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
    std::shared_ptr<Impl> impl_;
  };

 private:
  struct Document;
  explicit Config(std::shared_ptr<Document> document);
  std::shared_ptr<Document> document_;
};

}  // namespace demur
