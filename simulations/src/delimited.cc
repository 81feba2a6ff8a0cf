#include "demur/simulations/delimited.h"

#include <zlib.h>

#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>
#include <utility>

#include "demur/base/file.h"

namespace demur::sim {

DelimitedReader::DelimitedReader(std::string_view text, char separator, std::string source)
    : rest_(text), source_(std::move(source)), separator_(separator) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
}

Error DelimitedReader::Bad(std::string_view what) const {
  return Error(ErrorCode::kInvalidArgument,
               source_ + ":" + std::to_string(line_) + ": " + std::string(what));
}

Result<bool> DelimitedReader::Next(std::vector<std::string_view>* fields) {
  fields->clear();
  unquoted_.clear();
  while (!rest_.empty()) {
    ++line_;
    const std::size_t end = rest_.find('\n');
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.size() > kMaxLineLen) return Bad("the line is longer than 65536 bytes");
    if (line.find('\0') != std::string_view::npos) return Bad("the line holds a NUL byte");
    if (separator_ == ',' && line.find('"') != std::string_view::npos) {
      DEMUR_RETURN_IF_ERROR(SplitQuoted(line, fields));
      return true;
    }
    for (;;) {
      if (fields->size() == kMaxFields) return Bad("more than 64 columns");
      const std::size_t cut = line.find(separator_);
      fields->push_back(line.substr(0, cut));
      if (cut == std::string_view::npos) return true;
      line.remove_prefix(cut + 1);
    }
  }
  return false;
}

Status DelimitedReader::SplitQuoted(std::string_view line, std::vector<std::string_view>* fields) {
  // Fields with doubled quotes are rewritten; the strings must not move while views point at them.
  unquoted_.reserve(kMaxFields);
  for (;;) {
    if (fields->size() == kMaxFields) return Bad("more than 64 columns");
    if (!line.starts_with('"')) {
      const std::size_t cut = line.find(separator_);
      const std::string_view field = line.substr(0, cut);
      if (field.find('"') != std::string_view::npos) return Bad("a quote inside a plain field");
      fields->push_back(field);
      if (cut == std::string_view::npos) return {};
      line.remove_prefix(cut + 1);
      continue;
    }
    line.remove_prefix(1);
    std::string value;
    for (;;) {
      const std::size_t quote = line.find('"');
      if (quote == std::string_view::npos) return Bad("a quote is not closed");
      value.append(line.substr(0, quote));
      line.remove_prefix(quote + 1);
      if (!line.starts_with('"')) break;
      value.push_back('"');
      line.remove_prefix(1);
    }
    unquoted_.push_back(std::move(value));
    fields->push_back(unquoted_.back());
    if (line.empty()) return {};
    if (line.front() != separator_) return Bad("text after a closing quote");
    line.remove_prefix(1);
  }
}

Result<std::int64_t> ParseInteger(std::string_view field, std::int64_t min, std::int64_t max) {
  if (field.empty()) return Error(ErrorCode::kInvalidArgument, "an empty field");
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (code == std::errc::result_out_of_range ||
      (code == std::errc{} && (value < min || value > max))) {
    return Error(ErrorCode::kInvalidArgument,
                 "a number outside " + std::to_string(min) + " to " + std::to_string(max));
  }
  if (code != std::errc{} || end != field.data() + field.size()) {
    return Error(ErrorCode::kInvalidArgument, "not an integer");
  }
  return value;
}

Result<double> ParseFinite(std::string_view field) {
  if (field.empty()) return Error(ErrorCode::kInvalidArgument, "an empty field");
  double value = 0;
  const auto [end, code] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (code != std::errc{} || end != field.data() + field.size()) {
    return Error(ErrorCode::kInvalidArgument, "not a number");
  }
  if (!std::isfinite(value))
    return Error(ErrorCode::kInvalidArgument, "a number that is not finite");
  return value;
}

namespace {

struct GzClose {
  void operator()(gzFile file) const noexcept { gzclose_r(file); }
};

Result<std::string> InflateFile(const std::string& path) {
  if (!std::filesystem::exists(path)) return Error(ErrorCode::kNotFound, path + ": no such file");
  const std::unique_ptr<gzFile_s, GzClose> file(gzopen(path.c_str(), "rb"));
  if (file == nullptr) return Error(ErrorCode::kUnavailable, path + ": cannot be opened");
  std::string out;
  std::string chunk(std::size_t{1} << 18, '\0');
  for (;;) {
    const int got = gzread(file.get(), chunk.data(), static_cast<unsigned>(chunk.size()));
    if (got < 0) {
      int code = 0;
      return Error(ErrorCode::kInvalidArgument, path + ": " + gzerror(file.get(), &code));
    }
    if (got == 0) break;
    if (out.size() + static_cast<std::size_t>(got) > kMaxDataFileLen) {
      return Error(ErrorCode::kInvalidArgument, path + ": longer than 4 GiB");
    }
    out.append(chunk, 0, static_cast<std::size_t>(got));
  }
  // zlib hands out plain files unchanged and reports a cut stream only on closing or here.
  if (gzdirect(file.get()) != 0 && !out.empty()) {
    return Error(ErrorCode::kInvalidArgument, path + ": not a gzip file");
  }
  int code = Z_OK;
  gzerror(file.get(), &code);
  if (code != Z_OK && code != Z_STREAM_END) {
    return Error(ErrorCode::kInvalidArgument, path + ": the gzip stream is cut");
  }
  return out;
}

}  // namespace

Result<std::string> ReadDataFile(const std::string& path) {
  if (path.ends_with(".gz")) return InflateFile(path);
  return ReadTextFile(path, kMaxDataFileLen);
}

}  // namespace demur::sim
