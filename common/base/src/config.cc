#include "demur/base/config.h"

#define TOML_HEADER_ONLY 0
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

#include "demur/base/file.h"

namespace demur {
namespace {

constexpr std::uint64_t kMaxConfigLen = 1U << 20;

std::string Where(const std::string& source, const toml::source_region& region) {
  return source + ":" + std::to_string(region.begin.line);
}

}  // namespace

// Tables handed out so far, each with the keys that were asked for.
struct Config::Table::Impl {
  const toml::table* table = nullptr;  // null: the section is absent
  std::string name;                    // "server"; empty for the root
  Document* document = nullptr;
  std::vector<std::string> known;
};

struct Config::Document {
  toml::table root;
  std::string source;
  std::string folder = ".";
  std::vector<std::shared_ptr<Table::Impl>> handed_out;
  std::optional<Error> first_error;

  std::shared_ptr<Table::Impl> HandOut(const toml::table* table, std::string name) {
    for (const auto& impl : handed_out) {
      if (impl->table == table && impl->name == name) return impl;
    }
    auto impl = std::make_shared<Table::Impl>();
    impl->table = table;
    impl->name = std::move(name);
    impl->document = this;
    handed_out.push_back(impl);
    return impl;
  }

  void Fail(const std::string& message) {
    if (!first_error) first_error = Error(ErrorCode::kInvalidArgument, message);
  }
};

Config::Config(std::shared_ptr<Document> document) : document_(std::move(document)) {}
Config::Config(Config&&) noexcept = default;
Config& Config::operator=(Config&&) noexcept = default;
Config::~Config() = default;

Result<Config> Config::Parse(std::string_view text, std::string source_name) {
  auto document = std::make_shared<Document>();
  document->source = std::move(source_name);
  try {
    document->root = toml::parse(text);
  } catch (const toml::parse_error& e) {
    return Error(ErrorCode::kInvalidArgument, Where(document->source, e.source()) + ":" +
                                                  std::to_string(e.source().begin.column) + ": " +
                                                  std::string(e.description()));
  }
  return Config(std::move(document));
}

Result<Config> Config::Load(const std::string& path) {
  DEMUR_TRY(const std::string text, ReadTextFile(path, kMaxConfigLen));
  DEMUR_TRY(Config config, Parse(text, path));
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) config.document_->folder = folder;
  return config;
}

Status Config::Override(std::string_view assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return Error(ErrorCode::kInvalidArgument,
                 "override '" + std::string(assignment) + "': write section.key=value");
  }
  const std::string path(assignment.substr(0, equals));
  const std::string value(assignment.substr(equals + 1));
  toml::table parsed;
  try {
    parsed = toml::parse("value = " + value);
  } catch (const toml::parse_error&) {
    parsed.insert_or_assign("value", value);
  }
  toml::table* table = &document_->root;
  std::istringstream parts(path);
  std::string part;
  std::vector<std::string> keys;
  while (std::getline(parts, part, '.')) keys.push_back(part);
  for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
    if (!table->contains(keys[i])) table->insert(keys[i], toml::table{});
    table = (*table)[keys[i]].as_table();
    if (table == nullptr) {
      return Error(ErrorCode::kInvalidArgument,
                   "override '" + path + "': " + keys[i] + " is not a table");
    }
  }
  table->insert_or_assign(keys.back(), *parsed.get("value"));
  return {};
}

Config::Table Config::Root() { return Table(document_->HandOut(&document_->root, "")); }

Config::Table Config::Section(std::string_view name) {
  const auto node = document_->root.at_path(name);
  if (node && !node.is_table()) {
    document_->Fail(document_->source + ": '" + std::string(name) + "' must be a table");
  }
  return Table(document_->HandOut(node.as_table(), std::string(name)));
}

Status Config::Finish() const {
  if (document_->first_error) return *document_->first_error;
  for (const auto& impl : document_->handed_out) {
    if (impl->table == nullptr) continue;
    for (const auto& [key, node] : *impl->table) {
      const std::string name(key.str());
      if (std::find(impl->known.begin(), impl->known.end(), name) != impl->known.end()) continue;
      // A table below this one that was handed out itself is checked as itself.
      const bool handed_out = std::any_of(
          document_->handed_out.begin(), document_->handed_out.end(), [&](const auto& other) {
            const std::string full = impl->name.empty() ? name : impl->name + "." + name;
            return other->name == full || other->name.starts_with(full + ".");
          });
      if (handed_out) continue;
      std::string known;
      for (const std::string& k : impl->known) known += (known.empty() ? "" : ", ") + k;
      return Error(ErrorCode::kInvalidArgument,
                   Where(document_->source, node.source()) + ": unknown key '" + name + "' in " +
                       (impl->name.empty() ? "the file" : "[" + impl->name + "]") +
                       (known.empty() ? "" : "; known: " + known));
    }
  }
  // A whole section that nobody read.
  const bool root_read = std::any_of(document_->handed_out.begin(), document_->handed_out.end(),
                                     [](const auto& impl) { return impl->name.empty(); });
  if (root_read) return {};
  for (const auto& [key, node] : document_->root) {
    const std::string name(key.str());
    const bool read = std::any_of(
        document_->handed_out.begin(), document_->handed_out.end(),
        [&](const auto& impl) { return impl->name == name || impl->name.starts_with(name + "."); });
    if (!read) {
      return Error(ErrorCode::kInvalidArgument, Where(document_->source, node.source()) +
                                                    ": unknown key or section '" + name + "'");
    }
  }
  return {};
}

