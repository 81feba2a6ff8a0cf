#pragma once

#include <asio/experimental/as_tuple.hpp>
#include <asio/use_awaitable.hpp>

namespace demur::net {

// co_await x.async_f(.., kAwait) gives a tuple that starts with the error code, and never throws
// it.
inline constexpr asio::experimental::as_tuple_t<asio::use_awaitable_t<>> kAwait{};

}  // namespace demur::net
