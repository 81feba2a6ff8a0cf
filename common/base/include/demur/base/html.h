#pragma once

#include <string>
#include <string_view>

namespace demur {

// `text` as it may stand in HTML and SVG, between tags and inside quoted attributes. Thread-safe.
std::string HtmlEscape(std::string_view text);

}  // namespace demur