const std::string& Config::folder() const { return document_->folder; }

bool Config::Table::Has(std::string_view key) const {
  return impl_->table != nullptr && impl_->table->contains(key);
}

namespace {

const toml::node* FindNode(auto& impl, std::string_view key) {
  if (std::find(impl.known.begin(), impl.known.end(), key) == impl.known.end()) {
    impl.known.emplace_back(key);
  }
  return impl.table == nullptr ? nullptr : impl.table->get(key);
}

void Complain(auto& impl, const toml::node& node, std::string_view key, const std::string& what) {
  impl.document->Fail(Where(impl.document->source, node.source()) + ": " + std::string(key) + ": " +
                      what);
}

std::string RangeText(auto min, auto max) {
  std::ostringstream out;
  out << min << " to " << max;
  return out.str();
}

}  // namespace

Config::Table& Config::Table::Read(std::string_view key, std::string* out) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    if (const auto* text = node->as_string()) {
      *out = text->get();
    } else {
      Complain(*impl_, *node, key, "must be a string");
    }
  }
  return *this;
}

Config::Table& Config::Table::Read(std::string_view key, bool* out) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    if (const auto* flag = node->as_boolean()) {
      *out = flag->get();
    } else {
      Complain(*impl_, *node, key, "must be true or false");
    }
  }
  return *this;
}

Config::Table& Config::Table::Read(std::string_view key, double* out, double min, double max) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    const auto value = node->value<double>();
    if (!node->is_number() || !value || !(*value >= min && *value <= max)) {
      Complain(*impl_, *node, key, "must be a number from " + RangeText(min, max));
    } else {
      *out = *value;
    }
  }
  return *this;
}

Config::Table& Config::Table::Read(std::string_view key, std::int64_t* out, std::int64_t min,
                                   std::int64_t max) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    const auto* value = node->as_integer();
    if (value == nullptr || value->get() < min || value->get() > max) {
      Complain(*impl_, *node, key, "must be an integer from " + RangeText(min, max));
    } else {
      *out = value->get();
    }
  }
  return *this;
}

Config::Table& Config::Table::Read(std::string_view key, std::vector<std::string>* out) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    const toml::array* array = node->as_array();
    // An empty list is homogeneous of nothing, and yet a list.
    const bool strings =
        array != nullptr && (array->empty() || array->is_homogeneous(toml::node_type::string));
    if (!strings) {
      Complain(*impl_, *node, key, "must be a list of strings");
      return *this;
    }
    out->clear();
    for (const auto& element : *array) out->push_back(element.as_string()->get());
  }
  return *this;
}

Config::Table& Config::Table::Read(std::string_view key, std::vector<std::int64_t>* out,
                                   std::int64_t min, std::int64_t max) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    const toml::array* array = node->as_array();
    std::vector<std::int64_t> values;
    bool good = array != nullptr;
    if (good) {
      for (const auto& element : *array) {
        const auto* value = element.as_integer();
        good = good && value != nullptr && value->get() >= min && value->get() <= max;
        if (good) values.push_back(value->get());
      }
    }
    if (good) {
      *out = std::move(values);
    } else {
      Complain(*impl_, *node, key, "must be a list of integers from " + RangeText(min, max));
    }
  }
  return *this;
}

Config::Table& Config::Table::Read(std::string_view key, std::vector<double>* out, double min,
                                   double max) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    const toml::array* array = node->as_array();
    std::vector<double> values;
    bool good = array != nullptr;
    if (good) {
      for (const auto& element : *array) {
        const auto value = element.is_number() ? element.value<double>() : std::nullopt;
        good = good && value && *value >= min && *value <= max;
        if (good) values.push_back(*value);
      }
    }
    if (good) {
      *out = std::move(values);
    } else {
      Complain(*impl_, *node, key, "must be a list of numbers from " + RangeText(min, max));
    }
  }
  return *this;
}

Config::Table& Config::Table::Require(std::string_view key) {
  if (FindNode(*impl_, key) == nullptr) {
    impl_->document->Fail(impl_->document->source + ": [" + impl_->name + "] needs '" +
                          std::string(key) + "'");
  }
  return *this;
}

void Config::Table::Reject(std::string_view key, std::string_view message) {
  if (const toml::node* node = FindNode(*impl_, key)) {
    Complain(*impl_, *node, key, std::string(message));
  } else {
    impl_->document->Fail(impl_->document->source + ": [" + impl_->name + "] " + std::string(key) +
                          ": " + std::string(message));
  }
}

std::vector<std::string> Config::Table::Keys() const {
  std::vector<std::pair<std::uint32_t, std::string>> found;
  if (impl_->table != nullptr) {
    for (const auto& [key, node] : *impl_->table) {
      found.emplace_back(key.source().begin.line, std::string(key.str()));
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  out.reserve(found.size());
  for (auto& [line, key] : found) out.push_back(std::move(key));
  return out;
}

Config::Table Config::Table::Section(std::string_view name) {
  const std::string full =
      impl_->name.empty() ? std::string(name) : impl_->name + "." + std::string(name);
  const toml::node* node = impl_->table == nullptr ? nullptr : impl_->table->get(name);
  if (node != nullptr && !node->is_table()) Complain(*impl_, *node, name, "must be a table");
  return Table(impl_->document->HandOut(node == nullptr ? nullptr : node->as_table(), full));
}

}  // namespace demur
